//! What an operator can see and do about streams that stand still. It works on the same collections by the same transaction as
//! the projectors, from whatever process, while they run. Every step is whole or has not happened: killed anywhere, it is run
//! again.
//!
//! What is seen is the live generation's. What is done is done there first, and then in those that are kept or have been built
//! beside it: they got the same events, and one of them may be live tomorrow. A generation of another fold is left to processes
//! of that version. Whoever is killed between the two, or works while a generation is filled from the log, need not come again:
//! projectors carry a discard over ([`watch`](super::watch)), and a switch does with both before it happens (`rebuild::apart`).
//!
//! **A step and a switch exclude each other.** A step changes a guard of its generation, so one that comes between the switch's
//! last look at both and the switch itself keeps that from happening, and it looks again.

use super::{
    duty::{self, Fold},
    guard,
    hands::{self, Hands},
    room::Head,
    skip::Discard,
    waiting::{STRAYS, Waiting},
};
use crate::{
    clock::Clock,
    crash,
    event::Stream,
    query::{
        store::{Store, StoreError, answer, names},
        view::{Cause, date},
    },
    value::{OrderId, ProductId, Time, UserId},
};
use futures_util::TryStreamExt;
use mongodb::bson::{DateTime, Document, doc};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// How often something is begun anew because another generation became live meanwhile. That is rare, and over in a second.
const SWITCHES: u32 = 3;

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
    fold: Fold,
    clock: Clock,
}

impl Operator {
    pub fn new(store: Store, fold: Fold, clock: Clock) -> Self {
        Self { store, fold, clock }
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
        let parked = self.store.live().await?.collection::<Document>(names::PARKED);
        let find = parked.aggregate([doc! { "$group": group }, doc! { "$project": flat }]).with_type::<Found>();
        let found: Vec<Found> = answer(async { find.await?.try_collect().await }).await?;
        let mut groups: BTreeMap<Cause, Group> = BTreeMap::new();
        for found in found {
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
        hands::heads(&self.store.live().await?, cause, after, most).await
    }

    /// One stream that stands still, with the first of what waits.
    pub async fn look(&self, stream: &str, most: i64) -> Result<Option<(Head, Vec<Waiting>)>, StoreError> {
        hands::look(&self.store.live().await?, stream, most).await
    }

    /// Applies what waits of a stream, in order, as far as it goes.
    pub async fn retry(&self, name: &str) -> Result<Retried, StoreError> {
        let mut switches = 0;
        let (done_in, retried) = loop {
            let hands = self.live().await?;
            match hands.retry(name).await {
                Err(error) if guard::is_stale(&error) => self.begin_anew(&mut switches).await?,
                done => break (hands.store.generation(), done?),
            }
        };
        crash::point("between-generations");
        for hands in self.others(done_in).await {
            told(&hands, name, hands.retry(name).await.map(drop));
        }
        Ok(retried)
    }

    /// Sets one waiting event aside and goes on with what waits behind it; see `skip` for what that means.
    pub async fn discard(&self, event: &str, wish: Discard) -> Result<SetAside, StoreError> {
        let mut switches = 0;
        let (done_in, done) = loop {
            let hands = self.live().await?;
            match hands.discard(event, wish.clone()).await {
                Err(error) if guard::is_stale(&error) => self.begin_anew(&mut switches).await?,
                done => break (hands.store.generation(), done?),
            }
        };
        if matches!(done, SetAside::Done(_)) {
            crash::point("between-generations");
            for hands in self.others(done_in).await {
                // The record says what has been decided. Whether the event would be next here is not asked again.
                told(&hands, event, hands.honour().await);
            }
        }
        Ok(done)
    }

    /// Does in a generation what has been decided about its events elsewhere; nothing where no process of this version projects
    /// it.
    ///
    /// # Errors
    /// The driver's.
    pub(in crate::query) async fn honour_in(&self, generation: i32) -> Result<(), StoreError> {
        match self.hands(generation).await? {
            Some(hands) => hands.honour().await,
            None => Ok(()),
        }
    }

    /// Applies what waits of a stream in one generation, as far as it goes; nothing where no process of this version projects it.
    ///
    /// # Errors
    /// The driver's.
    pub(in crate::query) async fn retry_in(&self, generation: i32, name: &str) -> Result<(), StoreError> {
        match self.hands(generation).await? {
            Some(hands) => hands.retry(name).await.map(drop),
            None => Ok(()),
        }
    }

    async fn live(&self) -> Result<Hands, StoreError> {
        loop {
            let live = self.store.look().await?.live;
            match self.hands(live.id).await? {
                Some(hands) if hands.duty.live => return Ok(hands),
                // Another is live by now.
                Some(_) => {}
                None => {
                    let (id, fold, ours) = (live.id, live.fold, self.fold.version);
                    return Err(StoreError::custom(format!(
                        "the live read model, generation {id}, is written by fold {fold} and this version has fold {ours}: \
                         use the version that wrote it"
                    )));
                }
            }
        }
    }

    /// Every generation that processes of this version project, the live one first.
    ///
    /// # Errors
    /// The driver's.
    pub(super) async fn all(&self) -> Result<Vec<Hands>, StoreError> {
        let registry = self.store.look().await?;
        let mut all = Vec::new();
        for generation in registry.projected_by(self.fold.version) {
            all.extend(self.hands(generation.id).await?);
        }
        Ok(all)
    }

    /// All but the one in which something has been done. What cannot be done there must not hide that.
    async fn others(&self, done_in: i32) -> Vec<Hands> {
        let all = self.all().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the read models that are not live were not looked at");
            Vec::new()
        });
        all.into_iter().filter(|hands| hands.store.generation() != done_in).collect()
    }

    /// Nothing when no process of this version projects it.
    async fn hands(&self, generation: i32) -> Result<Option<Hands>, StoreError> {
        let store = self.store.of(generation);
        let duty = duty::learn(&store, self.fold).await?;
        Ok(duty.map(|duty| Hands { store, duty, clock: self.clock.clone() }))
    }

    async fn begin_anew(&self, switches: &mut u32) -> Result<(), StoreError> {
        *switches += 1;
        if *switches > SWITCHES {
            return Err(StoreError::custom(
                "the guards of the live read model are missing: start a projector, which makes them, and try again",
            ));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        Ok(())
    }
}

fn told(hands: &Hands, what: &str, done: Result<(), StoreError>) {
    if let Err(error) = done {
        let generation = hands.store.generation();
        tracing::warn!(generation, what, %error, "it is done in the live read model, but not in this other one");
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
