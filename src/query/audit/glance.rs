//! Some customers and products at one moment: the documents that hold counters, and how far each order was that they count.

use super::{Audit, CHUNK, plain};
use crate::{
    event::Stream,
    query::store::{Store, StoreError, names, transact},
    value::{OrderId, ProductId, UserId},
};
use mongodb::{
    ClientSession,
    bson::{Document, doc},
};
use serde_json::Value;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// Whose documents are wanted.
#[derive(Debug, Default)]
pub struct Asked {
    pub users: Vec<UserId>,
    pub products: Vec<ProductId>,
    /// The streams that the log has of these, with their heads.
    pub heads: HashMap<Stream, i64>,
}

/// What was there, all of one moment. Some 60 bytes an order.
#[derive(Debug, Default)]
pub struct Glance {
    pub users: HashMap<UserId, Value>,
    pub products: HashMap<ProductId, Value>,
    /// The version of every order of these users, also of those that the log did not have yet.
    pub orders: HashMap<OrderId, i64>,
    /// Of the streams that were behind: the versions that wait in the waiting room.
    waiting: HashMap<Stream, HashSet<i64>>,
}

impl Glance {
    /// Whether a stream that has come to this version waits for an operator: the event that comes next is in the waiting room,
    /// and it is not early. Of stock any event that waits has been refused.
    pub fn is_parked(&self, stream: Stream, version: i64) -> bool {
        let Some(waiting) = self.waiting.get(&stream) else { return false };
        match stream {
            Stream::Stock(_) => waiting.iter().any(|waits| *waits > version),
            _ => waiting.contains(&(version + 1)),
        }
    }
}

impl Audit {
    /// Reads all of it in one transaction: nothing is projected in between.
    ///
    /// # Errors
    /// The driver's.
    pub async fn glance(&self, asked: Asked) -> Result<Glance, StoreError> {
        let asked = Arc::new(asked);
        let live = self.0.live().await?;
        transact(&live, |session| {
            let (store, asked) = (live.clone(), Arc::clone(&asked));
            Box::pin(async move { glance(&store, session, &asked).await })
        })
        .await
    }
}

async fn glance(store: &Store, session: &mut ClientSession, asked: &Asked) -> Result<Glance, StoreError> {
    let mut seen = Glance::default();
    let version = || Some(doc! { "version": 1 });
    for ids in asked.users.chunks(CHUNK) {
        let ids = texts(ids);
        let users = &mut seen.users;
        each(store, session, names::USERS, doc! { "_id": { "$in": &ids } }, None, |id, user| put(users, id, plain(user))).await?;
        let orders = &mut seen.orders;
        let theirs = doc! { "customer.id": { "$in": &ids } };
        each(store, session, names::ORDERS, theirs, version(), |id, order| put(orders, id, version_in(order))).await?;
    }
    // An order that stands under another customer is looked up by its own id.
    let orders = asked.heads.keys().filter_map(|stream| if let Stream::Order(id) = stream { Some(*id) } else { None });
    let elsewhere: Vec<OrderId> = orders.filter(|id| !seen.orders.contains_key(id)).collect();
    for ids in elsewhere.chunks(CHUNK) {
        let (orders, filter) = (&mut seen.orders, doc! { "_id": { "$in": texts(ids) } });
        each(store, session, names::ORDERS, filter, version(), |id, order| put(orders, id, version_in(order))).await?;
    }
    for ids in asked.products.chunks(CHUNK) {
        let (products, filter) = (&mut seen.products, doc! { "_id": { "$in": texts(ids) } });
        each(store, session, names::PRODUCTS, filter, None, |id, product| put(products, id, plain(product))).await?;
    }
    let behind: Vec<Stream> =
        asked.heads.iter().filter(|(stream, head)| seen.version(**stream) < **head).map(|(stream, _)| *stream).collect();
    for streams in behind.chunks(CHUNK) {
        let (waiting, filter) = (&mut seen.waiting, doc! { "stream": { "$in": texts(streams) } });
        let fields = Some(doc! { "stream": 1, "version": 1 });
        each(store, session, names::WAITING, filter, fields, |_, event| {
            if let Some(stream) = event.get_str("stream").ok().and_then(|stream| stream.parse::<Stream>().ok()) {
                waiting.entry(stream).or_default().insert(version_in(event));
            }
        })
        .await?;
    }
    Ok(seen)
}

impl Glance {
    /// The version that a stream's document had.
    pub fn version(&self, stream: Stream) -> i64 {
        match stream {
            Stream::User(id) => super::version_of(self.users.get(&id), "version"),
            Stream::Product(id) => super::version_of(self.products.get(&id), "version"),
            Stream::Stock(id) => super::version_of(self.products.get(&id), "stockVersion"),
            Stream::Order(id) => self.orders.get(&id).copied().unwrap_or(0),
        }
    }
}

async fn each(
    store: &Store,
    session: &mut ClientSession,
    collection: &str,
    filter: Document,
    fields: Option<Document>,
    mut take: impl FnMut(&str, &Document) + Send,
) -> Result<(), StoreError> {
    let documents = store.collection::<Document>(collection);
    let mut find = documents.find(filter);
    if let Some(fields) = fields {
        find = find.projection(fields);
    }
    let mut cursor = find.session(&mut *session).await?;
    while let Some(document) = cursor.next(&mut *session).await.transpose()? {
        take(document.get_str("_id").unwrap_or_default(), &document);
    }
    Ok(())
}

/// A document under another kind of id is none of ours; the walk over all documents finds it.
fn put<K: std::str::FromStr + std::hash::Hash + Eq, V>(map: &mut HashMap<K, V>, id: &str, value: V) {
    if let Ok(id) = id.parse() {
        map.insert(id, value);
    }
}

fn version_in(document: &Document) -> i64 {
    document.get_i64("version").unwrap_or(0)
}

fn texts<T: ToString>(ids: &[T]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}
