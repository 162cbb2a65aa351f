//! Reads of the log by stream. `event_log_streams_by_key` has one entry a stream, in the order of the walk; the unique index of
//! versions gives heads and stretches.

use super::entity::event_log::Model;
use super::{
    broken,
    outbox::{envelope, raw},
};
use crate::{
    command::log::{Head, Recorded, Stretch},
    event::Stream,
};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, FromQueryResult, QueryResult, Statement, Value};
use std::{collections::HashMap, fmt::Write as _};
use uuid::Uuid;

/// The newest version of the stream of `s`.
const HEAD: &str = "CROSS JOIN LATERAL (
    SELECT e.version FROM event_log e WHERE e.stream_id = s.stream_id AND e.stream_kind = s.stream_kind
    ORDER BY e.version DESC LIMIT 1) head";

fn sql(text: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, text, values)
}

fn stream(row: &QueryResult) -> Result<Stream, DbErr> {
    let kind: String = row.try_get("", "stream_kind")?;
    Stream::from_parts(&kind, row.try_get("", "stream_id")?).ok_or_else(|| broken("event_log", &format!("{kind:?} is no stream")))
}

/// The streams after a place in the order of the index, of one key or of all.
pub(in crate::command) async fn heads_page(
    db: &impl ConnectionTrait,
    after: Option<&Head>,
    key: Option<Uuid>,
    limit: u32,
) -> Result<Vec<Head>, DbErr> {
    // One text for each of the four questions: an OR over the parameters would keep the planner from the index.
    let mut which = String::from("version = 1");
    let mut values: Vec<Value> = vec![i64::from(limit).into()];
    if let Some(key) = key {
        values.push(key.into());
        which += " AND partition_key = $2";
    }
    if let Some(place) = after {
        let first = values.len() + 1;
        values.extend([place.partition_key.into(), place.stream.kind().into(), place.stream.uuid().into()]);
        let _ = write!(which, " AND (partition_key, stream_kind, stream_id) > (${first}, ${}, ${})", first + 1, first + 2);
    }
    let text = format!(
        "SELECT s.partition_key, s.stream_kind, s.stream_id, head.version
         FROM (SELECT partition_key, stream_kind, stream_id FROM event_log WHERE {which}
               ORDER BY partition_key, stream_kind, stream_id LIMIT $1) s
         {HEAD} ORDER BY s.partition_key, s.stream_kind, s.stream_id"
    );
    let rows = db.query_all_raw(sql(&text, values)).await?;
    rows.iter()
        .map(|row| {
            let (partition_key, version) = (row.try_get("", "partition_key")?, row.try_get("", "version")?);
            Ok(Head { partition_key, stream: stream(row)?, version })
        })
        .collect()
}

pub(in crate::command) async fn heads(db: &impl ConnectionTrait, streams: &[Stream]) -> Result<HashMap<Stream, i64>, DbErr> {
    let kinds: Vec<String> = streams.iter().map(|stream| stream.kind().to_owned()).collect();
    let ids: Vec<Uuid> = streams.iter().map(|stream| stream.uuid()).collect();
    let text = format!(
        "SELECT s.stream_kind, s.stream_id, head.version
         FROM unnest($1::text[], $2::uuid[]) AS s (stream_kind, stream_id) {HEAD}"
    );
    let rows = db.query_all_raw(sql(&text, [kinds.into(), ids.into()])).await?;
    rows.iter().map(|row| Ok((stream(row)?, row.try_get("", "version")?))).collect()
}

/// The events of these stretches, in the order given.
pub(in crate::command) async fn stretches(db: &impl ConnectionTrait, page: &[Stretch]) -> Result<Vec<Recorded>, DbErr> {
    let kinds: Vec<String> = page.iter().map(|part| part.stream.kind().to_owned()).collect();
    let ids: Vec<Uuid> = page.iter().map(|part| part.stream.uuid()).collect();
    let after: Vec<i64> = page.iter().map(|part| part.after).collect();
    let until: Vec<i64> = page.iter().map(|part| part.until).collect();
    let text = "SELECT e.* FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::bigint[]) WITH ORDINALITY
                     AS s (stream_kind, stream_id, after, until, place)
         JOIN event_log e ON e.stream_id = s.stream_id AND e.stream_kind = s.stream_kind
                         AND e.version > s.after AND e.version <= s.until
         ORDER BY s.place, e.version";
    let rows = db.query_all_raw(sql(text, [kinds.into(), ids.into(), after.into(), until.into()])).await?;
    rows.into_iter()
        .map(|row| {
            let model = || Model::from_query_result(&row, "");
            let (stream, version, envelope) = (stream(&row)?, row.try_get("", "version")?, envelope(model()?));
            let message = if envelope.is_err() { raw(model()?).map(|(_, body)| body).unwrap_or_default() } else { Vec::new() };
            Ok(Recorded { stream, version, envelope, message })
        })
        .collect()
}

pub(in crate::command) async fn count_streams(db: &impl ConnectionTrait) -> Result<i64, DbErr> {
    let row = db.query_one_raw(sql("SELECT count(*) AS streams FROM event_log WHERE version = 1", [])).await?;
    row.ok_or_else(|| DbErr::RecordNotFound("event_log".into()))?.try_get("", "streams")
}

pub(in crate::command) async fn key_from(db: &impl ConnectionTrait, kind: &str, from: Uuid) -> Result<Option<Uuid>, DbErr> {
    let text = "SELECT partition_key FROM event_log WHERE version = 1 AND stream_kind = $1 AND partition_key >= $2
                ORDER BY partition_key LIMIT 1";
    let row = db.query_one_raw(sql(text, [kind.into(), from.into()])).await?;
    row.map(|row| row.try_get("", "partition_key")).transpose()
}

pub(in crate::command) async fn last_key(db: &impl ConnectionTrait, kind: &str) -> Result<Option<Uuid>, DbErr> {
    let text = "SELECT partition_key FROM event_log WHERE version = 1 AND stream_kind = $1 ORDER BY partition_key DESC LIMIT 1";
    let row = db.query_one_raw(sql(text, [kind.into()])).await?;
    row.map(|row| row.try_get("", "partition_key")).transpose()
}
