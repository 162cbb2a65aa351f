//! Finds the one event that spoils a batch. A transaction may fail for a reason that lies in the data and stays: a document that
//! cannot be loaded or has grown too large, a write that MongoDB refuses, a fold that panics. Delivering the batch again would
//! fail again, for ever, and hold up everybody in it.
//!
//! So the batch is halved until one event is left, which is tried [`ATTEMPTS`] times and then parked. Decoding and folding are
//! pure, so an event that they refuse is not tried again: nothing could be otherwise. And what lies in the servers (away,
//! electing, full) is no fault of an event: then the batch comes again for as long as it takes, and nothing is parked.

use super::{
    batch::{Tally, Task, Work, attempt},
    duty::Duty,
    guard, rename, waiting,
};
use crate::{
    clock::Clock,
    query::store::{Spoilt, Store, StoreError},
};
use mongodb::error::ErrorKind;
use std::{sync::Arc, time::Duration};

/// How often an event is tried alone before it is called poison.
const ATTEMPTS: u32 = 3;
/// Between the attempts: 30 ms, then twice that. Everybody waits as long, so it is short; it happens once to a poisonous event.
const PAUSE: Duration = Duration::from_millis(30);

/// Projects a batch, whatever is wrong with single events of it.
///
/// # Errors
/// The servers', or that the generation is not what was believed of it (`guard::is_stale`). Part of the batch may have been
/// projected, which its next delivery finds out.
pub async fn project(store: &Store, duty: &Duty, work: &Arc<Work>, tail: usize, clock: &Clock) -> Result<Tally, StoreError> {
    let mut total = Tally::default();
    // What is left to do, the next last.
    let mut todo = vec![Arc::clone(work)];
    while let Some(work) = todo.pop() {
        let done = match try_once(store, duty, &work, tail, clock).await {
            Err(error) if lasting(&error) && work.messages.len() + work.unreadable.len() > 1 => {
                todo.extend(halves(&work).into_iter().map(Arc::new));
                continue;
            }
            Err(error) if lasting(&error) && work.messages.len() == 1 => insist(store, duty, &work, tail, clock, error).await?,
            other => other?,
        };
        total.applied += done.applied;
        total.duplicate += done.duplicate;
        total.waiting += done.waiting;
    }
    Ok(total)
}

async fn try_once(store: &Store, duty: &Duty, work: &Arc<Work>, tail: usize, clock: &Clock) -> Result<Tally, StoreError> {
    rename::ahead(store, duty, work.messages.iter().map(|message| &message.arrived), clock).await?;
    attempt(store, duty, work, tail, clock).await
}

/// The later half first, since the last is done next. What is done at the end has the marks: they say that all before them has
/// been projected.
fn halves(work: &Work) -> Vec<Work> {
    let mut messages = work.messages.clone();
    let later = messages.split_off(messages.len() / 2);
    let unread = work.unreadable.iter().map(|waiting| Work { unreadable: vec![waiting.clone()], ..Work::default() });
    let halves = [later, messages].into_iter().filter(|half| !half.is_empty());
    let mut parts: Vec<Work> = halves.map(|messages| Work { messages, ..Work::default() }).chain(unread).collect();
    for part in &mut parts {
        part.marks = guard::of(part.partitions());
    }
    if let Some(end) = parts.first_mut() {
        end.marks = work.marks.clone();
    }
    parts
}

/// Tries one event again, and parks it in the end.
async fn insist(
    store: &Store,
    duty: &Duty,
    work: &Arc<Work>,
    tail: usize,
    clock: &Clock,
    mut error: StoreError,
) -> Result<Tally, StoreError> {
    for attempt in 1..ATTEMPTS {
        tokio::time::sleep(PAUSE * attempt).await;
        match try_once(store, duty, work, tail, clock).await {
            Err(again) if lasting(&again) => error = again,
            other => return other,
        }
    }
    let meta = work.messages.first().map(|message| &message.arrived.envelope.meta);
    let (stream, version) = meta.map(|meta| (meta.stream.to_string(), meta.version)).unwrap_or_default();
    tracing::error!(stream, version, why = why(&error), "an event cannot be projected and is parked");
    condemn(store, duty, work, tail, clock, &error).await
}

/// Parks the one event of this work without touching its document.
pub async fn condemn(
    store: &Store,
    duty: &Duty,
    work: &Work,
    tail: usize,
    clock: &Clock,
    error: &StoreError,
) -> Result<Tally, StoreError> {
    let work = |mark| {
        let task = Task::Condemn { why: why(error), mark };
        Arc::new(Work { messages: work.messages.clone(), marks: work.marks.clone(), task, ..Work::default() })
    };
    match attempt(store, duty, &work(true), tail, clock).await {
        // The document takes not even the mark.
        Err(again) if lasting(&again) => attempt(store, duty, &work(false), tail, clock).await,
        other => other,
    }
}

/// What happened, without the server's whole answer and without values: both may be personal.
pub fn why(error: &StoreError) -> String {
    let spoilt = error.get_custom::<Spoilt>().map(|Spoilt(why)| why.clone());
    waiting::without_values(&spoilt.unwrap_or_else(|| error.kind.to_string()))
}

/// Whether an error lies in the data, so that the same would fail again.
pub fn lasting(error: &StoreError) -> bool {
    /// BadValue, NoSuchKey, FailedToParse, TypeMismatch, Overflow, PathNotViable, ImmutableField, DocumentValidationFailure,
    /// BSONObjectTooLarge, DuplicateKey, and two older codes of documents that would become too large.
    const OF_DATA: [i32; 12] = [2, 4, 9, 14, 15, 28, 66, 121, 10_334, 11_000, 17_419, 17_420];
    match &*error.kind {
        ErrorKind::BsonDeserialization(_)
        | ErrorKind::BsonSerialization(_)
        | ErrorKind::Bson(_)
        | ErrorKind::InvalidResponse { .. } => true,
        // Our own: writes that were refused, a fold that panicked.
        ErrorKind::Custom(_) => error.get_custom::<Spoilt>().is_some(),
        ErrorKind::Command(refused) => OF_DATA.contains(&refused.code),
        _ => false,
    }
}
