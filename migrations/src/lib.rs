//! The schema of the write model. Migrations only ever expand first and contract a release later, so that the previous version of
//! the server can run beside them; `README.md` beside this folder has the whole rule.

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::prelude::*;

mod m20261123_000001_write_model;
mod m20261124_000001_streams_by_key;
mod m20261124_000002_rebuild_requests;

/// Every migration, oldest first.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261123_000001_write_model::Migration),
            Box::new(m20261124_000001_streams_by_key::Migration),
            Box::new(m20261124_000002_rebuild_requests::Migration),
        ]
    }
}
