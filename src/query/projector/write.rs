//! Writes what a batch has changed: one command a collection, all in the batch's transaction.

use super::working_set::WorkingSet;
use crate::{
    crash,
    query::{
        store::{Bulk, Store, StoreError, names},
        view::{Contribution, date},
    },
};
use mongodb::{
    ClientSession,
    bson::{Bson, Document, doc, serialize_to_document},
};

pub use super::room::WaitingRoom;

pub async fn write(store: &Store, session: &mut ClientSession, set: &WorkingSet, room: &WaitingRoom) -> Result<(), StoreError> {
    let mut orders = Bulk::default();
    for id in &set.changed_orders {
        let Some(order) = set.orders.get(id) else { continue };
        let mut fields = serialize_to_document(order)?;
        fields.remove("_id");
        // Only the waiting room's own marks say it, so that taking it away is as sure as putting it there.
        fields.remove("parked");
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
    crash::point("between-collections");

    let mut users = Bulk::default();
    for user in set.changed_users.iter().filter_map(|id| set.users.get(id)) {
        users.upsert(doc! { "_id": user.id.to_string() }, serialize_to_document(user)?);
    }
    users.send(store, session, names::USERS).await?;
    crash::point("between-collections");

    let mut products = Bulk::default();
    for product in set.changed_products.iter().filter_map(|id| set.products.get(id)) {
        // A replacement, so that the change stream carries the whole document.
        products.upsert(doc! { "_id": product.id.to_string() }, serialize_to_document(product)?);
    }
    products.send(store, session, names::PRODUCTS).await?;
    crash::point("between-collections");

    sales(set).send(store, session, names::SALES).await?;
    crash::point("between-collections");

    let mut changes = Bulk::default();
    for change in &set.changes {
        changes.insert(serialize_to_document(change)?);
    }
    changes.send(store, session, names::CHANGES).await?;
    crash::point("between-collections");
    let mut positions = Bulk::default();
    if let Some(first) = set.changes.first() {
        // Of a numbering that begins here: cursors have it in them, so that those of an earlier one are known for what they are.
        let epoch = date::to_bson(first.at).timestamp_millis();
        for (partition, number) in &set.positions {
            let update = doc! { "$set": { "number": number }, "$setOnInsert": { "epoch": epoch } };
            positions.upsert(doc! { "_id": partition }, update);
        }
    }
    positions.send(store, session, names::POSITIONS).await?;
    crash::point("between-collections");

    room.write(store, session).await?;
    // The transaction has nothing left to do but to commit.
    crash::point("before-view-commit");
    Ok(())
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
