//! Fills a generation from the log: the projector's own fold and write path, without queues. Nobody reads the generation and
//! nobody
//! else writes it, so batches go through lanes side by side. A lane has all events of a key, in order.

use super::{
    Marks,
    duty::{Duty, Fold},
    waiting::{self, Reason, Waiting},
    work,
    working_set::Arrived,
};
use crate::{
    clock::Clock,
    event::{Envelope, Event, Stream, UserEvent},
    query::store::{Store, StoreError, names},
};
use futures_util::future::try_join_all;
use mongodb::bson::doc;
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};
use uuid::Uuid;

/// Transactions side by side. Each has buckets of sales to itself, as each partition has.
const LANES: usize = 4;

/// An event of the log that this version cannot read.
#[derive(Debug, Clone)]
pub struct Unreadable {
    pub partition_key: Uuid,
    pub stream: Stream,
    pub version: i64,
    pub cause: String,
}

/// Projects events of the log into the generation of this store. Events of a stream come in order, over all calls.
///
/// # Errors
/// The driver's; the generation is of no use then.
pub async fn replay(
    store: &Store,
    fold: Fold,
    events: Vec<Envelope>,
    unreadable: Vec<Unreadable>,
    clock: &Clock,
) -> Result<(), StoreError> {
    let mut lanes: Vec<(Vec<Arrived>, Vec<Waiting>)> = vec![Default::default(); LANES];
    for envelope in events {
        let lane = lane(envelope.meta.partition_key);
        // The log does not say when it was published; it was not before this.
        let published_at = envelope.meta.recorded_at;
        lanes[lane].0.push(Arrived { envelope, partition: partition(lane), published_at });
    }
    for event in unreadable {
        let lane = lane(event.partition_key);
        lanes[lane].1.push(parked(store, event, partition(lane), clock).await?);
    }
    let duty = Duty { live: false, guarded: false, fold };
    let no_marks = Arc::new(Marks::new());
    let work = |(events, unreadable): (Vec<Arrived>, Vec<Waiting>)| {
        let (duty, marks) = (&duty, &no_marks);
        // The log is walked orders first. A new name must find its user there, or it could not go ahead to all orders in pieces.
        let (names, others): (Vec<_>, Vec<_>) = events.into_iter().partition(is_new_name);
        async move {
            work(store, duty, &Arc::new(others), &Arc::new(unreadable), marks, clock).await?;
            if names.is_empty() {
                return Ok(());
            }
            work(store, duty, &Arc::new(names), &Arc::new(Vec::new()), marks, clock).await
        }
    };
    let full = lanes.into_iter().filter(|(events, unreadable)| !events.is_empty() || !unreadable.is_empty());
    try_join_all(full.map(work)).await.map(|_| ())
}

fn is_new_name(arrived: &Arrived) -> bool {
    matches!(arrived.envelope.event, Event::User(UserEvent::ProfileUpdated { .. }))
}

fn lane(key: Uuid) -> usize {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    usize::try_from(hasher.finish() % LANES as u64).unwrap_or_default()
}

/// No partition of the broker has a number below zero.
fn partition(lane: usize) -> i32 {
    -1 - i32::try_from(lane).unwrap_or_default()
}

/// Such an event waits in the live generation too, with its message.
async fn parked(store: &Store, event: Unreadable, partition: i32, clock: &Clock) -> Result<Waiting, StoreError> {
    let id = waiting::key(event.stream, event.version);
    let live = store.of(store.look().await?.live.id);
    let known = live.collection::<Waiting>(names::WAITING).find_one(doc! { "_id": &id }).await?;
    Ok(known.unwrap_or_else(|| {
        let now = clock.now();
        Waiting {
            id,
            stream: event.stream.to_string(),
            version: event.version,
            reason: Reason::Poison,
            cause: event.cause,
            since: now,
            partition,
            published_at: now,
            body: String::new(),
        }
    }))
}
