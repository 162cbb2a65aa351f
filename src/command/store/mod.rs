//! PostgreSQL, through SeaORM. Only the command side reaches this module, and only this module and the relay reach the tables.

mod append;
mod books;
mod entity;
mod load;
mod log;
mod lookup;
mod outbox;
mod outcomes;
mod rebuild_requests;
mod save;
mod transactions;

pub(super) use append::append;
pub(super) use books::{Level, Row, levels, rows, strangers, unpublished};
pub(super) use load::load;
pub(super) use log::{count_streams, heads, heads_page, key_from, last_key, stretches};
pub(super) use lookup::{OrdersWith, orders_with, products_by_sku, refund_amounts, users_by_email};
pub(super) use outbox::{
    Pending, backlog, hold_shard, listener, log_size, published, read_shard, remove, republish, shut_gate, try_shard, waiting,
    wake,
};
pub(super) use outcomes::{Remembered, forget, recall, remember};
pub(super) use rebuild_requests::{finish_rebuild, next_rebuild, request_rebuild};
pub(super) use save::save;
pub use transactions::{OpenTransaction, oldest_transaction};

use super::Fault;
use crate::crash;
use migrations::MigratorTrait as _;
use sea_orm::{ConnectOptions, ConnectionTrait as _, DatabaseConnection, DbErr, RuntimeErr, SqlErr};
use std::time::Duration;

/// A pool of connections to the write model.
#[derive(Debug, Clone)]
pub struct Database(pub(super) DatabaseConnection);

/// Opens a pool of at most `connections`. Nothing waits longer than these bounds: a pool that cannot give a connection within
/// three seconds, or a statement that runs for six, is a fault.
///
/// # Errors
/// The driver's, when the server cannot be reached or refuses us.
pub async fn connect(url: &str, connections: u32) -> Result<Database, DbErr> {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .min_connections(1)
        .connect_timeout(Duration::from_secs(3))
        .acquire_timeout(Duration::from_secs(3))
        // Statements carry personal data; they are never logged.
        .sqlx_logging(false)
        .map_sqlx_postgres_opts(|options| {
            options.application_name("orderflow").options([
                ("statement_timeout", "6s"),
                ("lock_timeout", "5s"),
                // A process of ours that hangs in a transaction must not hold rows for ever.
                ("idle_in_transaction_session_timeout", "15s"),
            ])
        });
    Ok(Database(sea_orm::Database::connect(options).await?))
}

/// Any constant that nobody else in this database uses.
const MIGRATION_LOCK: i64 = 0x6f72_6465_7266_6c6f;

/// Brings the schema up to date. Safe to run twice and by several processes at once: they take turns by an advisory lock.
///
/// # Errors
/// The driver's.
pub async fn migrate(url: &str) -> Result<(), DbErr> {
    use sea_orm::TransactionTrait as _;
    // Connections of its own: a migration may take longer than any statement of ours, and so may waiting for one's turn.
    let mut options = ConnectOptions::new(url);
    options.max_connections(2).connect_timeout(Duration::from_secs(3)).sqlx_logging(false);
    let database = sea_orm::Database::connect(options).await?;
    let turn = database.begin().await?;
    turn.execute_unprepared("SET LOCAL lock_timeout = '120s'").await?;
    turn.execute_unprepared(&format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")).await?;
    crash::point("migration-turn");
    migrations::Migrator::up(&database, None).await?;
    crash::point("migration-postgres");
    turn.commit().await
}

/// What the server says of itself, for `doctor` and `readyz`: its version, and whether commits are durable.
///
/// # Errors
/// The driver's.
pub async fn check(database: &Database) -> Result<ServerFacts, DbErr> {
    let row = database
        .0
        .query_one_raw(sea_orm::Statement::from_string(
            sea_orm::DbBackend::Postgres,
            "SELECT current_setting('server_version') AS version, current_setting('synchronous_commit') AS synchronous_commit, \
             current_setting('fsync') AS fsync, to_regclass('event_log') IS NOT NULL AS migrated",
        ))
        .await?
        .ok_or_else(|| DbErr::RecordNotFound("settings".into()))?;
    Ok(ServerFacts {
        version: row.try_get("", "version")?,
        synchronous_commit: row.try_get("", "synchronous_commit")?,
        fsync: row.try_get("", "fsync")?,
        migrated: row.try_get("", "migrated")?,
    })
}

/// See [`check`].
#[derive(Debug)]
pub struct ServerFacts {
    pub version: String,
    pub synchronous_commit: String,
    pub fsync: String,
    pub migrated: bool,
}

/// What to do about an error of the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Another transaction was faster; deciding again against fresh state is right.
    Race,
    /// The server is away, or too slow.
    Unavailable,
    /// A bug, ours or the data's.
    Internal,
}

pub(super) fn classify(error: &DbErr) -> Class {
    if let Some(SqlErr::UniqueConstraintViolation(_)) = error.sql_err() {
        return Class::Race;
    }
    let sqlx = match error {
        DbErr::ConnectionAcquire(_) => return Class::Unavailable,
        DbErr::Conn(RuntimeErr::SqlxError(e))
        | DbErr::Exec(RuntimeErr::SqlxError(e))
        | DbErr::Query(RuntimeErr::SqlxError(e)) => e,
        _ => return Class::Internal,
    };
    match &**sqlx {
        sea_orm::SqlxError::Database(e) => match e.code().as_deref() {
            // Serialization failure and deadlock.
            Some("40001" | "40P01") => Class::Race,
            // Lock and statement timeouts, shutdown, starting up, too many connections, out of disk or memory.
            Some(code) if matches!(code, "55P03" | "57014") || code.starts_with("57P") || code.starts_with("53") => {
                Class::Unavailable
            }
            Some(code) if code.starts_with("08") => Class::Unavailable,
            _ => Class::Internal,
        },
        sea_orm::SqlxError::Io(_)
        | sea_orm::SqlxError::Tls(_)
        | sea_orm::SqlxError::Protocol(_)
        | sea_orm::SqlxError::PoolTimedOut
        | sea_orm::SqlxError::PoolClosed
        | sea_orm::SqlxError::WorkerCrashed => Class::Unavailable,
        _ => Class::Internal,
    }
}

impl From<Class> for Fault {
    fn from(class: Class) -> Self {
        match class {
            // Races that outlast all retries: the client may simply try again.
            Class::Race | Class::Unavailable => Fault::Unavailable,
            Class::Internal => Fault::Internal,
        }
    }
}

/// A stored value that does not parse: a bug, or somebody's hand in the tables.
fn broken(table: &str, error: &dyn std::fmt::Display) -> DbErr {
    DbErr::Custom(format!("a row of {table} cannot be read: {error}"))
}

/// Whether nobody has used this write model yet: there is no user.
///
/// # Errors
/// The driver's.
pub async fn is_empty(database: &Database) -> Result<bool, DbErr> {
    use sea_orm::EntityTrait as _;
    Ok(entity::user::Entity::find().one(&database.0).await?.is_none())
}
