//! Streams that have come further in one generation than in the other when both are at rest. There are only those that
//! stand still in one of them: all others are where their queue is.
//!
//! At a switch that matters. Where the new one is behind, people would see a step back and hear versions twice; where
//! it is ahead, nobody would ever hear of some. So they are brought together first, and what operators do after that
//! keeps the switch from happening ([`Works::apart`] is asked once more when both are at rest). What cannot be brought
//! together is told: a number is left out in the change log, and whoever follows such an order gets `RESYNC`.

use super::{RebuildError, Works, places};
use crate::{
    event::Stream,
    query::{
        projector::{self, Head, Operator},
        store::{Store, StoreError, names},
    },
};
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Streams looked at in one piece.
const PAGE: i64 = 1_000;

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apart {
    stream: Stream,
    /// The versions of the two.
    live: i64,
    new: i64,
    /// Of the change log, where it is known.
    partition: Option<i32>,
    /// Whether it only waits in the live one, with nothing wrong: somebody was killed who let it go on.
    late: bool,
}

/// Streams that cannot be brought to where the live generation has them, with the version at which they stand in the new one.
pub type Stuck = BTreeMap<Stream, i64>;

impl Apart {
    /// Whether the new one is behind because of something that has been done since all was brought together.
    pub fn has_moved(&self, stuck: &Stuck) -> bool {
        self.new < self.live && stuck.get(&self.stream) != Some(&self.new)
    }
}

impl Works {
    /// Brings both together: what an operator has done in the live one is done in the new one, and what was left half done in the
    /// live one goes on. What does not help is noted in `stuck`, and not tried again.
    ///
    /// # Errors
    /// The driver's.
    pub async fn align(&self, live: i32, new: i32, stuck: &mut Stuck) -> Result<(), RebuildError> {
        let operator = Operator::new(self.store.clone(), self.settings.fold, self.clock.clone());
        operator.honour_in(new).await?;
        let apart = self.apart(live, new).await?;
        let mut tried = false;
        for apart in &apart {
            let name = apart.stream.to_string();
            if apart.has_moved(stuck) {
                operator.retry_in(new, &name).await?;
            } else if apart.live < apart.new && apart.late {
                operator.retry_in(live, &name).await?;
            } else {
                continue;
            }
            tried = true;
        }
        if tried {
            let behind = self.apart(live, new).await?.into_iter().filter(|apart| apart.new < apart.live);
            *stuck = behind.map(|apart| (apart.stream, apart.new)).collect();
        }
        Ok(())
    }

    /// What stands still in one of them and has come further in the other. It means something while both are at rest.
    ///
    /// # Errors
    /// The driver's.
    pub async fn apart(&self, live: i32, new: i32) -> Result<Vec<Apart>, RebuildError> {
        Ok(find(&self.store.of(live), &self.store.of(new)).await?)
    }

    /// Tells whoever follows these orders, of which the new one has something else than they have heard.
    ///
    /// # Errors
    /// The driver's.
    pub async fn tell_apart(&self, new: i32, apart: &[Apart]) -> Result<(), RebuildError> {
        let order =
            |apart: &Apart| matches!(apart.stream, Stream::Order(_)).then(|| apart.partition.map(|p| (apart.stream.id(), p)));
        let orders: Vec<(String, i32)> = apart.iter().filter_map(order).flatten().collect();
        if orders.is_empty() {
            return Ok(());
        }
        tracing::warn!(orders = orders.len(), "what stands still in one read model is further in the other; followers are told");
        let partitions: BTreeSet<i32> = orders.iter().map(|(_, partition)| *partition).collect();
        let holes = places::leave_a_hole(&self.store, Some(&partitions)).await?;
        Ok(places::put_last(&self.store.of(new), &orders, &holes).await?)
    }
}

async fn find(live: &Store, new: &Store) -> Result<Vec<Apart>, StoreError> {
    let mut found = BTreeMap::new();
    for (store, is_live) in [(live, true), (new, false)] {
        let mut after = String::new();
        loop {
            let heads = projector::heads(store, None, Some(&after), PAGE).await?;
            let Some(last) = heads.last() else { break };
            after.clone_from(&last.stream);
            let heads: BTreeMap<Stream, Head> =
                heads.into_iter().filter_map(|head| Some((head.stream.parse().ok()?, head))).collect();
            let (left, right) = (versions(live, &heads).await?, versions(new, &heads).await?);
            for (stream, head) in heads {
                let [(live, place), (new, _)] = [&left, &right].map(|side| side.get(&stream).copied().unwrap_or_default());
                if live == new {
                    continue;
                }
                // What a replay has let wait came from no partition. Where the live one has no order it has the message.
                let partition = place.or(Some(head.partition).filter(|partition| *partition >= 0));
                let apart = found.entry(stream).or_insert(Apart { stream, live, new, partition, late: false });
                apart.partition = apart.partition.or(partition);
                apart.late |= is_live && !head.cause.is_poison();
            }
        }
    }
    Ok(found.into_values().collect())
}

/// How far a generation has come with these streams, and where in the change log orders have their place.
async fn versions(store: &Store, streams: &BTreeMap<Stream, Head>) -> Result<HashMap<Stream, (i64, Option<i32>)>, StoreError> {
    let mut versions = HashMap::new();
    for (view, field, kind) in [
        (names::ORDERS, "version", "order"),
        (names::USERS, "version", "user"),
        (names::PRODUCTS, "version", "product"),
        (names::PRODUCTS, "stockVersion", "stock"),
    ] {
        let these: HashMap<String, Stream> =
            streams.keys().filter(|stream| stream.kind() == kind).map(|stream| (stream.id(), *stream)).collect();
        if these.is_empty() {
            continue;
        }
        let documents = store.collection::<Document>(view);
        let find = documents
            .find(doc! { "_id": { "$in": these.keys().collect::<Vec<_>>() } })
            .projection(doc! { field: 1, "change.p": 1 });
        let found: Vec<Document> = find.await?.try_collect().await?;
        let version = |document: &Document| {
            let stream = these.get(document.get_str("_id").ok()?)?;
            let place = document.get_document("change").ok().and_then(|change| change.get_i32("p").ok());
            Some((*stream, (document.get_i64(field).ok()?, place.filter(|partition| *partition >= 0))))
        };
        versions.extend(found.iter().filter_map(version));
    }
    Ok(versions)
}
