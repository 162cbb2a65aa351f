//! Events that an operator has set aside, and how everybody who folds honours that.
//!
//! **The rule.** A discarded event counts as a version and has no effect. The document goes from version n-1 to n and is
//! otherwise what it was; an order's history gets an entry of the kind `EVENT_DISCARDED`, and so do its subscribers, so that no
//! version is missing anywhere. What comes after is folded as ever; if it does not follow from a document without the discarded
//! effect, it is parked in its turn.
//!
//! **The record.** Who did it, when and why stands in the collection `discards`, under stream and version (`order/0190…:2`),
//! written in the transaction that skips the event. It is never removed. Whoever folds the log anew, be it to compare (`verify`)
//! or to build (`rebuild`), reads it first ([`discarded`]) and calls [`WorkingSet::skip`] in place of `apply` for those events;
//! then the result is the document that is there. Projectors of generations that are not live do the same, batch by batch.
//! Removing a record and rebuilding is how a discard is undone.
//!
//! A first event cannot be set aside: there would be nothing that later ones could change. Stock is the exception, since its
//! levels are absolute. A message whose version has not come (`skips: false`), or that belongs to no stream, is only thrown
//! away: no event of the log is skipped for it.

use super::{
    load,
    waiting::Waiting,
    working_set::{Arrived, Verdict, WorkingSet},
};
use crate::{
    event::Stream,
    query::{
        store::{Store, StoreError, answer, names},
        view::{Cause, EventKind, EventView, ProductView, date},
    },
    value::Time,
};
use futures_util::TryStreamExt;
use mongodb::{
    ClientSession,
    bson::{Document, doc},
};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use time::format_description::well_known::Rfc3339;

/// The record of a discard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Discarded {
    /// Stream and version, or the id of the message.
    #[serde(rename = "_id")]
    pub id: String,
    pub stream: String,
    pub version: i64,
    /// Whether the event of this version is skipped by every fold.
    pub skips: bool,
    #[serde(default)]
    pub event: Option<String>,
    #[serde(default)]
    pub kind: Option<String>,
    /// Why it was parked.
    pub code: Cause,
    pub cause: String,
    /// Who discarded it, when, and why.
    pub by: String,
    #[serde(with = "date")]
    pub at: Time,
    pub why: String,
}

/// An operator's wish.
#[derive(Debug, Clone)]
pub struct Discard {
    pub by: String,
    pub why: String,
}

impl Discarded {
    pub fn new(waiting: &Waiting, skips: bool, wish: &Discard, now: Time) -> Self {
        Self {
            // A message that is thrown away says nothing of the event whose version it claims.
            id: if skips { waiting.id.clone() } else { format!("{}/message", waiting.id) },
            stream: waiting.stream.clone(),
            version: waiting.version,
            skips,
            event: waiting.event.clone(),
            kind: waiting.kind(),
            code: waiting.code,
            cause: waiting.cause.clone(),
            by: wish.by.clone(),
            at: now,
            why: wish.why.clone(),
        }
    }
}

/// Every event that folds must skip, by stream and version. They are few: each was discarded by hand.
///
/// # Errors
/// The driver's.
pub async fn discarded(store: &Store) -> Result<HashSet<(Stream, i64)>, StoreError> {
    let records = store.collection::<Document>(names::DISCARDS);
    let find = records.find(doc! { "skips": true }).projection(places());
    let records: Vec<Document> = answer(async { find.await?.try_collect().await }).await?;
    Ok(records.iter().filter_map(place).collect())
}

/// The same, as a transaction sees it.
#[derive(Debug, Default)]
pub struct Discards(HashSet<(Stream, i64)>);

impl Discards {
    pub async fn load(store: &Store, session: &mut ClientSession) -> Result<Self, StoreError> {
        let which = doc! { "skips": true };
        let records = load::find::<Document>(store, session, names::DISCARDS, which, Some(places())).await?;
        Ok(Self(records.iter().filter_map(place).collect()))
    }

    pub fn has(&self, stream: Stream, version: i64) -> bool {
        self.0.contains(&(stream, version))
    }

    /// Applies an event that has come, or skips it.
    pub fn apply(&self, arrived: &Arrived, set: &mut WorkingSet, now: Time) -> Verdict {
        let meta = &arrived.envelope.meta;
        let discarded = self.has(meta.stream, meta.version) && meta.version > set.version(meta.stream);
        if discarded && set.skip(&Skipped::event(arrived), now) { Verdict::Applied } else { set.apply(arrived, now) }
    }

    /// Skips an event that waits and is next, if it was discarded.
    pub fn skip(&self, stream: Stream, waiting: &Waiting, set: &mut WorkingSet, now: Time) -> bool {
        let skipped = self.has(stream, waiting.version).then(|| Skipped::waiting(stream, waiting)).flatten();
        skipped.is_some_and(|skipped| set.skip(&skipped, now))
    }
}

fn places() -> Document {
    doc! { "_id": 0, "stream": 1, "version": 1 }
}

fn place(record: &Document) -> Option<(Stream, i64)> {
    Some((record.get_str("stream").ok()?.parse().ok()?, record.get_i64("version").ok()?))
}

/// What a fold must know of an event to skip it; little, since the event itself may not be readable.
#[derive(Debug, Clone)]
pub struct Skipped {
    pub stream: Stream,
    pub version: i64,
    pub partition: i32,
    pub id: String,
    pub command_id: String,
    pub recorded_at: Time,
    pub published_at: Time,
}

impl Skipped {
    /// As it stands in the waiting room.
    pub fn waiting(stream: Stream, waiting: &Waiting) -> Option<Self> {
        let recorded_at = waiting.attribute("time").and_then(|time| Time::parse(&time, &Rfc3339).ok());
        (waiting.stream == stream.to_string()).then(|| Self {
            stream,
            version: waiting.version,
            partition: waiting.partition,
            id: waiting.event.clone().unwrap_or_else(|| waiting.id.clone()),
            command_id: waiting.attribute("commandid").unwrap_or_else(|| waiting.id.clone()),
            recorded_at: recorded_at.unwrap_or(waiting.published_at),
            published_at: waiting.published_at,
        })
    }

    /// As it stands in the log, for who folds that.
    pub fn event(arrived: &Arrived) -> Self {
        let meta = &arrived.envelope.meta;
        Self {
            stream: meta.stream,
            version: meta.version,
            partition: arrived.partition,
            id: meta.id.to_string(),
            command_id: meta.command_id.as_str().to_owned(),
            recorded_at: meta.recorded_at,
            published_at: arrived.published_at,
        }
    }
}

impl WorkingSet {
    /// Counts a discarded event as a version, and nothing more; see the rule above. False when there is no document that could
    /// have this version next.
    pub fn skip(&mut self, skipped: &Skipped, now: Time) -> bool {
        let (stream, version) = (skipped.stream, skipped.version);
        let have = self.version(stream);
        if !matches!(stream, Stream::Stock(_)) && (have == 0 || version != have + 1) {
            return false;
        }
        match stream {
            Stream::Order(id) => {
                let Some(before) = self.orders.get(&id).cloned() else { return false };
                let mut after = before.clone();
                after.version = version;
                after.parked = None;
                after.updated_at = after.updated_at.max(skipped.recorded_at);
                let entry = EventView {
                    id: skipped.id.clone(),
                    version,
                    kind: EventKind::EventDiscarded,
                    // Who exactly is in the record; customers read this.
                    actor: "operator".to_owned(),
                    command_id: skipped.command_id.clone(),
                    summary: "A change was set aside by the operators; its effect is missing.".to_owned(),
                    committed_at: skipped.recorded_at,
                    published_at: skipped.published_at,
                    projected_at: now,
                    trace_id: None,
                };
                self.record_change(skipped.partition, Some(&before), after, entry, now);
            }
            Stream::User(id) => {
                if let Some(user) = self.users.get_mut(&id) {
                    user.version = version;
                    self.changed_users.insert(id);
                }
            }
            Stream::Product(id) => {
                if let Some(product) = self.products.get_mut(&id) {
                    product.version = version;
                    self.changed_products.insert(id);
                }
            }
            Stream::Stock(id) => {
                let product = self.products.entry(id).or_insert_with(|| ProductView::unknown(id));
                product.stock_version = product.stock_version.max(version);
                self.changed_products.insert(id);
            }
        }
        true
    }
}
