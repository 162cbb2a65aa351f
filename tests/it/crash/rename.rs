//! A death in the middle of a long renaming, of which some chunks are committed and the event itself is not.

use super::{deaths, dies, short_transactions, start};
use crate::support::{TestApp, until};
use mongodb::bson::{Document, doc};
use orderflow::config::Role::{Api, Projector, Relay};
use serde_json::json;

/// Two whole chunks and a rest.
const COPIES: i64 = 1_100;

deaths!(RENAMING of a_renaming_projector_dies_at {
    between_two_chunks_of_a_renaming_some_orders_have_the_new_name: "after-rename-chunk:1",
});

async fn a_renaming_projector_dies_at(point: &str) {
    let mut app = TestApp::start().await;
    short_transactions(&app).await;
    let (id, ada) = app.customer("Ada Byron").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let order = ada.place(&[(&tea, 1)]).await;
    app.seen(&order.id, 1).await;
    app.copy_order(&order.id, COPIES).await;
    app.restart(&[Api, Relay]).await;
    app.staff().accepted("updateUserProfile", json!({ "userId": id, "displayName": "Ada Lovelace" })).await;
    dies(start(&app, &["projector"], Some(point)), point).await;

    let mongo = app.mongo().await;
    let renamed = doc! { "customer.displayName": "Ada Lovelace" };
    let count = async |collection: &str, filter: Document| {
        mongo.collection::<Document>(collection).count_documents(filter).await.expect("count")
    };
    assert_eq!(count("orders", renamed.clone()).await, 500, "one chunk");
    assert_eq!(count("users", doc! { "displayName": "Ada Byron" }).await, 1, "the event itself is not applied");
    app.join(&[Projector]).await;
    until("the new name everywhere", || async {
        let seen = (count("orders", renamed.clone()).await, count("users", doc! { "displayName": "Ada Lovelace" }).await);
        if seen == (COPIES as u64 + 1, 1) { Ok(()) } else { Err(seen) }
    })
    .await;
    let told = doc! { "event.kind": "CUSTOMER_RENAMED" };
    assert_eq!(count("changes", told).await, COPIES as u64 + 1, "each order's renaming is told once");
    let twice = doc! { "history.2": { "$exists": true } };
    assert_eq!(count("orders", twice).await, 0, "placed and renamed, and no more");
    app.close().await;
}
