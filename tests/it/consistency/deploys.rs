//! Receipts and deploys: what one process has said, the next one knows what to do with, from its first moment on.

use super::*;

/// The same questions with a receipt, for the views that it is about.
fn asked(token: &Value, order: &str, customer: &str, status: &str, spent: &Value) -> [Asked; 3] {
    let list = json!({ "orders": { "nodes": [{ "status": status }] } });
    [
        Asked::new("order", token, "order(id: $id, consistency: $c) { status }", order, json!({ "order": { "status": status } })),
        Asked::new("list", token, "orders(filter: { customerId: $id }, consistency: $c) { nodes { status } }", customer, list),
        Asked::new(
            "customer",
            token,
            "user(id: $id, consistency: $c) { orderSummary { totalSpent { amount } } }",
            customer,
            json!({ "user": { "orderSummary": { "totalSpent": spent } } }),
        ),
    ]
}

#[tokio::test]
async fn receipts_of_the_processes_before_a_deploy_are_good_on_those_after_it_at_once() {
    let mut app = TestApp::start().await;
    let (ada_id, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let order = ada.place(&[(&tea, 1)]).await;
    app.seen(&order.id, 1).await;

    // Relays and projectors are replaced last: what is committed now nobody works on.
    app.restart(&[Api]).await;
    let ada = ada.at(app.addr());
    let placed = asked(&json!(order.token), &order.id, &ada_id, "PENDING", &json!([]));
    for one in &placed {
        // What was visible before needs no wait, though this process has only just begun.
        assert_eq!(ada.ask(&one.query, one.with(0, "FAIL")).await, one.expected, "{}", one.what);
    }
    let paid = token(&ada.pay(&order.id).await);
    let paid = asked(&paid, &order.id, &ada_id, "PAID", &json!([{ "amount": "6.50" }]));
    for one in &paid {
        one.expect_not_yet_visible(&ada).await;
    }

    app.restart(&[Api, Relay, Projector]).await;
    let ada = ada.at(app.addr());
    // Nobody is told to wait until the others have been running for a while.
    join_all(paid.iter().map(|one| one.expect_visible(&ada))).await;
    for one in &paid {
        assert_eq!(ada.ask(&one.query, one.with(0, "FAIL")).await, one.expected, "{}", one.what);
    }
    app.close().await;
}
