//! Which partition a waiting event belongs to. What came from the broker says so. What a replay has let wait came from no
//! partition, and has a number below zero; in the live generation its change must stand in the log where the other changes of the
//! same key stand, or followers would lose the thread.
//!
//! A key never changes its partition, so any order of the same customer tells. Without one nobody can have a place to lose.

use super::waiting::Waiting;
use crate::{
    event::Stream,
    query::store::{Store, StoreError, answer, names},
    value::UserId,
};
use mongodb::bson::{Document, doc};
use uuid::Uuid;

/// The partition of a waiting event, never below zero.
///
/// # Errors
/// The driver's.
pub async fn of(store: &Store, stream: Stream, waiting: &Waiting) -> Result<i32, StoreError> {
    if waiting.partition >= 0 {
        return Ok(waiting.partition);
    }
    let customer = match stream {
        Stream::User(id) => Some(id),
        Stream::Order(_) => waiting.attribute("partitionkey").and_then(|key| Uuid::parse_str(&key).ok()).map(UserId),
        // Changes of these are not logged.
        Stream::Product(_) | Stream::Stock(_) => return Ok(0),
    };
    let mut same = vec![doc! { "_id": stream.id() }];
    same.extend(customer.map(|id| doc! { "customer.id": id.to_string() }));
    let orders = store.collection::<Document>(names::ORDERS);
    let find = orders.find_one(doc! { "$or": same, "change.p": { "$gte": 0 } }).projection(doc! { "change.p": 1 });
    let found = answer(find).await?;
    let partition = found.as_ref().and_then(|order| order.get_document("change").ok()?.get_i32("p").ok());
    Ok(partition.unwrap_or_default())
}
