//! What an operator can see and do about streams that stand still. It works on the same collections by the same transaction as
//! the projectors, from whatever process, while they run. Every step is whole or has not happened: killed anywhere, it is run
//! again.

use super::{
    batch::{Message, Tally, Task, Work, attempt},
    isolate::{condemn, lasting},
    rename,
    room::Head,
    skip::Discard,
    waiting::{STRAYS, Waiting},
};
use crate::{
    clock::Clock,
    event::Stream,
    query::{
        store::{Store, StoreError, names},
        view::{Cause, date},
    },
    value::{OrderId, ProductId, Time, UserId},
};
use futures_util::TryStreamExt;
use mongodb::{
    bson::{DateTime, Document, doc},
    error::TRANSIENT_TRANSACTION_ERROR,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Waiting events that are applied in one transaction, so that projectors never wait long for it.
const CHUNK: usize = 100;
/// How often a transaction that lost all its races is begun anew, with a pause between: half a minute in all. A process that was
/// killed in the middle of a transaction holds what it has written for as long as the server lets it.
const PATIENCE: u32 = 150;
/// An operator adds nothing to the waiting room but what was taken from it.
const UNBOUNDED: usize = usize::MAX;

/// All that stands still for one cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    pub cause: Cause,
    pub aggregates: i64,
    /// Events that wait, those that are wrong included.
    pub events: i64,
    #[serde(with = "time::serde::rfc3339")]
    pub oldest: Time,
    /// Aggregates by the type of the event that is wrong.
    pub kinds: BTreeMap<String, i64>,
}

/// What came of a retry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retried {
    /// It does not stand still (any more, or never did).
    NotParked,
    /// Everything that waited has been applied: so many events.
    Current(u64),
    /// So many have been applied, and then it stopped here.
    Still(u64, Box<Head>),
}

/// What came of a discard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetAside {
    /// No such event waits.
    NotWaiting,
    /// It cannot be done, and why.
    Refused(String),
    /// It is done, and what waited behind it was retried.
    Done(Retried),
}

/// The operator's hands. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Operator {
    store: Store,
    clock: Clock,
}

impl Operator {
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// All that stands still, by cause.
    ///
    /// # Errors
    /// The driver's, as for all of these.
    pub async fn groups(&self) -> Result<Vec<Group>, StoreError> {
        #[derive(Deserialize)]
        struct Found {
            cause: Cause,
            kind: Option<String>,
            aggregates: i64,
            events: i64,
            oldest: DateTime,
        }
        let one = doc! { "$sum": 1_i64 };
        let group = doc! { "_id": { "cause": "$cause", "kind": "$kind" }, "aggregates": one, "events": { "$sum": "$waiting" },
        "oldest": { "$min": "$since" } };
        let kind = doc! { "$ifNull": ["$_id.kind", null] };
        let flat = doc! { "_id": 0, "cause": "$_id.cause", "kind": kind, "aggregates": 1, "events": 1, "oldest": 1 };
        let parked = self.store.collection::<Document>(names::PARKED);
        let found = parked.aggregate([doc! { "$group": group }, doc! { "$project": flat }]).with_type::<Found>().await?;
        let mut groups: BTreeMap<Cause, Group> = BTreeMap::new();
        for found in found.try_collect::<Vec<_>>().await? {
            let (cause, oldest) = (found.cause, date::from_bson(found.oldest));
            let empty = Group { cause, aggregates: 0, events: 0, oldest, kinds: BTreeMap::new() };
            let group = groups.entry(cause).or_insert(empty);
            group.aggregates += found.aggregates;
            group.events += found.events;
            group.oldest = group.oldest.min(oldest);
            *group.kinds.entry(found.kind.unwrap_or_else(|| "unknown".to_owned())).or_default() += found.aggregates;
        }
        Ok(groups.into_values().collect())
    }

    /// Streams that stand still, in the order of their names, after the given one.
    pub async fn heads(&self, cause: Option<Cause>, after: Option<&str>, most: i64) -> Result<Vec<Head>, StoreError> {
        let mut filter = doc! { "_id": { "$gt": after.unwrap_or_default() } };
        if let Some(cause) = cause {
            filter.insert("cause", cause.code());
        }
        let parked = self.store.collection::<Head>(names::PARKED);
        parked.find(filter).sort(doc! { "_id": 1 }).limit(most).await?.try_collect().await
    }

    /// One stream that stands still, with the first of what waits.
    pub async fn look(&self, stream: &str, most: i64) -> Result<Option<(Head, Vec<Waiting>)>, StoreError> {
        let Some(head) = self.head(stream).await? else { return Ok(None) };
        let waiting = self.store.collection::<Waiting>(names::WAITING);
        let events = waiting.find(doc! { "stream": stream }).sort(doc! { "version": 1 }).limit(most).await?;
        Ok(Some((head, events.try_collect().await?)))
    }

    async fn head(&self, stream: &str) -> Result<Option<Head>, StoreError> {
        self.store.collection::<Head>(names::PARKED).find_one(doc! { "_id": stream }).await
    }

    /// Applies what waits of a stream, in order, as far as it goes.
    pub async fn retry(&self, name: &str) -> Result<Retried, StoreError> {
        let Ok(stream) = name.parse::<Stream>() else { return self.retry_strays().await };
        let (mut applied, mut most) = (0, CHUNK);
        loop {
            let Some((head, events)) = self.look(name, most as i64).await? else {
                return Ok(if applied > 0 { Retried::Current(applied) } else { Retried::NotParked });
            };
            let partition = events.first().map_or(head.partition, |event| event.partition);
            let task = Task::Reopen { stream, partition, most, discard: None };
            let readable: Vec<_> = events.iter().filter_map(Waiting::arrived).collect();
            let ahead = rename::ahead(&self.store, readable.iter(), &self.clock).await;
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
                    let message = first.map(|(arrived, body)| Message { arrived, body });
                    condemn(&self.store, message.as_slice(), UNBOUNDED, &self.clock, &error).await?;
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
        let mut strays = waiting.find(doc! { "stream": STRAYS }).await?;
        let mut found = Vec::new();
        while let Some(stray) = strays.try_next().await? {
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
        let Some(row) = waiting.find_one(named).await? else { return Ok(SetAside::NotWaiting) };
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
        let task = Task::Reopen { stream, partition: row.partition, most, discard };
        if !self.patiently(Work { task, ..Work::default() }).await?.discarded {
            return Ok(SetAside::Refused("it is not its turn any more; look again".into()));
        }
        Ok(SetAside::Done(self.retry(&row.stream).await?))
    }

    /// Projectors at work may win the race for a document several times.
    async fn patiently(&self, work: Work) -> Result<Tally, StoreError> {
        let work = Arc::new(work);
        let mut tries = 0;
        loop {
            match attempt(&self.store, &work, UNBOUNDED, &self.clock).await {
                Err(error) if error.contains_label(TRANSIENT_TRANSACTION_ERROR) && tries < PATIENCE => {
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis(rand::random_range(20..=100))).await;
                }
                done => return done,
            }
        }
    }
}

/// The name of a stream, from its own or from the id of an order, user or product.
///
/// # Errors
/// A sentence about what is wanted.
pub fn stream_named(text: &str) -> Result<String, String> {
    if text == STRAYS {
        return Ok(text.to_owned());
    }
    let by_id = text.parse::<OrderId>().map(Stream::Order);
    let by_id = by_id.or_else(|_| text.parse::<UserId>().map(Stream::User));
    let by_id = by_id.or_else(|_| text.parse::<ProductId>().map(Stream::Product));
    let stream = by_id.or_else(|_| text.parse::<Stream>());
    let wanted = "an aggregate is named by its id (order_0190…) or its stream (order/0190…, stock/0190…)";
    stream.map(|stream| stream.to_string()).map_err(|_| format!("{text:?} names none: {wanted}"))
}
