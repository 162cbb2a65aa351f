//! Administrators ask for a rebuild of the read model here; whoever rebuilds takes it up.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &str = r"
CREATE TABLE rebuild_requests (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    actor text NOT NULL,
    command_id text NOT NULL,
    -- What is wished for; the same id with another wish is refused.
    wish jsonb NOT NULL,
    -- The version of the code that was asked: that version rebuilds.
    fold integer NOT NULL,
    requested_at timestamptz NOT NULL,
    finished_at timestamptz,
    failure text,
    CONSTRAINT rebuild_requests_once UNIQUE (actor, command_id)
);

-- One at a time.
CREATE UNIQUE INDEX rebuild_requests_open ON rebuild_requests ((true)) WHERE finished_at IS NULL;
";

const DOWN: &str = "DROP TABLE rebuild_requests;";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(UP).await.map(|_| ())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(DOWN).await.map(|_| ())
    }
}
