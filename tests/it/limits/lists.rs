//! Lists in filters: as long as a page, and no longer.

use crate::support::TestApp;
use serde_json::{Value, json};

#[tokio::test]
async fn the_lists_of_a_filter_are_bounded_and_the_bound_is_told() {
    let app = TestApp::start().await;
    let staff = app.staff();
    let products = "query($of: [String!]) { products(filter: { sku: $of }) { totalCount } }";
    let orders = "query($of: [OrderStatus!]) { orders(filter: { status: $of }) { totalCount } }";
    let items = |count: usize, one: &dyn Fn(usize) -> Value| json!({ "of": (0..count).map(one).collect::<Vec<_>>() });
    let sku = |n: usize| json!(format!("SKU-{n}"));
    let pending = |_: usize| json!("PENDING");
    assert_eq!(staff.ask(products, items(100, &sku)).await["products"]["totalCount"], 0);
    assert_eq!(staff.ask(orders, items(100, &pending)).await["orders"]["totalCount"], 0);
    for (query, variables) in [(products, items(101, &sku)), (products, items(5_000, &sku)), (orders, items(101, &pending))] {
        let answer = staff.answer(query, variables).await;
        let error = &answer["errors"][0];
        assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{answer:#}");
        assert!(error["message"].as_str().is_some_and(|message| message.contains("may have 100 items")), "{answer:#}");
    }
    // What is followed has the same filters.
    let mut socket = staff.socket().await;
    let follow = "subscription($of: [OrderStatus!]) { ordersChanged(filter: { status: $of }) { kind } }";
    socket.subscribe("1", follow, items(101, &pending)).await;
    let message = socket.message().await;
    let errors = if message["type"] == "error" { &message["payload"] } else { &message["payload"]["errors"] };
    assert_eq!(errors[0]["extensions"]["code"], "BAD_USER_INPUT", "{message:#}");
    app.close().await;
}
