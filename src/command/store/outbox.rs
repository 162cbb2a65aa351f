//! The outbox: positions of the log that the broker has not confirmed yet.
//!
//! There is no cursor. A row is found because it is there, whenever its transaction committed, so a late commit with a low
//! position cannot be skipped. Within a stream, a later version can only be inserted after the earlier one committed (it was
//! decided from it), so reading by position is reading in order.

use super::{Database, broken};
use crate::{
    event::{Envelope, Event, Meta, Stream, Unreadable, envelope::message},
    value::{CommandId, EventId, Time},
};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement, sqlx};
use uuid::Uuid;

/// An event to publish, as the log has it. A newer process may have written what this one cannot read; it goes out all the same,
/// or one event of tomorrow would hold up all of today's.
#[derive(Debug)]
pub(in crate::command) struct Pending {
    pub position: i64,
    pub meta: Meta,
    pub kind: String,
    pub body: Vec<u8>,
}

fn sql(text: &str, values: impl IntoIterator<Item = sea_orm::Value>) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, text, values)
}

/// The gate that every relay holds open while it publishes, and that a pause shuts. Any constant that no other lock has.
const GATE: i64 = 0x6f72_6465_7267_6174;

/// Takes the turn of a shard until the transaction ends; false when another relay has it, or somebody waits for all relays. The
/// locks are the transaction's, so they cannot outlive the process or its connection.
pub(in crate::command) async fn try_shard(db: &impl ConnectionTrait, shard: u32, of: u32) -> Result<bool, DbErr> {
    // Two keys of 32 bits: relays with another number of shards use other locks on purpose, see `relay`.
    let statement = sql(
        "SELECT pg_try_advisory_xact_lock_shared($3) AND pg_try_advisory_xact_lock($1, $2) AS mine",
        [i32::try_from(of).unwrap_or(i32::MAX).into(), i32::try_from(shard).unwrap_or(i32::MAX).into(), GATE.into()],
    );
    let row = db.query_one_raw(statement).await?.ok_or_else(|| DbErr::RecordNotFound("advisory lock".into()))?;
    row.try_get("", "mine")
}

/// Shuts the gate until the transaction ends. Nobody passes it who comes after us; those who are in wait for the broker's
/// confirms for ten seconds at most.
pub(in crate::command) async fn shut_gate(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    db.execute_unprepared("SET LOCAL lock_timeout = '12s'; SET LOCAL statement_timeout = '12s'").await?;
    db.execute_raw(sql("SELECT pg_advisory_xact_lock($1)", [GATE.into()])).await.map(|_| ())
}

/// Waits for the turn of a shard and takes it until the transaction ends. Relays of a version without a gate know only this.
pub(in crate::command) async fn hold_shard(db: &impl ConnectionTrait, shard: u32, of: u32) -> Result<(), DbErr> {
    let keys = [i32::try_from(of).unwrap_or(i32::MAX).into(), i32::try_from(shard).unwrap_or(i32::MAX).into()];
    db.execute_raw(sql("SELECT pg_advisory_xact_lock($1, $2)", keys)).await.map(|_| ())
}

/// Wakes every relay when this transaction commits.
pub(in crate::command) async fn wake(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    db.execute_unprepared(super::append::WAKE).await.map(|_| ())
}

/// About how many events there are: positions that were handed out and not used count too.
pub(in crate::command) async fn log_size(db: &Database) -> Result<i64, DbErr> {
    let row = db.0.query_one_raw(sql("SELECT coalesce(max(position), 0) AS size FROM event_log", [])).await?;
    row.ok_or_else(|| DbErr::RecordNotFound("event_log".into()))?.try_get("", "size")
}

/// Whether nothing up to this position waits to be published.
pub(in crate::command) async fn published(db: &Database, upto: i64) -> Result<bool, DbErr> {
    let statement = sql("SELECT NOT EXISTS (SELECT 1 FROM outbox WHERE position <= $1) AS published", [upto.into()]);
    db.0.query_one_raw(statement).await?.ok_or_else(|| DbErr::RecordNotFound("outbox".into()))?.try_get("", "published")
}

/// The oldest events of a shard, at most `limit`.
pub(in crate::command) async fn read_shard(
    db: &impl ConnectionTrait,
    shard: u32,
    of: u32,
    limit: u32,
) -> Result<Vec<Pending>, DbErr> {
    let statement = sql(
        "SELECT e.* FROM outbox o JOIN event_log e USING (position) WHERE o.shard % $2 = $1 ORDER BY o.position LIMIT $3",
        [i64::from(shard).into(), i64::from(of).into(), i64::from(limit).into()],
    );
    let rows = db.query_all_raw(statement).await?;
    rows.into_iter()
        .map(|row| {
            let model = <super::entity::event_log::Model as sea_orm::FromQueryResult>::from_query_result(&row, "")?;
            let (position, kind) = (model.position, model.kind.clone());
            let (meta, body) = raw(model)?;
            Ok(Pending { position, meta, kind, body })
        })
        .collect()
}

/// Forgets what the broker has confirmed.
pub(in crate::command) async fn remove(db: &impl ConnectionTrait, positions: Vec<i64>) -> Result<(), DbErr> {
    db.execute_raw(sql("DELETE FROM outbox WHERE position = ANY($1)", [positions.into()])).await.map(|_| ())
}

/// Puts events of the log back. The statement is `append`'s, but for where the events come from.
pub(in crate::command) async fn republish(db: &impl ConnectionTrait, stream: Stream, from: i64, upto: i64) -> Result<u64, DbErr> {
    let statement = sql(
        "INSERT INTO outbox (position, shard) \
         SELECT position, hashtext(partition_key::text) & 2147483647 FROM event_log \
         WHERE stream_id = $1 AND stream_kind = $2 AND version BETWEEN $3 AND $4 ORDER BY position ON CONFLICT DO NOTHING",
        [stream.uuid().into(), stream.kind().into(), from.into(), upto.into()],
    );
    let again = db.execute_raw(statement).await?.rows_affected();
    db.execute_unprepared(super::append::WAKE).await?;
    Ok(again)
}

/// How many events wait, counted up to 100,000, and since when the oldest does.
pub(in crate::command) async fn backlog(db: &Database) -> Result<(i64, Option<Time>), DbErr> {
    let statement = sql(
        "SELECT (SELECT count(*) FROM (SELECT 1 FROM outbox LIMIT 100000) waiting) AS waiting, \
                (SELECT e.recorded_at FROM outbox o JOIN event_log e USING (position) ORDER BY o.position LIMIT 1) AS since",
        [],
    );
    let row = db.0.query_one_raw(statement).await?.ok_or_else(|| DbErr::RecordNotFound("outbox".into()))?;
    Ok((row.try_get("", "waiting")?, row.try_get("", "since")?))
}

/// How many events wait, counted up to `most`.
pub(in crate::command) async fn waiting(db: &Database, most: i64) -> Result<i64, DbErr> {
    let statement = sql("SELECT count(*) AS waiting FROM (SELECT 1 FROM outbox LIMIT $1) waiting", [most.into()]);
    let row = db.0.query_one_raw(statement).await?.ok_or_else(|| DbErr::RecordNotFound("outbox".into()))?;
    row.try_get("", "waiting")
}

/// Hears of commits of other processes.
pub(in crate::command) async fn listener(db: &Database) -> Result<sqlx::postgres::PgListener, sqlx::Error> {
    let mut listener = sqlx::postgres::PgListener::connect_with(db.0.get_postgres_connection_pool()).await?;
    listener.listen("orderflow_outbox").await?;
    Ok(listener)
}

/// An event of the log as a message, whether or not this version can read it.
pub(super) fn raw(mut row: super::entity::event_log::Model) -> Result<(Meta, Vec<u8>), DbErr> {
    let (kind, data) = (row.kind.clone(), row.data.take());
    let meta = meta(row).map_err(|e| broken("event_log", &e))?;
    let body = message(&meta, &kind, data).map_err(|e| broken("event_log", &e))?;
    Ok((meta, body))
}

/// An event of the log in its envelope.
pub(super) fn envelope(mut row: super::entity::event_log::Model) -> Result<Envelope, Unreadable> {
    let event = Event::read(&row.kind, row.data.take())?;
    Ok(Envelope { event, meta: meta(row)? })
}

/// Everything about an event of the log but its data, which the relay need not understand.
fn meta(row: super::entity::event_log::Model) -> Result<Meta, Unreadable> {
    let malformed = |e: &dyn std::fmt::Display| Unreadable::Malformed {
        kind: row.kind.clone(),
        source: serde::de::Error::custom(e.to_string()),
    };
    let stream = stream(&row.stream_kind, row.stream_id).ok_or_else(|| malformed(&"its stream is unknown"))?;
    let command_id = CommandId::try_from(row.command_id.clone()).map_err(|e| malformed(&e))?;
    let stock = serde_json::from_value(row.stock_marks.clone()).map_err(|e| malformed(&e))?;
    Ok(Meta {
        id: EventId(row.id),
        stream,
        version: row.version,
        recorded_at: row.recorded_at,
        actor: row.actor,
        command_id,
        traceparent: row.traceparent,
        partition_key: row.partition_key,
        stock,
    })
}

fn stream(kind: &str, id: Uuid) -> Option<Stream> {
    Stream::from_parts(kind, id)
}
