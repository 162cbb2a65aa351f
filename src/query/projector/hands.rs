//! What can be done about the streams of one generation that stand still. `operator` says of which.

use super::{
    batch::{Message, Tally, Task, Work, attempt},
    duty::Duty,
    guard,
    isolate::{condemn, lasting},
    operator::{Retried, SetAside},
    partition, rename,
    room::Head,
    skip::Discard,
    waiting::{STRAYS, Waiting},
};
use crate::{
    clock::Clock,
    event::Stream,
    query::{
        store::{Store, StoreError, answer, names},
        view::Cause,
    },
};
use futures_util::TryStreamExt;
use mongodb::{bson::doc, error::TRANSIENT_TRANSACTION_ERROR};
use std::{sync::Arc, time::Duration};

/// Waiting events that are applied in one transaction, so that projectors never wait long for it.
const CHUNK: usize = 100;
/// How often a transaction that lost all its races is begun anew, with a pause between: half a minute in all. Projectors may be
/// busy, and what a machine has locked that vanished is locked for as long as the server lets it be.
const PATIENCE: u32 = 150;
/// An operator adds nothing to the waiting room but what was taken from it.
const UNBOUNDED: usize = usize::MAX;

/// The views of one generation, and what is believed of it.
#[derive(Debug)]
pub struct Hands {
    pub store: Store,
    pub duty: Duty,
    pub clock: Clock,
}

/// Streams that stand still in a generation, in the order of their names, after the given one.
pub async fn heads(store: &Store, cause: Option<Cause>, after: Option<&str>, most: i64) -> Result<Vec<Head>, StoreError> {
    let mut filter = doc! { "_id": { "$gt": after.unwrap_or_default() } };
    if let Some(cause) = cause {
        filter.insert("cause", cause.code());
    }
    let parked = store.collection::<Head>(names::PARKED);
    answer(async { parked.find(filter).sort(doc! { "_id": 1 }).limit(most).await?.try_collect().await }).await
}

/// One of them, with the first of what waits.
pub async fn look(store: &Store, stream: &str, most: i64) -> Result<Option<(Head, Vec<Waiting>)>, StoreError> {
    let head = answer(store.collection::<Head>(names::PARKED).find_one(doc! { "_id": stream })).await?;
    let Some(head) = head else { return Ok(None) };
    let waiting = store.collection::<Waiting>(names::WAITING);
    let find = waiting.find(doc! { "stream": stream }).sort(doc! { "version": 1 }).limit(most);
    Ok(Some((head, answer(async { find.await?.try_collect().await }).await?)))
}

impl Hands {
    async fn head(&self, stream: &str) -> Result<Option<Head>, StoreError> {
        answer(self.store.collection::<Head>(names::PARKED).find_one(doc! { "_id": stream })).await
    }

    /// Applies what waits of a stream, in order, as far as it goes.
    pub async fn retry(&self, name: &str) -> Result<Retried, StoreError> {
        let Ok(stream) = name.parse::<Stream>() else { return self.retry_strays().await };
        let (mut applied, mut most) = (0, CHUNK);
        loop {
            let Some((head, mut events)) = look(&self.store, name, most as i64).await? else {
                return Ok(if applied > 0 { Retried::Current(applied) } else { Retried::NotParked });
            };
            let partition = match events.first() {
                Some(event) => partition::of(&self.store, stream, event).await?,
                None => head.partition,
            };
            for event in &mut events {
                event.partition = partition;
            }
            let task = Task::Reopen { stream, partition, most, discard: None };
            let readable: Vec<_> = events.iter().filter_map(Waiting::arrived).collect();
            let ahead = rename::ahead(&self.store, &self.duty, readable.iter(), &self.clock).await;
            let done = match ahead {
                Ok(()) => self.patiently(Work { task, ..Work::default() }).await,
                Err(error) => Err(error),
            };
            match done {
                Ok(tally) if tally.applied > 0 => applied += tally.applied,
                Ok(_) => {
                    let head = self.head(name).await?;
                    return Ok(head.map_or(Retried::Current(applied), |head| Retried::Still(applied, Box::new(head))));
                }
                // One of them spoils it for the others.
                Err(error) if lasting(&error) && most > 1 => most = 1,
                Err(error) if lasting(&error) => {
                    let first = events.first().and_then(|event| Some((event.arrived()?, event.body.clone().into_bytes())));
                    let messages = first.map(|(arrived, body)| Message { arrived, body }).into_iter().collect();
                    let work = guarded(Work { messages, ..Work::default() });
                    condemn(&self.store, &self.duty, &work, UNBOUNDED, &self.clock, &error).await?;
                    let head = self.head(name).await?.unwrap_or(head);
                    return Ok(Retried::Still(applied, Box::new(head)));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Applies the strays that this binary can read.
    async fn retry_strays(&self) -> Result<Retried, StoreError> {
        let waiting = self.store.collection::<Waiting>(names::WAITING);
        let strays: Vec<Waiting> = answer(async { waiting.find(doc! { "stream": STRAYS }).await?.try_collect().await }).await?;
        let mut found = Vec::new();
        for stray in strays {
            if let Ok(arrived) = stray.read() {
                found.push((stray.id.clone(), Message { arrived, body: stray.body.into_bytes() }));
            }
        }
        found.sort_by_key(|(_, message)| (message.arrived.envelope.meta.stream, message.arrived.envelope.meta.version));
        let mut applied = 0;
        for (id, message) in found {
            let task = Task::Strays { ids: vec![id], discard: None };
            applied += self.patiently(Work { messages: vec![message], task, ..Work::default() }).await?.applied;
        }
        let head = self.head(STRAYS).await?;
        Ok(match head {
            Some(head) => Retried::Still(applied, Box::new(head)),
            None if applied > 0 => Retried::Current(applied),
            None => Retried::NotParked,
        })
    }

    /// Sets one waiting event aside and goes on with what waits behind it; see `skip` for what that means.
    pub async fn discard(&self, event: &str, wish: Discard) -> Result<SetAside, StoreError> {
        let waiting = self.store.collection::<Waiting>(names::WAITING);
        let named = doc! { "$or": [{ "_id": event }, { "event": event }] };
        let Some(row) = answer(waiting.find_one(named)).await? else { return Ok(SetAside::NotWaiting) };
        let Ok(stream) = row.stream.parse::<Stream>() else {
            let task = Task::Strays { ids: vec![row.id], discard: Some(wish) };
            self.patiently(Work { task, ..Work::default() }).await?;
            return Ok(SetAside::Done(Retried::Current(0)));
        };
        let Some(head) = self.head(&row.stream).await? else { return Ok(SetAside::NotWaiting) };
        if row.version == 1 && !matches!(stream, Stream::Stock(_)) {
            let why = "it is the first event of its aggregate: without it there is nothing that later ones could change";
            return Ok(SetAside::Refused(why.into()));
        }
        let is_next = row.version == head.next || matches!(stream, Stream::Stock(_));
        if !is_next && !head.cause.is_poison() && row.reason == super::Reason::Gap {
            return Ok(SetAside::Refused(format!("nothing is wrong with it; version {} has not come yet", head.next)));
        }
        if !is_next && row.reason == super::Reason::Gap {
            return Ok(SetAside::Refused(format!("nothing is wrong with it; it waits for version {}", head.next)));
        }
        let discard = Some((row.version, wish));
        let most = if is_next { CHUNK } else { usize::MAX };
        let task = Task::Reopen { stream, partition: partition::of(&self.store, stream, &row).await?, most, discard };
        if !self.patiently(Work { task, ..Work::default() }).await?.discarded {
            return Ok(SetAside::Refused("it is not its turn any more; look again".into()));
        }
        Ok(SetAside::Done(self.retry(&row.stream).await?))
    }

    /// Projectors at work may win the race for a document several times.
    pub(super) async fn patiently(&self, work: Work) -> Result<Tally, StoreError> {
        let work = Arc::new(guarded(work));
        let mut tries = 0;
        loop {
            match attempt(&self.store, &self.duty, &work, UNBOUNDED, &self.clock).await {
                Err(error) if error.contains_label(TRANSIENT_TRANSACTION_ERROR) && tries < PATIENCE => {
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis(rand::random_range(20..=100))).await;
                }
                done => return done,
            }
        }
    }
}

/// With the guards of the partitions that it touches, as projectors have them; of strays that are thrown away, with any.
fn guarded(mut work: Work) -> Work {
    work.marks = guard::of(work.partitions());
    if work.marks.is_empty() {
        work.marks = guard::of([0]);
    }
    work
}
