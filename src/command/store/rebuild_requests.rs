//! The table of wishes for a rebuild.

use super::broken;
use crate::{
    command::{RebuildRequest, RebuildWish},
    value::Time,
};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, Value};

fn sql(text: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, text, values)
}

fn request(row: &QueryResult, replayed: bool) -> Result<RebuildRequest, DbErr> {
    let wish: serde_json::Value = row.try_get("", "wish")?;
    let wish = serde_json::from_value(wish).map_err(|e| broken("rebuild_requests", &e))?;
    Ok(RebuildRequest { id: row.try_get("", "id")?, wish, requested_at: row.try_get("", "requested_at")?, replayed })
}

/// Keeps a wish, or finds the one of the same command; nothing when another one is open.
pub(in crate::command) async fn request_rebuild(
    db: &impl ConnectionTrait,
    actor: &str,
    command_id: &str,
    wish: RebuildWish,
    fold: i32,
    now: Time,
) -> Result<Option<RebuildRequest>, DbErr> {
    let text = "INSERT INTO rebuild_requests (actor, command_id, wish, fold, requested_at) VALUES ($1, $2, $3, $4, $5)
                ON CONFLICT DO NOTHING RETURNING id, wish, requested_at";
    let json = serde_json::to_value(wish).map_err(|e| broken("rebuild_requests", &e))?;
    let values: [Value; 5] = [actor.into(), command_id.into(), json.into(), fold.into(), now.into()];
    if let Some(row) = db.query_one_raw(sql(text, values)).await? {
        return request(&row, false).map(Some);
    }
    let text = "SELECT id, wish, requested_at FROM rebuild_requests WHERE actor = $1 AND command_id = $2";
    db.query_one_raw(sql(text, [actor.into(), command_id.into()])).await?.map(|row| request(&row, true)).transpose()
}

pub(in crate::command) async fn next_rebuild(db: &impl ConnectionTrait, fold: i32) -> Result<Option<RebuildRequest>, DbErr> {
    let text = "SELECT id, wish, requested_at FROM rebuild_requests WHERE finished_at IS NULL AND fold = $1";
    db.query_one_raw(sql(text, [fold.into()])).await?.map(|row| request(&row, false)).transpose()
}

pub(in crate::command) async fn finish_rebuild(
    db: &impl ConnectionTrait,
    id: i64,
    failure: Option<String>,
    now: Time,
) -> Result<(), DbErr> {
    let text = "UPDATE rebuild_requests SET finished_at = $2, failure = $3 WHERE id = $1 AND finished_at IS NULL";
    db.execute_raw(sql(text, [id.into(), now.into(), failure.into()])).await.map(|_| ())
}
