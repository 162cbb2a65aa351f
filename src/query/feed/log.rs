//! Reads the change log, a bounded part at a time.

use super::{Feed, Place, Positions};
use crate::{
    query::{
        store::{StoreError, answer, names},
        view::{Change, ChangeId},
    },
    value::{OrderId, UserId},
};
use futures_util::TryStreamExt;
use mongodb::bson::{Document, RawDocumentBuf, deserialize_from_slice, doc};

/// What a subscriber that catches up has in memory at most: so many changes, and no more of them than make up so many bytes. One
/// is always taken, however large.
const CHUNK: usize = 50;
const CHUNK_BYTES: usize = 256 * 1024;

/// A part of the log, in its order.
pub(super) struct Chunk {
    pub changes: Vec<Change>,
    /// Whether there may be more of what was asked for.
    pub more: bool,
}

impl Feed {
    /// The newest place of each partition.
    pub(super) async fn newest(&self) -> Result<Positions, StoreError> {
        let positions = self.store.collection::<Document>(names::POSITIONS);
        let found: Vec<Document> = answer(async { positions.find(doc! {}).await?.try_collect().await }).await?;
        let place = |position: Document| {
            // Counters of an earlier release have no epoch, and all the same one.
            let epoch = position.get_i64("epoch").unwrap_or_default();
            Some((position.get_i32("_id").ok()?, Place { epoch, number: position.get_i64("number").ok()? }))
        };
        Ok(found.into_iter().filter_map(place).collect())
    }

    /// The changes of a partition after `after`, up to and with `upto`; only a customer's, if one is given.
    pub(super) async fn changes(&self, after: ChangeId, upto: i64, customer: Option<UserId>) -> Result<Chunk, StoreError> {
        let mut filter = doc! { "_id.p": after.partition, "_id.s": { "$gt": after.number, "$lte": upto } };
        if let Some(customer) = customer {
            filter.insert("order.customer.id", customer.to_string());
        }
        self.read_log(filter).await
    }

    /// The changes of one order after `after`.
    pub(super) async fn changes_of(&self, order: OrderId, after: ChangeId) -> Result<Chunk, StoreError> {
        self.read_log(doc! { "order._id": order.to_string(), "_id.p": after.partition, "_id.s": { "$gt": after.number } }).await
    }

    async fn read_log(&self, filter: Document) -> Result<Chunk, StoreError> {
        let log = self.store.collection::<RawDocumentBuf>(names::CHANGES);
        answer(async {
            let mut found = log.find(filter).sort(doc! { "_id.s": 1 }).limit(CHUNK as i64).await?;
            let (mut changes, mut bytes) = (Vec::new(), 0);
            while let Some(document) = found.try_next().await? {
                bytes += document.as_bytes().len();
                if bytes > CHUNK_BYTES && !changes.is_empty() {
                    return Ok(Chunk { changes, more: true });
                }
                changes.push(deserialize_from_slice(document.as_bytes())?);
            }
            let more = changes.len() >= CHUNK;
            Ok(Chunk { changes, more })
        })
        .await
    }

    /// Whether the log still has the change after `after`; old ones are dropped in time.
    pub(super) async fn reaches_back_to(&self, after: ChangeId) -> Result<bool, StoreError> {
        let next = doc! { "_id.p": after.partition, "_id.s": after.number.saturating_add(1) };
        let log = self.store.collection::<Document>(names::CHANGES);
        Ok(answer(log.find_one(next).projection(doc! { "_id": 1 })).await?.is_some())
    }

    /// Whether anything has happened to a customer's orders after `after`: an order says where it was changed last, also when the
    /// log has long forgotten it.
    pub(super) async fn touched_since(&self, customer: UserId, after: ChangeId) -> Result<bool, StoreError> {
        let later =
            doc! { "customer.id": customer.to_string(), "change.p": after.partition, "change.s": { "$gt": after.number } };
        let orders = self.store.live().await?.collection::<Document>(names::ORDERS);
        Ok(answer(orders.find_one(later).projection(doc! { "_id": 1 })).await?.is_some())
    }
}
