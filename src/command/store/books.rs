//! Reads of the state tables for a comparison with the log. A row and the head of its stream are read by one statement, so of one
//! moment: at any moment they have the same version.

use crate::{event::Stream, value::Time};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, Value};
use std::collections::{BTreeMap, HashSet};
use uuid::Uuid;

/// Table and key of each kind of stream.
const TABLES: [(&str, &str, &str); 4] =
    [("order", "orders", "id"), ("product", "products", "id"), ("stock", "stock", "product_id"), ("user", "users", "id")];

/// The most rows in one statement.
const ROWS: usize = 2_000;

/// A row as it is, with the head of its stream.
#[derive(Debug)]
pub(in crate::command) struct Row {
    pub stream: Stream,
    pub version: i64,
    pub head: Option<i64>,
    /// Column by column.
    pub contents: serde_json::Value,
}

fn sql(text: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, text, values)
}

pub(in crate::command) async fn rows(db: &impl ConnectionTrait, streams: &[Stream]) -> Result<Vec<Row>, DbErr> {
    let mut by_kind: BTreeMap<&str, Vec<Stream>> = BTreeMap::new();
    for stream in streams {
        by_kind.entry(stream.kind()).or_default().push(*stream);
    }
    let mut found = Vec::with_capacity(streams.len());
    for (kind, table, key) in TABLES {
        for streams in by_kind.get(kind).map(Vec::as_slice).unwrap_or_default().chunks(ROWS) {
            let text = format!(
                "SELECT t.{key} AS id, t.version, to_jsonb(t) AS contents,
                        (SELECT max(e.version) FROM event_log e WHERE e.stream_id = t.{key} AND e.stream_kind = '{kind}') AS head
                 FROM {table} t WHERE t.{key} = ANY($1)"
            );
            let ids: Vec<Uuid> = streams.iter().map(|stream| stream.uuid()).collect();
            for row in db.query_all_raw(sql(&text, [ids.into()])).await? {
                let Some(stream) = Stream::from_parts(kind, row.try_get("", "id")?) else { continue };
                found.push(Row {
                    stream,
                    version: row.try_get("", "version")?,
                    head: row.try_get("", "head")?,
                    contents: row.try_get("", "contents")?,
                });
            }
        }
    }
    Ok(found)
}

/// The next page of a table's rows by id: the last id, and those that no event tells of. Nothing at the end.
pub(in crate::command) async fn strangers(
    db: &impl ConnectionTrait,
    kind: &str,
    after: Option<Uuid>,
) -> Result<Option<(Uuid, Vec<Stream>)>, DbErr> {
    let Some((kind, table, key)) = TABLES.into_iter().find(|(known, ..)| *known == kind) else { return Ok(None) };
    let text = format!(
        "SELECT t.id, EXISTS (SELECT 1 FROM event_log e WHERE e.stream_id = t.id AND e.stream_kind = '{kind}' AND e.version = 1)
                      AS told
         FROM (SELECT {key} AS id FROM {table} WHERE {key} > $1 ORDER BY {key} LIMIT {ROWS}) t ORDER BY t.id"
    );
    let rows = db.query_all_raw(sql(&text, [after.unwrap_or_default().into()])).await?;
    let (mut last, mut strangers) = (None, Vec::new());
    for row in rows {
        let id: Uuid = row.try_get("", "id")?;
        last = Some(id);
        if !row.try_get::<bool>("", "told")? {
            strangers.extend(Stream::from_parts(kind, id));
        }
    }
    Ok(last.map(|last| (last, strangers)))
}

/// A product's stock: as it is, and as its first event left it.
#[derive(Debug)]
pub(in crate::command) struct Level {
    pub product: Uuid,
    pub version: i64,
    pub available: i64,
    pub units_sold: i64,
    /// The data of the first event; nothing when there is none.
    pub first: Option<serde_json::Value>,
    /// How many events there are up to this version: as many as it says, or one is missing.
    pub events: i64,
}

/// The next page of stock by product.
pub(in crate::command) async fn levels(db: &impl ConnectionTrait, after: Option<Uuid>) -> Result<Vec<Level>, DbErr> {
    // Fewer than elsewhere: the events of each are counted, and a product may have very many.
    let text = "SELECT s.*,
                (SELECT e.data FROM event_log e
                 WHERE e.stream_id = s.product_id AND e.stream_kind = 'stock' AND e.version = 1) AS first,
                (SELECT count(*) FROM event_log e
                 WHERE e.stream_id = s.product_id AND e.stream_kind = 'stock' AND e.version <= s.version) AS events
         FROM (SELECT product_id, version, available, units_sold FROM stock WHERE product_id > $1
               ORDER BY product_id LIMIT 50) s ORDER BY s.product_id";
    let rows = db.query_all_raw(sql(text, [after.unwrap_or_default().into()])).await?;
    let level = |row: &QueryResult| {
        Ok(Level {
            product: row.try_get("", "product_id")?,
            version: row.try_get("", "version")?,
            available: row.try_get("", "available")?,
            units_sold: row.try_get("", "units_sold")?,
            first: row.try_get("", "first")?,
            events: row.try_get("", "events")?,
        })
    };
    rows.iter().map(level).collect()
}

/// Those of these streams that have an event in the outbox; and of the whole outbox, how many wait, since when, and how many of
/// them stand for no event at all.
pub(in crate::command) async fn unpublished(
    db: &impl ConnectionTrait,
    streams: &[Stream],
) -> Result<(HashSet<Stream>, i64, Option<Time>, i64), DbErr> {
    let kinds: Vec<String> = streams.iter().map(|stream| stream.kind().to_owned()).collect();
    let ids: Vec<Uuid> = streams.iter().map(|stream| stream.uuid()).collect();
    let text = "SELECT DISTINCT e.stream_kind, e.stream_id FROM outbox o JOIN event_log e USING (position)
                JOIN unnest($1::text[], $2::uuid[]) AS s (stream_kind, stream_id) USING (stream_kind, stream_id)";
    let mut waiting = HashSet::new();
    if !streams.is_empty() {
        for row in db.query_all_raw(sql(text, [kinds.into(), ids.into()])).await? {
            waiting.extend(Stream::from_parts(&row.try_get::<String>("", "stream_kind")?, row.try_get("", "stream_id")?));
        }
    }
    let whole = "SELECT count(*) AS waiting, min(e.recorded_at) AS since, count(*) FILTER (WHERE e.position IS NULL) AS orphans
                 FROM outbox o LEFT JOIN event_log e USING (position)";
    let row = db.query_one_raw(sql(whole, [])).await?.ok_or_else(|| DbErr::RecordNotFound("outbox".into()))?;
    Ok((waiting, row.try_get("", "waiting")?, row.try_get("", "since")?, row.try_get("", "orphans")?))
}
