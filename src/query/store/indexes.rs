//! The indexes: one for each filter and each sort that the API offers. `tests/it/indexes.rs` asserts that no listed query
//! scans a whole collection.

use super::{Store, StoreError, names};
use crate::crash;
use mongodb::{
    IndexModel,
    bson::{Document, doc},
    options::IndexOptions,
};
use std::time::Duration;

pub(super) async fn ensure_shared(store: &Store, keep_changes: Duration) -> Result<(), StoreError> {
    make(store, &[names::CHANGES, names::POSITIONS, names::GENERATIONS, names::GUARDS, names::DISCARDS]).await?;
    create(store, names::CHANGES, [doc! { "_id.p": 1, "_id.s": 1 }, doc! { "order._id": 1, "_id.s": 1 }]).await?;
    create(store, names::GUARDS, [doc! { "generation": 1 }]).await?;
    expire_changes(store, keep_changes).await
}

/// Makes collections that are not there. (In a transaction they could not be made on every server.)
async fn make(store: &Store, collections: &[&str]) -> Result<(), StoreError> {
    let existing = store.database.list_collection_names().await?;
    for name in collections.iter().map(|name| store.named(name)) {
        if existing.contains(&name) {
            continue;
        }
        match store.database.create_collection(name).await {
            Ok(()) => crash::point("migration-collections"),
            // 48 is NamespaceExists: another process was faster.
            Err(error) if code(&error) == Some(48) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What the projector itself needs of the views of the generation that `store` is of. Filling is faster without the rest.
pub(super) async fn ensure_bare(store: &Store) -> Result<(), StoreError> {
    make(store, &names::VIEWS).await?;
    create(store, names::ORDERS, [doc! { "customer.id": 1, "placedAt": 1, "_id": 1 }]).await?;
    // With the reason, so that looking at what waits reads no event; and by the id of an event, for operators.
    create(store, names::WAITING, [doc! { "stream": 1, "version": 1, "reason": 1 }, doc! { "event": 1 }]).await?;
    create(store, names::PARKED, [doc! { "cause": 1, "_id": 1 }]).await
}

/// The views of the generation that `store` is of.
pub(super) async fn ensure_views(store: &Store) -> Result<(), StoreError> {
    ensure_bare(store).await?;
    // Every sort ends in the id, which makes the order total and cursors stable.
    let orders = [
        doc! { "placedAt": 1, "_id": 1 },
        doc! { "updatedAt": 1, "_id": 1 },
        doc! { "total": 1, "_id": 1 },
        doc! { "number": 1, "_id": 1 },
        doc! { "customer.id": 1, "updatedAt": 1, "_id": 1 },
        doc! { "customer.id": 1, "total": 1, "_id": 1 },
        doc! { "customer.id": 1, "number": 1, "_id": 1 },
        doc! { "status": 1, "placedAt": 1, "_id": 1 },
        doc! { "lines.productId": 1, "placedAt": 1, "_id": 1 },
        doc! { "search": 1 },
    ];
    create(store, names::ORDERS, orders).await?;
    let products = [
        doc! { "name": 1, "_id": 1 },
        doc! { "price": 1, "_id": 1 },
        doc! { "unitsSold": 1, "_id": 1 },
        doc! { "updatedAt": 1, "_id": 1 },
        doc! { "sku": 1 },
        doc! { "search": 1 },
        doc! { "active": 1, "name": 1, "_id": 1 },
        // Every list asks for products that are there (version > 0); this counts them without reading one.
        doc! { "version": 1 },
    ];
    create(store, names::PRODUCTS, products).await?;
    create(store, names::SALES, [doc! { "start": 1 }]).await
}

async fn create(store: &Store, collection: &str, keys: impl IntoIterator<Item = Document>) -> Result<(), StoreError> {
    let indexes = keys.into_iter().map(|keys| IndexModel::builder().keys(keys).build());
    store.collection::<Document>(collection).create_indexes(indexes).await?;
    crash::point("migration-indexes");
    Ok(())
}

/// Old changes go away by themselves. A changed setting is applied to the index that is there.
pub(super) async fn expire_changes(store: &Store, keep: Duration) -> Result<(), StoreError> {
    let options = IndexOptions::builder().name("expiry".to_owned()).expire_after(keep).build();
    let index = IndexModel::builder().keys(doc! { "at": 1 }).options(options).build();
    match store.collection::<Document>(names::CHANGES).create_index(index).await {
        // 85 is IndexOptionsConflict: it exists with another time.
        Err(error) if code(&error) == Some(85) => {
            let seconds = i64::try_from(keep.as_secs()).unwrap_or(i64::MAX);
            let change = doc! { "collMod": names::CHANGES, "index": { "name": "expiry", "expireAfterSeconds": seconds } };
            store.database.run_command(change).await.map(|_| ())
        }
        other => other.map(|_| ()),
    }
}

pub(super) fn code(error: &StoreError) -> Option<i32> {
    match &*error.kind {
        mongodb::error::ErrorKind::Command(error) => Some(error.code),
        _ => None,
    }
}
