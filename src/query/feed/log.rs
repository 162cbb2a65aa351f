//! Reads the change log.

use super::{Feed, Positions};
use crate::{
    query::{
        store::{StoreError, names},
        view::{Change, ChangeId},
    },
    value::{OrderId, UserId},
};
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};

/// Changes read at once by whoever catches up.
pub(super) const CHUNK: usize = 200;

impl Feed {
    /// The newest number of each partition.
    pub(super) async fn newest(&self) -> Result<Positions, StoreError> {
        let mut cursor = self.store.collection::<Document>(names::POSITIONS).find(doc! {}).await?;
        let mut newest = Positions::new();
        while let Some(position) = cursor.try_next().await? {
            if let (Ok(partition), Ok(number)) = (position.get_i32("_id"), position.get_i64("number")) {
                newest.insert(partition, number);
            }
        }
        Ok(newest)
    }

    /// The changes of a partition after `after`, up to and with `upto`, at most a chunk; only a customer's, if one is given.
    pub(super) async fn changes(&self, after: ChangeId, upto: i64, customer: Option<UserId>) -> Result<Vec<Change>, StoreError> {
        let mut filter = doc! { "_id.p": after.partition, "_id.s": { "$gt": after.number, "$lte": upto } };
        if let Some(customer) = customer {
            filter.insert("order.customer.id", customer.to_string());
        }
        self.read_log(filter).await
    }

    /// The changes of one order after `after`, at most a chunk.
    pub(super) async fn changes_of(&self, order: OrderId, after: ChangeId) -> Result<Vec<Change>, StoreError> {
        self.read_log(doc! { "order._id": order.to_string(), "_id.p": after.partition, "_id.s": { "$gt": after.number } }).await
    }

    async fn read_log(&self, filter: Document) -> Result<Vec<Change>, StoreError> {
        let log = self.store.collection::<Change>(names::CHANGES);
        log.find(filter).sort(doc! { "_id.s": 1 }).limit(CHUNK as i64).await?.try_collect().await
    }

    /// Whether the log still has the change after `after`; old ones are dropped in time.
    pub(super) async fn reaches_back_to(&self, after: ChangeId) -> Result<bool, StoreError> {
        let next = doc! { "_id.p": after.partition, "_id.s": after.number + 1 };
        let log = self.store.collection::<Document>(names::CHANGES);
        Ok(log.find_one(next).projection(doc! { "_id": 1 }).await?.is_some())
    }
}
