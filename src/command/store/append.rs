//! Adds events to the log and to the outbox, in one statement: there is no event without its outbox row.

use super::broken;
use crate::event::Envelope;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement, Value};
use uuid::Uuid;

/// Arrays, not rows of parameters: the text is the same for any number of events, so it stays prepared.
const APPEND: &str = "
WITH appended AS (
    INSERT INTO event_log (id, stream_kind, stream_id, version, kind, recorded_at, actor, command_id, traceparent,
                           partition_key, stock_marks, data)
    SELECT e.id, e.stream_kind, e.stream_id, e.version, e.kind, $1, e.actor, e.command_id, nullif(e.traceparent, ''),
           e.partition_key, e.stock_marks::jsonb, e.data::jsonb
    FROM unnest($2::uuid[], $3::text[], $4::uuid[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[],
                $10::uuid[], $11::text[], $12::text[]) WITH ORDINALITY
         AS e (id, stream_kind, stream_id, version, kind, actor, command_id, traceparent, partition_key, stock_marks, data,
               ordinal)
    ORDER BY e.ordinal
    RETURNING position, partition_key
)
INSERT INTO outbox (position, shard) SELECT position, hashtext(partition_key::text) & 2147483647 FROM appended";

/// Wakes relays of all processes when the transaction commits.
pub(super) const WAKE: &str = "SELECT pg_notify('orderflow_outbox', '')";

pub(in crate::command) async fn append(db: &impl ConnectionTrait, events: &[Envelope]) -> Result<(), DbErr> {
    let Some(first) = events.first() else { return Ok(()) };
    let json = |value: Result<String, serde_json::Error>| value.map_err(|e| broken("event_log", &e));
    let uuids = |pick: fn(&Envelope) -> Uuid| Value::from(events.iter().map(pick).collect::<Vec<_>>());
    let texts = |pick: fn(&Envelope) -> String| Value::from(events.iter().map(pick).collect::<Vec<_>>());
    let mut marks = Vec::with_capacity(events.len());
    let mut data = Vec::with_capacity(events.len());
    for event in events {
        marks.push(json(serde_json::to_string(&event.meta.stock))?);
        data.push(json(event.event.data().map(|data| data.to_string()))?);
    }
    let statement = Statement::from_sql_and_values(
        DbBackend::Postgres,
        APPEND,
        [
            first.meta.recorded_at.into(),
            uuids(|e| e.meta.id.0),
            texts(|e| e.meta.stream.kind().to_owned()),
            uuids(|e| e.meta.stream.uuid()),
            events.iter().map(|e| e.meta.version).collect::<Vec<_>>().into(),
            texts(|e| e.event.kind().to_owned()),
            texts(|e| e.meta.actor.clone()),
            texts(|e| e.meta.command_id.as_str().to_owned()),
            texts(|e| e.meta.traceparent.clone().unwrap_or_default()),
            uuids(|e| e.meta.partition_key),
            marks.into(),
            data.into(),
        ],
    );
    db.execute_raw(statement).await?;
    db.execute_unprepared(WAKE).await.map(|_| ())
}
