//! The read model, laid open for a comparison with the log: documents as they are stored, and what the projector's own folds make
//! of the same events.
//!
//! Nothing has to stand still for it. A document says up to which version it has been folded, so it is compared with the fold up
//! to just that version, and a counter is read at one moment with the versions of the orders that it counts ([`Glance`],
//! [`Hour`]). What is behind the log is no difference as long as it is on its way; whoever asks decides how long that may take.

mod expected;
mod glance;
mod history;
mod sales;

pub use super::view::Contribution;
pub use expected::{CustomerFold, Discards, OrderFold, ProductFold, Tallied};
pub use glance::{Asked, Glance};
pub use sales::{Hour, Sums, add};

use super::store::{Store, StoreError, names};
use crate::{
    event::Stream,
    query::{
        projector::{self, Reason, STRAYS},
        view::date,
    },
    value::{OrderId, ProductId, Time, UserId},
};
use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;

/// Where documents stand, as a difference names it.
pub mod places {
    pub const ORDERS: &str = "mongodb.orders";
    pub const USERS: &str = "mongodb.users";
    pub const PRODUCTS: &str = "mongodb.products";
    pub const SALES: &str = "mongodb.sales";
}

/// Fields that legitimately differ from the fold, everything that is compared otherwise or not at all:
///
/// - `change`: where the newest change stands in the change log. The partition is the broker's choice, and the number counts what
///   else happened there.
/// - `history`: compared entry by entry; when an event was published and projected is the pipeline's to say, and how many
///   renamings an order has been through depends on whether the user's event or the order's came first (`history`).
/// - `updatedAt`: the newest event, or the newest renaming that reached the order.
/// - `parked`: whether something newer is held up; told apart.
pub(super) const OTHERWISE: [&str; 4] = ["change", "history", "parked", "updatedAt"];

/// The most ids in one question.
const CHUNK: usize = 1_000;

/// The collections whose documents answer to a stream each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelf {
    Orders,
    Users,
    Products,
}

impl Shelf {
    pub const ALL: [Self; 3] = [Self::Orders, Self::Users, Self::Products];

    fn name(self) -> &'static str {
        match self {
            Self::Orders => names::ORDERS,
            Self::Users => names::USERS,
            Self::Products => names::PRODUCTS,
        }
    }

    pub fn place(self) -> &'static str {
        match self {
            Self::Orders => places::ORDERS,
            Self::Users => places::USERS,
            Self::Products => places::PRODUCTS,
        }
    }

    /// The stream that a document with this id answers to; none for an id that is not one of ours.
    pub fn stream(self, id: &str) -> Option<Stream> {
        match self {
            Self::Orders => id.parse::<OrderId>().ok().map(Stream::Order),
            Self::Users => id.parse::<UserId>().ok().map(Stream::User),
            Self::Products => id.parse::<ProductId>().ok().map(Stream::Product),
        }
    }
}

/// Streams of one kind that an operator must look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Parked {
    /// `order`, `user`, `product`, `stock`, or `unreadable` for messages that do not say.
    pub kind: String,
    pub streams: i64,
    #[serde(with = "time::serde::rfc3339")]
    pub since: Time,
}

/// The read model that is live, whichever that is. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Audit(Store);

impl Audit {
    pub fn new(store: &Store) -> Self {
        Self(store.clone())
    }

    /// Which generation that is now.
    ///
    /// # Errors
    /// The driver's.
    pub async fn generation(&self) -> Result<i32, StoreError> {
        Ok(self.0.live().await?.generation())
    }

    /// Whole documents of orders.
    ///
    /// # Errors
    /// The driver's.
    pub async fn orders(&self, ids: &[OrderId]) -> Result<HashMap<OrderId, Value>, StoreError> {
        let live = self.0.live().await?;
        let mut found = HashMap::with_capacity(ids.len());
        for ids in ids.chunks(CHUNK) {
            let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
            let mut cursor = live.collection::<Document>(names::ORDERS).find(doc! { "_id": { "$in": ids } }).await?;
            while let Some(order) = cursor.try_next().await? {
                if let Some(id) = order.get_str("_id").ok().and_then(|id| id.parse().ok()) {
                    found.insert(id, plain(&order));
                }
            }
        }
        Ok(found)
    }

    /// The next ids of a collection after one, with their versions: at most 1,000, in the order of ids.
    ///
    /// # Errors
    /// The driver's.
    pub async fn ids(&self, shelf: Shelf, after: &str) -> Result<Vec<(String, i64)>, StoreError> {
        let documents = self.0.live().await?.collection::<Document>(shelf.name());
        let find = documents.find(doc! { "_id": { "$gt": after } }).sort(doc! { "_id": 1 }).limit(CHUNK as i64);
        let page: Vec<Document> = find.projection(doc! { "version": 1 }).await?.try_collect().await?;
        let version = |document: &Document| document.get_i64("version").unwrap_or(0);
        Ok(page.iter().map(|document| (document.get_str("_id").unwrap_or_default().to_owned(), version(document))).collect())
    }

    /// What operators have discarded.
    ///
    /// # Errors
    /// The driver's.
    pub async fn discards(&self) -> Result<Discards, StoreError> {
        projector::discarded(&self.0).await.map(Discards)
    }

    /// What is parked, by kind.
    ///
    /// # Errors
    /// The driver's.
    pub async fn parked(&self) -> Result<Vec<Parked>, StoreError> {
        #[derive(Deserialize)]
        struct Row {
            #[serde(rename = "_id")]
            kind: String,
            streams: i64,
            #[serde(with = "date")]
            since: Time,
        }
        let poison = mongodb::bson::serialize_to_bson(&Reason::Poison)?;
        let pipeline = [
            doc! { "$match": { "reason": poison } },
            doc! { "$group": { "_id": "$stream", "since": { "$min": "$since" }, "events": { "$sum": Bson::Int64(1) } } },
            doc! { "$group": {
                "_id": { "$arrayElemAt": [{ "$split": ["$_id", "/"] }, 0] },
                // Messages that do not say whose they are have no stream to be counted by.
                "streams": { "$sum": { "$cond": [{ "$eq": ["$_id", STRAYS] }, "$events", Bson::Int64(1)] } },
                "since": { "$min": "$since" },
            } },
            doc! { "$sort": { "_id": 1 } },
        ];
        let waiting = self.0.live().await?.collection::<Document>(names::WAITING);
        let rows: Vec<Row> = waiting.aggregate(pipeline).with_type::<Row>().await?.try_collect().await?;
        Ok(rows.into_iter().map(|row| Parked { kind: row.kind, streams: row.streams, since: row.since }).collect())
    }
}

/// A document as JSON, with dates as people read them.
fn plain(document: &Document) -> Value {
    fn value(bson: &Bson) -> Value {
        match bson {
            Bson::Document(document) => plain(document),
            Bson::Array(values) => values.iter().map(value).collect(),
            Bson::DateTime(at) => at.try_to_rfc3339_string().map_or(Value::Null, Value::String),
            other => serde_json::to_value(other).unwrap_or(Value::Null),
        }
    }
    Value::Object(document.iter().map(|(name, bson)| (name.clone(), value(bson))).collect())
}

/// What we would have stored, in the same form.
fn stored(view: &impl Serialize) -> Value {
    mongodb::bson::serialize_to_document(view).map_or(Value::Null, |document| plain(&document))
}

/// The version that a document says, zero when there is none.
pub fn version_of(document: Option<&Value>, field: &str) -> i64 {
    document.and_then(|document| document[field].as_i64()).unwrap_or(0)
}
