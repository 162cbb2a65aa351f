//! Server-sent events after a cut: whoever comes back with the last id goes on behind it, on any node.

use super::{EVENTS, JSON, header, live::Events, send, to};
use crate::support::TestApp;
use orderflow::config::Role as Part;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const ONE: &str =
    "subscription($id: ID!, $after: String) { orderChanged(id: $id, after: $after) { kind skippedVersions order { version } } }";
const LIST: &str = "subscription($after: String) { ordersChanged(after: $after) { kind order { id version } } }";

fn told(change: &Value) -> (String, i64) {
    let change = change.get("orderChanged").unwrap_or(&change["ordersChanged"]);
    (change["kind"].as_str().expect("a kind").to_owned(), change["order"]["version"].as_i64().expect("a version"))
}

fn change(version: i64) -> (String, i64) {
    ("CHANGE".to_owned(), version)
}

#[tokio::test]
async fn a_reader_that_was_cut_off_goes_on_on_another_node_without_having_asked_for_a_cursor() {
    let mut app = TestApp::start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let other = ada.at(app.join(&[Part::Api]).await.expect("an API"));
    let order = ada.place(&[(&tea, 2)]).await.id;
    let mut events = Events::open(&ada, ONE, json!({ "id": order })).await;
    assert_eq!(told(&events.result().await), ("SNAPSHOT".to_owned(), 1));
    let mut ids = vec![events.last_id.clone()];
    for (version, node) in [(2, &ada), (4, &other), (6, &ada)] {
        // Two versions while nobody listens, and one of them is heard before the next cut.
        drop(events);
        for version in [version, version + 1] {
            let note = format!("Ring {version} times");
            ada.accepted("updateOrder", json!({ "orderId": order, "note": note })).await;
        }
        app.seen(&order, version + 1).await;
        let last = ids.last().expect("an id").clone();
        events = Events::open_after(&last, node, ONE, json!({ "id": order })).await;
        for version in [version, version + 1] {
            assert_eq!(told(&events.result().await), change(version));
            ids.push(events.last_id.clone());
        }
    }
    // And live from there on.
    ada.pay(&order).await;
    assert_eq!(told(&events.result().await), change(8));
    ids.push(events.last_id.clone());
    let (all, mut distinct) = (ids.len(), ids.clone());
    distinct.sort();
    distinct.dedup();
    assert_eq!((all, distinct.len()), (8, 8), "each event has an id of its own: {ids:?}");
    // The id is the cursor that a client could have asked for.
    let asked = ONE.replace("{ orderChanged(", "{ it: orderChanged(").replace("{ kind", "{ cursor kind");
    let mut events = Events::open_after(&ids[6], &other, &asked, json!({ "id": order })).await;
    assert_eq!(events.result().await["it"]["cursor"], events.last_id.as_str());
    assert_eq!(events.last_id, ids[7]);
    app.close().await;
}

#[tokio::test]
async fn a_list_is_gone_on_with_even_before_anything_has_happened_in_it() {
    let mut app = TestApp::start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 100).await;
    let other = ada.at(app.join(&[Part::Api]).await.expect("an API"));
    let before = ada.place(&[(&tea, 1)]).await.id;
    app.seen(&before, 1).await;
    app.caught_up().await;
    let mut events = Events::open(&ada, LIST, json!({})).await;
    events.until(|events| !events.last_id.is_empty()).await;
    let mut last = events.last_id.clone();
    drop(events);
    let mut heard = Vec::new();
    let mut placed = Vec::new();
    for node in [&other, &ada, &other] {
        for _ in 0..2 {
            let order = ada.place(&[(&tea, 1)]).await.id;
            app.seen(&order, 1).await;
            placed.push(order);
        }
        let mut events = Events::open_after(&last, node, LIST, json!({})).await;
        for _ in 0..2 {
            let mut change = events.result().await;
            assert_eq!(change["ordersChanged"]["kind"], "CHANGE", "{change:#}");
            heard.push(change["ordersChanged"]["order"]["id"].take());
            last = events.last_id.clone();
        }
    }
    assert_eq!(heard, placed, "nothing is left out, nothing comes twice");
    app.close().await;
}

#[tokio::test]
async fn the_last_id_wins_over_the_cursor_with_which_the_request_was_once_written() {
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let order = ada.place(&[(&tea, 1)]).await.id;
    let mut events = Events::open(&ada, ONE, json!({ "id": order })).await;
    assert_eq!(told(&events.result().await), ("SNAPSHOT".to_owned(), 1));
    let written = events.last_id.clone();
    ada.pay(&order).await;
    assert_eq!(told(&events.result().await), change(2));
    let last = events.last_id.clone();
    drop(events);
    ada.accepted("cancelOrder", json!({ "orderId": order })).await;
    app.seen(&order, 3).await;
    let variables = json!({ "id": order, "after": written });
    let mut first_time = Events::open(&ada, ONE, variables.clone()).await;
    assert_eq!(told(&first_time.result().await), change(2));
    assert_eq!(told(&first_time.result().await), change(3));
    let mut again = Events::open_after(&last, &ada, ONE, variables).await;
    assert_eq!(told(&again.result().await), change(3));
    app.close().await;
}

#[tokio::test]
async fn an_id_that_is_none_ends_the_attempt_before_it_begins() {
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let order = ada.place(&[(&tea, 1)]).await.id;
    app.caught_up().await;
    let mut events = Events::open(&ada, ONE, json!({ "id": order })).await;
    events.result().await;
    let of_one = events.last_id.clone();
    let mut events = Events::open(&ada, LIST, json!({})).await;
    events.until(|events| !events.last_id.is_empty()).await;
    let of_list = events.last_id.clone();
    let long = "A".repeat(8_000);
    for (query, id) in [(ONE, "garbage"), (ONE, "1"), (ONE, &long), (ONE, &of_list), (LIST, "null"), (LIST, &of_one)] {
        let response = Events::ask(id, &ada, query, json!({ "id": order })).await;
        // A browser would take an error within a stream for a cut, and come back with the same id for ever.
        assert_eq!(
            (response.status(), header(&response, "content-type")),
            (StatusCode::BAD_REQUEST, "application/json; charset=utf-8")
        );
        let answer: Value = response.json().await.expect("JSON");
        assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{answer:#}");
        assert!(answer["errors"][0]["message"].as_str().is_some_and(|message| message.contains("Last-Event-ID")), "{answer:#}");
    }
    // Bytes that are no text.
    let get = to(&app, Method::GET, "/graphql").query(&[("query", "subscription { ordersChanged { kind } }")]);
    let get = get.header("accept", EVENTS).bearer_auth(ada.token.as_deref().expect("a token"));
    assert_eq!(send(get.header("last-event-id", &b"\xff\xfe"[..])).await.status(), StatusCode::BAD_REQUEST);
    // Where there is nothing to go on with, the header says nothing.
    let product = "subscription($id: ID!) { productChanged(id: $id) { sku } }";
    let mut events = Events::open_after("garbage", &ada, product, json!({ "id": tea })).await;
    assert_eq!(events.result().await["productChanged"]["sku"], "TEA-1");
    assert_eq!(events.last_id, "garbage", "a product has no ids");
    let mut events = Events::open_after("garbage", &ada, "{ __typename }", json!({})).await;
    assert_eq!(events.result().await["__typename"], "Query");
    // Nor does it where no events are asked for.
    let plain = to(&app, Method::POST, "/graphql").header("content-type", JSON).header("last-event-id", "garbage");
    let plain = plain.bearer_auth(ada.token.as_deref().expect("a token")).body(json!({ "query": "{ __typename }" }).to_string());
    assert_eq!(send(plain).await.status(), StatusCode::OK);
    app.close().await;
}

#[tokio::test]
async fn a_line_on_which_nothing_happens_is_kept_alive_and_not_collected_on_the_way() {
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let response = Events::ask("", &ada, LIST, json!({})).await;
    assert_eq!(header(&response, "x-accel-buffering"), "no");
    for rule in ["no-store", "no-transform"] {
        assert!(header(&response, "cache-control").contains(rule), "{rule}");
    }
    let mut events = Events::open(&ada, LIST, json!({})).await;
    events.until(|events| events.comments > 0).await;
    app.close().await;
}

#[tokio::test]
async fn a_reader_that_stops_for_a_while_gets_every_version_all_the_same() {
    const UPDATES: i64 = 150;
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let order = ada.place(&[(&tea, 1)]).await.id;
    // So large that neither the line nor the order's ring holds more than a few: the log has to help.
    let notes: String = (0..28).map(|n| format!("n{n}: note ")).collect();
    let large = format!("subscription($id: ID!) {{ orderChanged(id: $id) {{ kind order {{ version {notes} }} }} }}");
    let mut events = Events::open(&ada, &large, json!({ "id": order })).await;
    assert_eq!(told(&events.result().await), ("SNAPSHOT".to_owned(), 1));
    for number in 0..UPDATES {
        let note = format!("{number} {}", "tea ".repeat(980));
        ada.accepted("updateOrder", json!({ "orderId": order, "note": note })).await;
    }
    app.seen(&order, 1 + UPDATES).await;
    for version in 2..=1 + UPDATES {
        assert_eq!(told(&events.result().await), change(version));
    }
    app.close().await;
}
