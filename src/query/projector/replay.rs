//! Fills a generation from the log: the projector's own fold and write path, without queues. Nobody reads the
//! generation and nobody else writes it, so batches go through lanes side by side. A lane has all events of a key, in
//! order.

use super::{
    Settings,
    batch::{Message, Work},
    duty::Duty,
    isolate,
    waiting::{self, Waiting, diagnosis},
    working_set::Arrived,
};
use crate::{
    clock::Clock,
    event::{self, Envelope, Event, Stream, UserEvent},
    query::store::{Store, StoreError, answer, names},
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
#[derive(Debug)]
pub struct Unreadable {
    pub partition_key: Uuid,
    pub stream: Stream,
    pub version: i64,
    pub error: event::Unreadable,
    /// As the relay sends it.
    pub message: Vec<u8>,
}

/// Projects events of the log into the generation of this store. Events of a stream come in order, over all calls. What an
/// operator has discarded is skipped, see `skip`.
///
/// # Errors
/// The driver's; the generation is of no use then.
pub async fn replay(
    store: &Store,
    settings: &Settings,
    events: Vec<Envelope>,
    unreadable: Vec<Unreadable>,
    clock: &Clock,
) -> Result<(), StoreError> {
    let mut lanes: Vec<Work> = vec![Work::default(); LANES];
    for envelope in events {
        let lane = lane(envelope.meta.partition_key);
        // The log does not say when it was published; it was not before this.
        let published_at = envelope.meta.recorded_at;
        let arrived = Arrived { envelope, partition: partition(lane), published_at };
        lanes[lane].messages.push(Message { arrived, body: Vec::new() });
    }
    for event in unreadable {
        let lane = lane(event.partition_key);
        lanes[lane].unreadable.push(parked(store, event, partition(lane), clock).await?);
    }
    let duty = Duty { live: false, guarded: false, fold: settings.fold };
    let project = |work: Work| {
        let duty = &duty;
        // The log is walked orders first. A new name must find its user there, or it could not go ahead to all orders in pieces.
        let (names, messages): (Vec<_>, Vec<_>) = work.messages.into_iter().partition(is_new_name);
        async move {
            let others = Arc::new(Work { messages, unreadable: work.unreadable, ..Work::default() });
            isolate::project(store, duty, &others, settings.tail, clock).await?;
            if !names.is_empty() {
                let names = Arc::new(Work { messages: names, ..Work::default() });
                isolate::project(store, duty, &names, settings.tail, clock).await?;
            }
            Ok(())
        }
    };
    let full = lanes.into_iter().filter(|work| !work.messages.is_empty() || !work.unreadable.is_empty());
    try_join_all(full.map(project)).await.map(|_| ())
}

fn is_new_name(message: &Message) -> bool {
    matches!(message.arrived.envelope.event, Event::User(UserEvent::ProfileUpdated { .. }))
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

/// Such an event waits in the live generation too, where its message came from a partition of the broker.
async fn parked(store: &Store, event: Unreadable, partition: i32, clock: &Clock) -> Result<Waiting, StoreError> {
    let id = waiting::key(event.stream, event.version);
    let live = store.of(store.look().await?.live.id);
    let known = answer(live.collection::<Waiting>(names::WAITING).find_one(doc! { "_id": &id })).await?;
    let now = clock.now();
    let (partition, published_at) = known.map_or((partition, now), |known| (known.partition, known.published_at));
    let waiting = Waiting::unreadable(&event.message, &event.error, partition, published_at, now);
    // The log knows whose it is, whatever the message says.
    let (code, cause) = diagnosis(&event.error);
    Ok(Waiting { id, stream: event.stream.to_string(), version: event.version, code, cause, ..waiting })
}
