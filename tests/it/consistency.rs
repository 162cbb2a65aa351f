//! Read your own writes: whoever hands in a receipt sees at least what it proves, or is told that it is not there yet.

mod deploys;

use crate::support::{Client, Placed, TestApp, until, uuid_of};
use futures_util::{FutureExt, future::join_all};
use orderflow::config::Role::{Api, Projector, Relay};
use serde_json::{Value, json};

/// A question, about `$id`, with what its answer must be once the receipt is visible.
struct Asked {
    what: &'static str,
    token: Value,
    query: String,
    expected: Value,
}

impl Asked {
    fn new(what: &'static str, token: &Value, question: &str, id: &str, expected: Value) -> Self {
        let query = format!("query($c: ConsistencyInput) {{ {} }}", question.replace("$id", &format!("\"{id}\"")));
        Self { what, token: token.clone(), query, expected }
    }

    fn with(&self, milliseconds: i64, on_timeout: &str) -> Value {
        json!({ "c": { "token": self.token, "timeoutMs": milliseconds, "onTimeout": on_timeout } })
    }

    async fn expect_not_yet_visible(&self, client: &Client) {
        assert_eq!(client.error_of(&self.query, self.with(20, "FAIL")).await, "NOT_YET_VISIBLE", "{}", self.what);
        let stale = client.ask(&self.query, self.with(20, "STALE")).await;
        assert_ne!(stale, self.expected, "{}", self.what);
    }

    async fn expect_visible(&self, client: &Client) {
        assert_eq!(client.ask(&self.query, self.with(10_000, "FAIL")).await, self.expected, "{}", self.what);
    }
}

fn token(receipt: &Value) -> Value {
    receipt["token"].clone()
}

#[tokio::test]
async fn a_receipt_is_visible_in_every_view_it_concerns_or_told_not_to_be() {
    let mut app = TestApp::build().roles(&[Api, Relay]).start().await;
    let (ada_id, ada) = app.customer("Ada Byron").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let placed = ada.place(&[(&tea, 3)]).await;
    let paid = token(&ada.pay(&placed.id).await);
    let named = token(&ada.accepted("updateUserProfile", json!({ "userId": ada_id, "displayName": "Ada Lovelace" })).await);
    let counted = token(&app.staff().accepted("adjustStock", json!({ "productId": tea, "delta": 5 })).await);
    let (order, order_id) = (json!(placed.token), placed.id.as_str());

    let available = json!({ "product": { "available": 12, "unitsSold": 3 } });
    let spent = json!({ "user": { "orderSummary": { "orderCount": 1, "totalSpent": [{ "amount": "19.50" }] } } });
    let asked = [
        Asked::new(
            "a placing for the order",
            &order,
            "order(id: $id, consistency: $c) { id }",
            order_id,
            json!({ "order": { "id": order_id } }),
        ),
        Asked::new(
            "a payment for the list",
            &paid,
            "orders(filter: { customerId: $id }, consistency: $c) { nodes { status totalPaid { amount } } }",
            &ada_id,
            json!({ "orders": { "nodes": [{ "status": "PAID", "totalPaid": { "amount": "19.50" } }] } }),
        ),
        Asked::new(
            "a payment for the customer",
            &paid,
            "user(id: $id, consistency: $c) { orderSummary { orderCount totalSpent { amount } } }",
            &ada_id,
            spent,
        ),
        // How many are left is not asked: the delivery below may be visible too, or not yet.
        Asked::new(
            "a placing for the stock",
            &order,
            "product(id: $id, consistency: $c) { unitsSold }",
            &tea,
            json!({ "product": { "unitsSold": 3 } }),
        ),
        Asked::new("a delivery of goods", &counted, "product(id: $id, consistency: $c) { available unitsSold }", &tea, available),
        Asked::new(
            "a delivery of goods in the catalogue",
            &counted,
            "products(filter: { sku: [$id] }, consistency: $c) { nodes { available } }",
            "TEA-1",
            json!({ "products": { "nodes": [{ "available": 12 }] } }),
        ),
        Asked::new(
            "a new name for the customer",
            &named,
            "user(id: $id, consistency: $c) { displayName }",
            &ada_id,
            json!({ "user": { "displayName": "Ada Lovelace" } }),
        ),
        Asked::new(
            "a new name for the orders",
            &named,
            "orders(filter: { customerId: $id }, consistency: $c) { nodes { customer { displayName } } }",
            &ada_id,
            json!({ "orders": { "nodes": [{ "customer": { "displayName": "Ada Lovelace" } }] } }),
        ),
    ];
    for one in &asked {
        one.expect_not_yet_visible(&ada).await;
    }
    // Somebody else's node asks meanwhile as well, and both are let go by what the projector writes.
    let other = ada.at(app.join(&[Api]).await.expect("an API"));
    let waiting = join_all(asked.iter().flat_map(|one| [one.expect_visible(&ada), one.expect_visible(&other)]));
    let mut waiting = Box::pin(waiting);
    tokio::select! {
        _ = &mut waiting => panic!("there is nothing to be seen yet"),
        () = app.listening(asked.len()..) => {}
    }
    app.join(&[Projector]).await;
    waiting.await;
    app.close().await;
}

#[tokio::test]
async fn a_payload_has_a_receipt_and_no_order_while_the_read_side_is_behind() {
    let mut app = TestApp::build().roles(&[Api, Relay]).with("--payload-wait", "100ms").start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let query = "mutation($input: PlaceOrderInput!) { placeOrder(input: $input) {
        receipt { aggregateId version token } errors { code } order { id version status } } }";
    let wish = json!({ "input": { "commandId": "checkout-1", "lines": [{ "productId": tea, "quantity": 1 }] } });
    let payload = ada.ask(query, wish.clone()).await["placeOrder"].take();
    assert_eq!(payload["errors"], json!([]));
    assert_eq!(payload["receipt"]["version"], 1);
    assert!(payload["order"].is_null(), "{payload:#}");
    app.join(&[Projector]).await;
    app.caught_up().await;
    let again = ada.ask(query, wish).await["placeOrder"].take();
    assert_eq!(again["receipt"], payload["receipt"]);
    assert_eq!(again["order"], json!({ "id": payload["receipt"]["aggregateId"], "version": 1, "status": "PENDING" }));
    app.close().await;
}

/// Holds back what an action did to the stock of a product, and asserts that its token waits for that.
async fn expect_wait_for_stock(app: &mut TestApp, product: &str, token: Value, expected: Value) {
    let late = app.hold(&format!("e.stream_kind = 'stock' AND e.stream_id = '{}'", uuid_of(product))).await;
    app.join(&[Relay, Projector]).await;
    let asked = Asked::new("stock", &token, "product(id: $id, consistency: $c) { version available }", product, expected);
    let staff = app.staff();
    until("all but the stock", || async {
        let catalogue = "query($c: ConsistencyInput) { orders(consistency: $c) { totalCount } products { nodes { version } } }";
        let seen = staff.ask(catalogue, json!({})).await;
        let there =
            seen["orders"]["totalCount"] == 1 && seen["products"]["nodes"][0]["version"] == asked.expected["product"]["version"];
        if there { Ok(()) } else { Err(seen) }
    })
    .await;
    asked.expect_not_yet_visible(&staff).await;
    app.release(late).await;
    asked.expect_visible(&staff).await;
}

#[tokio::test]
async fn the_receipt_of_an_order_waits_for_the_stock_it_took() {
    let mut app = TestApp::build().roles(&[Api]).start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let Placed { token, .. } = ada.place(&[(&tea, 3)]).await;
    let expected = json!({ "product": { "version": 1, "available": 7 } });
    expect_wait_for_stock(&mut app, &tea, json!(token), expected).await;
    app.close().await;
}

#[tokio::test]
async fn the_receipt_of_a_delivery_of_goods_waits_for_the_stock_it_made() {
    let mut app = TestApp::build().roles(&[Api]).start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    ada.place(&[(&tea, 3)]).await;
    let counted = app.staff().accepted("adjustStock", json!({ "productId": tea, "delta": 5 })).await;
    let expected = json!({ "product": { "version": 2, "available": 12 } });
    expect_wait_for_stock(&mut app, &tea, token(&counted), expected).await;
    app.close().await;
}

#[tokio::test]
async fn what_is_no_receipt_and_no_reasonable_wait_is_refused() {
    let app = TestApp::start().await;
    let (ada_id, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let placed = ada.place(&[(&tea, 1)]).await;
    app.caught_up().await;
    let questions = [
        Asked::new("order", &json!(placed.token), "order(id: $id, consistency: $c) { id }", &placed.id, json!(null)),
        Asked::new(
            "orders",
            &json!(placed.token),
            "orders(filter: { customerId: $id }, consistency: $c) { totalCount }",
            &ada_id,
            json!(null),
        ),
        Asked::new("user", &json!(placed.token), "user(id: $id, consistency: $c) { id }", &ada_id, json!(null)),
        Asked::new("product", &json!(placed.token), "product(id: $id, consistency: $c) { id }", &tea, json!(null)),
        Asked::new(
            "products",
            &json!(placed.token),
            "products(filter: { sku: [$id] }, consistency: $c) { totalCount }",
            "TEA-1",
            json!(null),
        ),
    ];
    for asked in questions {
        for garbage in ["", "garbage", "b3JkZXI", "é", &placed.id, &placed.token[1..], &"A".repeat(10_000)] {
            let variables = json!({ "c": { "token": garbage, "onTimeout": "STALE" } });
            assert_eq!(ada.error_of(&asked.query, variables).await, "BAD_USER_INPUT", "{}: {garbage:.40}", asked.what);
        }
        for wait in [-1, 10_001, i64::from(i32::MAX), i64::from(i32::MIN)] {
            assert_eq!(ada.error_of(&asked.query, asked.with(wait, "FAIL")).await, "BAD_USER_INPUT", "{}: {wait}", asked.what);
        }
        for (wait, on_timeout) in [(0, "STALE"), (10_000, "FAIL")] {
            ada.ask(&asked.query, asked.with(wait, on_timeout)).await;
        }
        let plain = ada.ask(&asked.query, json!({ "c": { "token": placed.token } })).await;
        assert!(!plain[asked.what].is_null(), "the other two have defaults: {plain}");
    }
    app.close().await;
}

#[tokio::test]
async fn who_will_not_wait_at_all_still_sees_what_is_there() {
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let placed = ada.place(&[(&tea, 1)]).await;
    app.caught_up().await;
    let question = "order(id: $id, consistency: $c) { status }";
    let asked = Asked::new("no wait", &json!(placed.token), question, &placed.id, json!({ "order": { "status": "PENDING" } }));
    assert_eq!(ada.ask(&asked.query, asked.with(0, "FAIL")).await, asked.expected);
    app.close().await;
}

#[tokio::test]
async fn a_crowd_that_waits_for_one_order_is_let_go_at_once() {
    const CROWD: usize = 50;
    let mut app = TestApp::build().roles(&[Api, Relay]).start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let placed = ada.place(&[(&tea, 1)]).await;
    let question = "order(id: $id, consistency: $c) { status }";
    let asked = Asked::new("a crowd", &json!(placed.token), question, &placed.id, json!({ "order": { "status": "PENDING" } }));
    let mut crowd = Box::pin(join_all((0..CROWD).map(|_| asked.expect_visible(&ada))));
    tokio::select! {
        _ = &mut crowd => panic!("there is nothing to be seen yet"),
        () = app.listening(CROWD..) => {}
    }
    assert!(crowd.as_mut().now_or_never().is_none(), "nobody goes before there is something to see");
    app.join(&[Projector]).await;
    crowd.await;
    app.listening(..1).await;
    app.close().await;
}
