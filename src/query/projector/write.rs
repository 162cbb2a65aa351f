//! Writes what a batch has changed: one command a collection, all in the batch's transaction.

use super::{waiting::Waiting, working_set::WorkingSet};
use crate::query::{
    store::{Bulk, Store, StoreError, names},
    view::{Contribution, date},
};
use mongodb::{
    ClientSession,
    bson::{Bson, Document, doc, serialize_to_document},
};

/// What a batch does to the waiting room.
#[derive(Debug, Default)]
pub struct WaitingRoom {
    pub entered: Vec<Waiting>,
    pub left: Vec<String>,
}

pub async fn write(store: &Store, session: &mut ClientSession, set: &WorkingSet, room: &WaitingRoom) -> Result<(), StoreError> {
    let mut orders = Bulk::default();
    for id in &set.changed_orders {
        let Some(order) = set.orders.get(id) else { continue };
        let mut fields = serialize_to_document(order)?;
        fields.remove("_id");
        let mut update = Document::new();
        if !set.duty.live {
            // The live generation moves it, and a switch takes it over: nothing here may put it back.
            update.insert("$setOnInsert", doc! { "change": fields.remove("change") });
        }
        let entries = set.history.get(id).into_iter().flatten().map(serialize_to_document);
        let entries = entries.map(|entry| entry.map(Bson::Document)).collect::<Result<Vec<_>, _>>()?;
        // Not a replacement: the history stays where it is and is added to.
        update.extend(doc! { "$set": fields, "$push": { "history": { "$each": entries } } });
        orders.upsert(doc! { "_id": id.to_string() }, update);
    }
    orders.send(store, session, names::ORDERS).await?;

    let mut users = Bulk::default();
    for user in set.changed_users.iter().filter_map(|id| set.users.get(id)) {
        users.upsert(doc! { "_id": user.id.to_string() }, serialize_to_document(user)?);
    }
    users.send(store, session, names::USERS).await?;

    let mut products = Bulk::default();
    for product in set.changed_products.iter().filter_map(|id| set.products.get(id)) {
        // A replacement, so that the change stream carries the whole document.
        products.upsert(doc! { "_id": product.id.to_string() }, serialize_to_document(product)?);
    }
    products.send(store, session, names::PRODUCTS).await?;

    sales(set).send(store, session, names::SALES).await?;

    let mut changes = Bulk::default();
    for change in &set.changes {
        changes.insert(serialize_to_document(change)?);
    }
    changes.send(store, session, names::CHANGES).await?;
    let mut positions = Bulk::default();
    if !set.changes.is_empty() {
        for (partition, number) in &set.positions {
            positions.upsert(doc! { "_id": partition }, doc! { "$set": { "number": number } });
        }
    }
    positions.send(store, session, names::POSITIONS).await?;

    let mut waiting = Bulk::default();
    for event in &room.entered {
        // The first arrival counts: `since` and cause stay when it is delivered again.
        waiting.upsert(doc! { "_id": &event.id }, doc! { "$setOnInsert": without_id(serialize_to_document(event)?) });
    }
    for id in &room.left {
        waiting.delete(doc! { "_id": id });
    }
    waiting.send(store, session, names::WAITING).await
}

/// Buckets are kept apart by partition, so that projectors of different partitions never wait for each other; a report adds them
/// up.
fn sales(set: &WorkingSet) -> Bulk {
    let mut sales = Bulk::default();
    for ((hour, currency, partition), more) in &set.sales {
        if *more == Contribution::default() {
            continue;
        }
        let id = format!("{}:{currency}:{partition}", hour.unix_timestamp());
        let update = doc! {
            "$inc": { "orderCount": more.orders, "itemCount": more.items, "revenue": more.revenue },
            "$setOnInsert": { "start": date::to_bson(*hour), "currency": currency.code() },
        };
        sales.upsert(doc! { "_id": id }, update);
    }
    sales
}

fn without_id(mut document: Document) -> Document {
    document.remove("_id");
    document
}
