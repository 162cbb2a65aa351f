//! What one line carries: many subscriptions, a product, and more than its reader takes.

use super::*;
use crate::support::PATIENCE;
use mongodb::bson::{Document, doc};

#[tokio::test]
async fn a_subscriber_that_does_not_read_for_two_thousand_changes_still_gets_each_once() {
    const OTHERS: usize = 2_000;
    const UPDATES: usize = 60;
    let app = TestApp::start().await;
    let (ada_id, ada) = app.customer("Ada Byron").await;
    let tea = app.product("TEA-1", 650, 10).await;
    // Large, so that the line itself holds little: the rings run over, and the log has to help.
    let wish = json!({ "lines": [{ "productId": tea, "quantity": 1 }], "note": "tea ".repeat(250) });
    let order = ada.accepted("placeOrder", wish).await["aggregateId"].as_str().expect("an id").to_owned();
    app.caught_up().await;
    app.copy_order(&order, OTHERS as i64).await;
    let large = "kind order { id version a: note b: note c: note d: note e: note f: note g: note h: note }";
    let one = format!("subscription($id: ID!) {{ change: orderChanged(id: $id) {{ {large} }} }}");
    let mut socket = ada.socket().await;
    socket.subscribe("one", &one, json!({ "id": order })).await;
    assert_eq!(socket.change().await["kind"], "SNAPSHOT");
    socket.subscribe("all", &format!("subscription {{ change: ordersChanged {{ {large} }} }}"), json!({})).await;
    app.listening(2..=2).await;

    ada.accepted("updateUserProfile", json!({ "userId": ada_id, "displayName": "Ada Lovelace" })).await;
    for number in 0..UPDATES {
        let note = format!("{}{number}", "cup ".repeat(240));
        ada.accepted("updateOrder", json!({ "orderId": order, "note": note })).await;
    }
    app.caught_up().await;
    let mut told: BTreeMap<(String, String), Vec<i64>> = BTreeMap::new();
    for _ in 0..OTHERS + 2 * (1 + UPDATES) {
        let mut message = socket.message().await;
        let change = message["payload"]["data"]["change"].take();
        assert_eq!(change["kind"], "CHANGE", "{message}");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let place = (text(&message["id"]), text(&change["order"]["id"]));
        told.entry(place).or_default().push(change["order"]["version"].as_i64().expect("a version"));
    }
    // The new name is no new version; what comes after is.
    let versions: Vec<_> = (1..=1 + UPDATES as i64).collect();
    assert_eq!(told.remove(&("one".to_owned(), order.clone())), Some(versions.clone()));
    assert_eq!(told.remove(&("all".to_owned(), order)), Some(versions));
    assert_eq!(told.len(), OTHERS);
    assert!(told.values().all(|versions| *versions == [1]), "each other order is told once");
    app.close().await;
}

#[tokio::test]
async fn a_subscriber_that_is_slower_than_the_log_remembers_is_told_how_many_versions_it_missed() {
    const UPDATES: i64 = 150;
    let app = TestApp::build().with("--write-timeout", "2m").start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let order = ada.place(&[(&tea, 1)]).await.id;
    app.seen(&order, 1).await;
    // So large that neither the line nor the order's ring holds more than a few.
    let notes: String = (0..28).map(|n| format!("n{n}: note ")).collect();
    let large = format!(
        "subscription($id: ID!) {{ change: orderChanged(id: $id) {{ kind skippedVersions order {{ version {notes} }} }} }}"
    );
    let mut socket = ada.socket().await;
    socket.subscribe("1", &large, json!({ "id": order })).await;
    assert_eq!(socket.change().await["kind"], "SNAPSHOT");
    for number in 0..UPDATES {
        let note = format!("{number} {}", "tea ".repeat(980));
        ada.accepted("updateOrder", json!({ "orderId": order, "note": note })).await;
    }
    app.caught_up().await;
    let changes = app.mongo().await.collection::<Document>("changes");
    assert!(changes.delete_many(doc! {}).await.expect("delete").deleted_count > 0, "there was nothing to forget");

    // What is on its way comes in order; then comes one word for all the rest.
    let (mut last, newest) = (1, 1 + UPDATES);
    let resync = loop {
        let change = socket.change().await;
        if change["kind"] == "RESYNC" {
            break change;
        }
        last += 1;
        assert_eq!((&change["kind"], &change["order"]["version"]), (&json!("CHANGE"), &json!(last)));
    };
    assert!(last < newest, "the line held all of it");
    assert_eq!((&resync["order"]["version"], &resync["skippedVersions"]), (&json!(newest), &json!(newest - last)));
    ada.pay(&order).await;
    let change = socket.change().await;
    assert_eq!((&change["kind"], &change["order"]["version"]), (&json!("CHANGE"), &json!(newest + 1)));
    app.close().await;
}

#[tokio::test]
async fn a_product_is_followed_to_its_newest_state() {
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    app.caught_up().await;
    let query = "subscription($id: ID!) { productChanged(id: $id) { version name available unitsSold price { amount } } }";
    let mut socket = ada.socket().await;
    socket.subscribe("1", query, json!({ "id": tea })).await;
    let state = |version: i64, name: &str, available: i64, sold: i64, price: &str| {
        let price = json!({ "amount": price });
        json!({ "version": version, "name": name, "available": available, "unitsSold": sold, "price": price })
    };
    assert_eq!(socket.change().await, state(1, "Product TEA-1", 10, 0, "6.50"));
    ada.place(&[(&tea, 3)]).await;
    assert_eq!(socket.change().await, state(1, "Product TEA-1", 7, 3, "6.50"));
    let price = json!({ "amount": "7.00", "currencyCode": "GBP" });
    app.staff().accepted("updateProduct", json!({ "productId": tea, "name": "Green tea", "price": price })).await;
    assert_eq!(socket.change().await, state(2, "Green tea", 7, 3, "7.00"));
    let one = [(tea.as_str(), 1)];
    join_all((0..7).map(|_| ada.place(&one))).await;
    // States in between may be left out, the last never is.
    let mut newest = socket.change().await;
    while newest["available"] != 0 {
        newest = socket.change().await;
    }
    assert_eq!(newest, state(2, "Green tea", 0, 10, "7.00"));
    app.close().await;
}

#[tokio::test]
async fn one_socket_carries_many_subscriptions_apart() {
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 100).await;
    let one = [(tea.as_str(), 1)];
    let placed = join_all((0..50).map(|_| ada.place(&one))).await;
    app.caught_up().await;
    let mut socket = ada.socket().await;
    for order in &placed {
        socket.subscribe(&order.id, ONE, json!({ "id": order.id })).await;
    }
    for _ in &placed {
        let snapshot = socket.message().await;
        assert_eq!(snapshot["payload"]["data"]["change"]["order"]["id"], snapshot["id"], "{snapshot:#}");
    }
    let (gone, stays) = placed.split_at(10);
    for order in gone {
        socket.unsubscribe(&order.id).await;
    }
    app.listening(stays.len()..=stays.len()).await;
    join_all(placed.iter().map(|order| ada.pay(&order.id))).await;
    let mut told = Vec::new();
    for _ in stays {
        let change = tokio::time::timeout(PATIENCE, socket.message()).await.expect("a change");
        assert_eq!(change["payload"]["data"]["change"]["event"]["version"], 2, "{change:#}");
        told.push(change["id"].as_str().expect("an id").to_owned());
    }
    told.sort();
    assert_eq!(
        told,
        stays.iter().map(|order| order.id.clone()).collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    );
    app.close().await;
}
