//! Transactions that somebody has left open. They delay no event (nothing waits for a horizon), but while one is open PostgreSQL
//! cannot clean up behind the outbox, which then grows slower to read.

use super::Database;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};
use std::time::Duration;

/// The transaction that has been open longest in this database, but for the caller's own.
#[derive(Debug)]
pub struct OpenTransaction {
    pub pid: i32,
    /// What its client calls itself; may be empty.
    pub application: String,
    /// PostgreSQL's word for what it does, such as `idle in transaction`.
    pub state: String,
    pub open_for: Duration,
}

/// The oldest open transaction, if there is one. Those of other accounts are seen by members of `pg_read_all_stats` only.
///
/// # Errors
/// The driver's.
pub async fn oldest_transaction(database: &Database) -> Result<Option<OpenTransaction>, DbErr> {
    let statement = Statement::from_string(
        DbBackend::Postgres,
        "SELECT pid, coalesce(application_name, '') AS application, coalesce(state, '') AS state, \
                extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds \
         FROM pg_stat_activity \
         WHERE datname = current_database() AND backend_type = 'client backend' AND xact_start IS NOT NULL \
               AND pid <> pg_backend_pid() \
         ORDER BY xact_start LIMIT 1",
    );
    let Some(row) = database.0.query_one_raw(statement).await? else { return Ok(None) };
    let seconds: f64 = row.try_get("", "seconds")?;
    Ok(Some(OpenTransaction {
        pid: row.try_get("", "pid")?,
        application: row.try_get("", "application")?,
        state: row.try_get("", "state")?,
        open_for: Duration::from_secs_f64(seconds.max(0.0)),
    }))
}
