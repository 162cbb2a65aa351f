//! The places of orders in the change log. Only the live generation's orders know where their newest change stands;
//! before another becomes live it takes them over, so that a subscriber's cursor means the same before and after.

use crate::query::{
    store::{Store, StoreError, names},
    view::ChangeId,
};
use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The newest number of each partition of the log.
pub type Positions = BTreeMap<i32, i64>;

/// Changes looked at in one piece.
const CHUNK: i64 = 2_000;

pub async fn positions(store: &Store) -> Result<Positions, StoreError> {
    let mut found = store.collection::<Document>(names::POSITIONS).find(doc! {}).await?;
    let mut positions = Positions::new();
    while let Some(position) = found.try_next().await? {
        if let (Ok(partition), Ok(number)) = (position.get_i32("_id"), position.get_i64("number")) {
            positions.insert(partition, number);
        }
    }
    Ok(positions)
}

/// Copies all places, in the server. An order that `to` knows in a later version than `from` gets the place in `ahead` instead.
pub async fn copy_all(from: &Store, to: &Store, ahead: Option<&Positions>) -> Result<(), StoreError> {
    let place = match ahead {
        None => Bson::String("$$new.change".into()),
        Some(ahead) => {
            let branch = |(partition, number): (&i32, &i64)| {
                doc! { "case": { "$eq": ["$$new.change.p", *partition] }, "then": *number }
            };
            let branches: Vec<Document> = ahead.iter().map(branch).collect();
            let later = doc! { "$gt": ["$version", "$$new.version"] };
            // Without changes there are no places, and the server takes no choice without branches.
            let number = if branches.is_empty() {
                Bson::String("$$new.change.s".into())
            } else {
                Bson::Document(doc! { "$switch": { "branches": branches, "default": "$$new.change.s" } })
            };
            let resync = doc! { "p": "$$new.change.p", "s": number };
            Bson::Document(doc! { "$cond": [later, resync, "$$new.change"] })
        }
    };
    let merge = doc! { "$merge": {
        "into": to.named(names::ORDERS),
        "on": "_id",
        "whenMatched": [{ "$set": { "change": place } }],
        "whenNotMatched": "discard",
    } };
    let pipeline = [doc! { "$project": { "change": 1, "version": 1 } }, merge];
    let merged = from.collection::<Document>(names::ORDERS).aggregate(pipeline).await?;
    merged.try_collect::<Vec<_>>().await.map(|_| ())
}

/// Copies the places of orders that changed after `since`, up to and with `upto`, from the log, and moves `since` there. `to` has
/// all these orders.
pub async fn copy_late(to: &Store, since: &mut Positions, upto: &Positions) -> Result<(), StoreError> {
    #[derive(Deserialize)]
    struct Late {
        #[serde(rename = "_id")]
        place: ChangeId,
        order: Order,
    }
    #[derive(Deserialize)]
    struct Order {
        #[serde(rename = "_id")]
        id: String,
    }
    let changes = to.collection::<Late>(names::CHANGES);
    for (partition, upto) in upto {
        let from = since.entry(*partition).or_default();
        while *from < *upto {
            let filter = doc! { "_id.p": *partition, "_id.s": { "$gt": *from, "$lte": *upto } };
            let found = changes.find(filter).projection(doc! { "order._id": 1 }).sort(doc! { "_id.s": 1 }).limit(CHUNK).await?;
            let late: Vec<Late> = found.try_collect().await?;
            // What the log has forgotten is in what was copied before.
            let last = late.last().map_or(*upto, |last| last.place.number);
            let newest: BTreeMap<String, i64> = late.into_iter().map(|late| (late.order.id, late.place.number)).collect();
            let update = |(id, number): (String, i64)| {
                doc! { "q": { "_id": id }, "u": { "$set": { "change": { "p": *partition, "s": number } } } }
            };
            let updates: Vec<Document> = newest.into_iter().map(update).collect();
            if !updates.is_empty() {
                let concern = doc! { "w": "majority" };
                let name = to.named(names::ORDERS);
                to.database.run_command(doc! { "update": name, "updates": updates, "writeConcern": concern }).await?;
            }
            *from = last;
        }
    }
    Ok(())
}

/// Leaves a number out in partitions of the log, or in all of them: whoever follows it is told that something is missing there.
pub async fn leave_a_hole(store: &Store, partitions: Option<&BTreeSet<i32>>) -> Result<Positions, StoreError> {
    let filter = partitions.map_or_else(Document::new, |some| doc! { "_id": { "$in": some.iter().collect::<Vec<_>>() } });
    let update = doc! { "$inc": { "number": 1_i64 } };
    store.collection::<Document>(names::POSITIONS).update_many(filter, update).await?;
    positions(store).await
}

/// Puts orders of `to` into the newest place of their partition.
pub async fn put_last(to: &Store, orders: &[(String, i32)], positions: &Positions) -> Result<(), StoreError> {
    let place = |(id, partition): &(String, i32)| {
        let number = positions.get(partition)?;
        Some(doc! { "q": { "_id": id }, "u": { "$set": { "change": { "p": *partition, "s": *number } } } })
    };
    let updates: Vec<Document> = orders.iter().filter_map(place).collect();
    for updates in updates.chunks(1_000) {
        let concern = doc! { "w": "majority" };
        let name = to.named(names::ORDERS);
        to.database.run_command(doc! { "update": name, "updates": updates.to_vec(), "writeConcern": concern }).await?;
    }
    Ok(())
}
