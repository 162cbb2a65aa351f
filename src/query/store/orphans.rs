//! Ends the transactions of processes that have died. A transaction belongs to a session and not to a connection, so the server
//! keeps one that nobody will ever end, with its documents locked, until `transactionLifetimeLimitSeconds` are over: a minute,
//! unless somebody has set it otherwise.
//!
//! Such a transaction is known by two things: nobody is working on it, and the connection that worked on it last is closed. The
//! server sees the end of a process at once, as it sees a closed connection. (Of a machine that has vanished it sees nothing, and
//! then there is only its own limit.) If we are wrong about it, because a living process has just changed its connection, its
//! transaction fails as after a lost race, and it begins anew: all that can be lost is a moment.
//!
//! Only those of Orderflow, and of the user as whom we are signed in, which takes no privilege.

use super::{Store, StoreError, answer};
use futures_util::TryStreamExt;
use mongodb::{
    bson::{Bson, Document, doc},
    options::ReadConcern,
};
use std::collections::HashSet;

/// How long nobody must have worked on it, in microseconds: the server's two lists are not of one moment.
const IDLE: i64 = 100_000;

/// Ends what nobody will end, and says how much that was.
///
/// # Errors
/// The driver's, for instance that the server does not tell what it is doing.
pub(super) async fn end(store: &Store) -> Result<u64, StoreError> {
    let admin = store.client.database("admin");
    let all = doc! { "$currentOp": { "allUsers": false, "idleConnections": true, "idleSessions": true } };
    let fields = doc! { "$project": {
        "type": 1, "active": 1, "appName": 1, "connectionId": 1, "lsid": 1, "idle": "$transaction.timeInactiveMicros",
    } };
    // What the server does now is nothing that a majority could have agreed on.
    let question = admin.aggregate([all, fields]).read_concern(ReadConcern::local());
    let seen: Vec<Document> = answer(async { question.await?.try_collect().await }).await?;
    let is_session = |seen: &&Document| seen.get_str("type").is_ok_and(|kind| kind == "idleSession");
    let open: HashSet<i64> =
        seen.iter().filter(|seen| !is_session(seen)).filter_map(|seen| whole(seen, "connectionId")).collect();
    let orphaned = |seen: &&Document| {
        let closed = whole(seen, "connectionId").is_some_and(|connection| !open.contains(&connection));
        let idle = whole(seen, "idle").is_some_and(|idle| idle > IDLE) && seen.get_bool("active").is_ok_and(|active| !active);
        closed && idle && seen.get_str("appName").is_ok_and(|name| name == super::APP)
    };
    let orphans = seen.iter().filter(is_session).filter(orphaned);
    let ids: Vec<Document> = orphans.filter_map(|seen| Some(doc! { "id": seen.get_document("lsid").ok()?.get("id")? })).collect();
    if ids.is_empty() {
        return Ok(0);
    }
    let ended = ids.len() as u64;
    answer(admin.run_command(doc! { "killSessions": ids })).await?;
    tracing::warn!(transactions = ended, "a process died in the middle of a transaction, which is ended now");
    Ok(ended)
}

/// The server counts in whatever kind of number is wide enough.
fn whole(seen: &Document, field: &str) -> Option<i64> {
    match seen.get(field)? {
        Bson::Int32(number) => Some(i64::from(*number)),
        Bson::Int64(number) => Some(*number),
        _ => None,
    }
}
