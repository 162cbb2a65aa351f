//! An index of streams by the key that their events travel under: one entry a stream, not one an event. By it the whole log is
//! walked, customer by customer and product by product, with an end to every page (`command::EventLog`).

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

/// Not CONCURRENTLY: that waits for everybody who looks at the database, also for the `migrate` that waits for its turn behind
/// this one. Appends wait while it is built, a few seconds for some million events; commands that come then are refused as
/// unavailable and can be sent again.
const UP: &str = "
CREATE INDEX event_log_streams_by_key ON event_log (partition_key, stream_kind, stream_id) WHERE version = 1;
";

const DOWN: &str = "DROP INDEX event_log_streams_by_key;";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(UP).await.map(|_| ())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(DOWN).await.map(|_| ())
    }
}
