//! What a transaction does to the waiting room and to what is told of it.

use super::{skip::Discarded, waiting::Waiting};
use crate::{
    event::Stream,
    query::{
        store::{Bulk, Store, StoreError, names},
        view::{Cause, Parked, date},
    },
    value::Time,
};
use mongodb::{
    ClientSession,
    bson::{doc, serialize_to_document},
};
use serde::{Deserialize, Serialize};

/// One stream that stands still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    /// The stream, or [`STRAYS`](super::waiting::STRAYS) for all messages that belong to none.
    #[serde(rename = "_id")]
    pub stream: String,
    pub cause: Cause,
    /// What exactly is wrong, for the operator, without personal data.
    pub detail: String,
    /// The version that must come, or be mended, before anything later can be applied.
    pub next: i64,
    /// The type of that event, if it is here and can be told.
    #[serde(default)]
    pub kind: Option<String>,
    pub partition: i32,
    #[serde(with = "date")]
    pub since: Time,
    /// Events in the waiting room, the one that is wrong included.
    pub waiting: i64,
    /// The first and the last version that came and were not kept. For strays: 1 and how many.
    #[serde(default)]
    pub missing: Option<(i64, i64)>,
}

/// What a transaction does to the waiting room.
#[derive(Debug, Default)]
pub struct WaitingRoom {
    pub entered: Vec<Waiting>,
    /// Ids of what waits no longer.
    pub left: Vec<String>,
    /// Streams that stand still now, or otherwise than before.
    pub heads: Vec<Head>,
    /// Streams that go on.
    pub gone: Vec<String>,
    /// What the documents say of themselves from now on.
    pub marks: Vec<(Stream, Option<Parked>)>,
    pub discards: Vec<Discarded>,
}

impl WaitingRoom {
    /// Comes after the documents: a mark is written beside what they are now.
    pub async fn write(&self, store: &Store, session: &mut ClientSession) -> Result<(), StoreError> {
        let mut waiting = Bulk::default();
        for event in &self.entered {
            waiting.upsert(doc! { "_id": &event.id }, serialize_to_document(event)?);
        }
        for id in &self.left {
            waiting.delete(doc! { "_id": id });
        }
        waiting.send(store, session, names::WAITING).await?;

        let mut parked = Bulk::default();
        for head in &self.heads {
            parked.upsert(doc! { "_id": &head.stream }, serialize_to_document(head)?);
        }
        for stream in &self.gone {
            parked.delete(doc! { "_id": stream });
        }
        parked.send(store, session, names::PARKED).await?;
        self.write_marks(store, session).await?;

        let mut discards = Bulk::default();
        for discarded in &self.discards {
            let mut record = serialize_to_document(discarded)?;
            record.remove("_id");
            // Who was first has decided it.
            discards.upsert(doc! { "_id": &discarded.id }, doc! { "$setOnInsert": record });
        }
        discards.send(store, session, names::DISCARDS).await
    }

    async fn write_marks(&self, store: &Store, session: &mut ClientSession) -> Result<(), StoreError> {
        let (mut orders, mut users, mut products) = (Bulk::default(), Bulk::default(), Bulk::default());
        for (stream, mark) in &self.marks {
            let (bulk, id) = match stream {
                Stream::Order(id) => (&mut orders, id.to_string()),
                Stream::User(id) => (&mut users, id.to_string()),
                Stream::Product(id) => (&mut products, id.to_string()),
                // The next level overtakes one that is stuck.
                Stream::Stock(_) => continue,
            };
            let update = match mark {
                Some(mark) => doc! { "$set": { "parked": serialize_to_document(mark)? } },
                None => doc! { "$unset": { "parked": "" } },
            };
            // A document that does not exist yet has nothing to mark.
            bulk.update(doc! { "_id": id }, update);
        }
        orders.send(store, session, names::ORDERS).await?;
        users.send(store, session, names::USERS).await?;
        products.send(store, session, names::PRODUCTS).await
    }
}
