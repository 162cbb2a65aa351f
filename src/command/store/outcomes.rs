//! What became of each command, under the actor and the id that the client chose.

use super::{broken, entity::command};
use crate::value::{CommandId, Time};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter, Set};
use std::collections::HashMap;

/// An outcome as stored.
#[derive(Debug, Clone)]
pub(in crate::command) struct Remembered {
    pub fingerprint: Vec<u8>,
    pub outcome: serde_json::Value,
}

/// The scope of a command id: whose it is, and the id.
pub(in crate::command) type Key = (String, CommandId);

pub(in crate::command) async fn recall(db: &impl ConnectionTrait, keys: &[Key]) -> Result<HashMap<Key, Remembered>, DbErr> {
    let ids = keys.iter().map(|(_, id)| id.as_str().to_owned());
    let mut actors: Vec<String> = keys.iter().map(|(actor, _)| actor.clone()).collect();
    actors.sort_unstable();
    actors.dedup();
    // The product of actors and ids is a superset of the keys; the map sorts out the few strangers.
    let scope = Condition::all().add(command::Column::Actor.eq_any(actors)).add(command::Column::CommandId.eq_any(ids));
    let rows = command::Entity::find().filter(scope).all(db).await?;
    let mut known = HashMap::with_capacity(rows.len());
    for row in rows {
        let id = CommandId::try_from(row.command_id).map_err(|e| broken("commands", &e))?;
        known.insert((row.actor, id), Remembered { fingerprint: row.fingerprint, outcome: row.outcome });
    }
    Ok(known)
}

/// Stores outcomes. A key that another process has stored meanwhile is a unique violation, and the group is decided anew.
pub(in crate::command) async fn remember(
    db: &impl ConnectionTrait,
    at: Time,
    outcomes: Vec<(Key, Remembered)>,
) -> Result<(), DbErr> {
    if outcomes.is_empty() {
        return Ok(());
    }
    let rows = outcomes.into_iter().map(|((actor, id), remembered)| command::ActiveModel {
        actor: Set(actor),
        command_id: Set(id.into()),
        fingerprint: Set(remembered.fingerprint),
        outcome: Set(remembered.outcome),
        decided_at: Set(at),
    });
    command::Entity::insert_many(rows).exec_without_returning(db).await.map(|_| ())
}

/// Forgets a chunk of the outcomes decided before a moment; says how many.
pub(in crate::command) async fn forget(db: &impl ConnectionTrait, before: Time) -> Result<u64, DbErr> {
    let statement = sea_orm::Statement::from_sql_and_values(
        sea_orm::DbBackend::Postgres,
        "DELETE FROM commands WHERE ctid = ANY(ARRAY(SELECT ctid FROM commands WHERE decided_at < $1 LIMIT 1000))",
        [before.into()],
    );
    Ok(db.execute_raw(statement).await?.rows_affected())
}
