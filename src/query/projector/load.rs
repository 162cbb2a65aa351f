//! Reads the documents that a batch touches.

use super::{
    duty::Duty,
    working_set::{Arrived, WorkingSet},
};
use crate::{
    event::{Event, Stream, UserEvent},
    query::{
        store::{Store, StoreError},
        view::{OrderView, ProductView, UserView},
    },
    value::{OrderId, ProductId, UserId},
};
use futures_util::TryStreamExt;
use mongodb::{
    ClientSession,
    bson::{Document, doc},
};
use serde::de::DeserializeOwned;
use std::collections::{BTreeSet, HashMap};

use crate::query::store::names;

/// The documents of a batch, and whose orders must follow a new name.
#[derive(Debug, Default)]
pub struct Touched {
    orders: BTreeSet<OrderId>,
    users: BTreeSet<UserId>,
    products: BTreeSet<ProductId>,
    /// Users whose profile changes, with the version after it.
    pub renamed: HashMap<UserId, i64>,
    partitions: BTreeSet<i32>,
}

impl Touched {
    pub fn partition(partition: i32) -> Self {
        Self { partitions: BTreeSet::from([partition]), ..Self::default() }
    }

    pub fn by(events: impl Iterator<Item = Arrived>) -> Self {
        let mut touched = Self::default();
        for arrived in events {
            let meta = &arrived.envelope.meta;
            touched.stream(meta.stream, arrived.partition);
            if let Stream::Order(_) = meta.stream {
                touched.users.insert(UserId(meta.partition_key));
            }
            if let (Event::User(UserEvent::ProfileUpdated { .. }), Stream::User(id)) = (&arrived.envelope.event, meta.stream) {
                let newest = touched.renamed.entry(id).or_default();
                *newest = meta.version.max(*newest);
            }
        }
        touched
    }

    /// Also this stream, of which no event may be readable.
    pub fn stream(&mut self, stream: Stream, partition: i32) {
        self.partitions.insert(partition);
        match stream {
            Stream::Order(id) => self.orders.insert(id),
            Stream::User(id) => self.users.insert(id),
            Stream::Product(id) | Stream::Stock(id) => self.products.insert(id),
        };
    }
}

pub async fn load(store: &Store, session: &mut ClientSession, touched: &Touched, duty: &Duty) -> Result<WorkingSet, StoreError> {
    let mut set = positions(store, session, touched, duty).await?;
    let mut order_filters = Vec::new();
    if !touched.orders.is_empty() {
        order_filters.push(doc! { "_id": { "$in": texts(&touched.orders) } });
    }
    for (user, version) in &touched.renamed {
        order_filters.push(doc! { "customer.id": user.to_string(), "customer.version": { "$lt": version } });
    }
    for filter in order_filters {
        // The history is only ever added to, so it need not be read.
        for order in find::<OrderView>(store, session, names::ORDERS, filter, Some(doc! { "history": 0 })).await? {
            set.orders.insert(order.id, order);
        }
    }
    if !touched.users.is_empty() {
        let filter = doc! { "_id": { "$in": texts(&touched.users) } };
        for user in find::<UserView>(store, session, names::USERS, filter, None).await? {
            set.users.insert(user.id, user);
        }
    }
    if !touched.products.is_empty() {
        let filter = doc! { "_id": { "$in": texts(&touched.products) } };
        for product in find::<ProductView>(store, session, names::PRODUCTS, filter, None).await? {
            set.products.insert(product.id, product);
        }
    }
    Ok(set)
}

/// Only the counters of the change log, which only the live generation moves.
pub async fn positions(
    store: &Store,
    session: &mut ClientSession,
    touched: &Touched,
    duty: &Duty,
) -> Result<WorkingSet, StoreError> {
    let mut set = WorkingSet { duty: *duty, ..WorkingSet::default() };
    if !duty.live {
        return Ok(set);
    }
    let partitions: Vec<i32> = touched.partitions.iter().copied().collect();
    for position in find::<Document>(store, session, names::POSITIONS, doc! { "_id": { "$in": partitions } }, None).await? {
        if let (Ok(partition), Ok(number)) = (position.get_i32("_id"), position.get_i64("number")) {
            set.positions.insert(partition, number);
        }
    }
    Ok(set)
}

pub async fn find<T: DeserializeOwned + Send + Sync>(
    store: &Store,
    session: &mut ClientSession,
    collection: &str,
    filter: Document,
    projection: Option<Document>,
) -> Result<Vec<T>, StoreError> {
    let documents = store.collection::<T>(collection);
    let mut find = documents.find(filter);
    if let Some(projection) = projection {
        find = find.projection(projection);
    }
    let mut cursor = find.session(&mut *session).await?;
    cursor.stream(session).try_collect().await
}

pub fn texts<T: ToString>(ids: &BTreeSet<T>) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}
