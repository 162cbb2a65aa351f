//! The whole path: a mutation that ends as a live update on a socket.

use crate::support::TestApp;
use serde_json::json;

const FOLLOW: &str = "subscription($id: ID!, $after: String) { orderChanged(id: $id, after: $after) {
    kind cursor skippedVersions order { version status } event { type version } } }";

#[tokio::test]
async fn a_customer_watches_their_order_being_paid_shipped_and_delivered() {
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let order = ada.place(&[(&tea, 2)]).await;

    let mut socket = ada.socket().await;
    socket.subscribe("1", FOLLOW, json!({ "id": order.id })).await;
    let snapshot = socket.change().await;
    assert_eq!((snapshot["kind"].as_str(), snapshot["order"]["status"].as_str()), (Some("SNAPSHOT"), Some("PENDING")));

    ada.pay(&order.id).await;
    app.staff().ship(&order.id).await;
    app.staff().deliver(&order.id).await;
    for (version, status, event) in
        [(2, "PAID", "ORDER_PAID"), (3, "SHIPPED", "ORDER_SHIPPED"), (4, "DELIVERED", "ORDER_DELIVERED")]
    {
        let change = socket.change().await;
        assert_eq!(change["kind"], "CHANGE");
        assert_eq!(change["order"], json!({ "version": version, "status": status }));
        assert_eq!(change["event"], json!({ "type": event, "version": version }));
    }
    app.close().await;
}

#[tokio::test]
async fn the_read_side_tells_the_whole_story_of_an_order() {
    let app = TestApp::start().await;
    let (ada_id, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let cup = app.product("CUP-1", 1250, 10).await;
    let order = ada.place(&[(&tea, 2), (&cup, 1)]).await;
    ada.pay(&order.id).await;
    let lines = app.seen(&order.id, 2).await["lines"].clone();
    let first = json!([{ "lineId": lines[0]["id"], "quantity": 1 }]);
    app.staff().accepted("shipOrder", json!({ "orderId": order.id, "lines": first, "carrier": "Royal Mail" })).await;
    let refund = app.staff().accepted("refundOrder", json!({ "orderId": order.id, "lines": first, "reason": "broken" })).await;

    let query = "query($id: ID!, $token: String!, $tea: ID!, $ada: ID!) {
        order(id: $id, consistency: { token: $token, onTimeout: FAIL, timeoutMs: 10000 }) {
            status itemCount total { amount currencyCode } totalPaid { amount } totalRefunded { amount }
            customer { id displayName }
            lines { sku name quantity unitPrice { amount } total { amount } quantityShipped quantityRefunded }
            shipments { carrier lines { lineId quantity } deliveredAt }
            allowedActions { action allowed }
            history { totalCount nodes { type version actor pipeline { committedAt publishedAt projectedAt traceId } } } }
        user(id: $ada, consistency: { token: $token, onTimeout: FAIL, timeoutMs: 10000 }) {
            orderSummary { orderCount openOrderCount totalSpent { amount } } }
        product(id: $tea, consistency: { token: $token, onTimeout: FAIL, timeoutMs: 10000 }) { available unitsSold } }";
    let seen = ada.ask(query, json!({ "id": order.id, "token": refund["token"], "tea": tea, "ada": ada_id })).await;

    let seen_order = &seen["order"];
    assert_eq!(seen_order["status"], "PARTIALLY_SHIPPED");
    assert_eq!(seen_order["total"], json!({ "amount": "25.50", "currencyCode": "GBP" }));
    assert_eq!(seen_order["totalPaid"]["amount"], "25.50");
    assert_eq!(seen_order["totalRefunded"]["amount"], "6.50");
    assert_eq!(seen_order["customer"], json!({ "id": ada_id, "displayName": "Ada Lovelace" }));
    assert_eq!(seen_order["lines"][0]["quantityShipped"], 1);
    assert_eq!(seen_order["lines"][0]["quantityRefunded"], 1);
    assert_eq!(seen_order["shipments"][0]["lines"], first);
    let kinds: Vec<_> = seen_order["history"]["nodes"].as_array().expect("events").iter().map(|e| e["type"].clone()).collect();
    assert_eq!(kinds, ["ORDER_PLACED", "ORDER_PAID", "ORDER_SHIPPED", "ORDER_REFUNDED"]);
    let placed = &seen_order["history"]["nodes"][0];
    assert_eq!(placed["actor"], ada_id.as_str());
    assert!(placed["pipeline"]["traceId"].is_string(), "one trace from the mutation on");
    let times = ["committedAt", "publishedAt", "projectedAt"].map(|stage| placed["pipeline"][stage].as_str().expect("a time"));
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(
        seen["user"]["orderSummary"],
        json!({ "orderCount": 1, "openOrderCount": 1, "totalSpent": [{ "amount": "19.00" }] })
    );
    // Two were reserved; one was sent, and the refund released the one that was not.
    assert_eq!(seen["product"], json!({ "available": 9, "unitsSold": 1 }));
    app.close().await;
}

#[tokio::test]
async fn a_payload_gives_the_order_as_the_command_left_it() {
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let query = "mutation($input: PlaceOrderInput!) { placeOrder(input: $input) {
        receipt { aggregateId version } errors { code } order { id version status customer { displayName } } } }";
    let input = json!({ "lines": [{ "productId": tea, "quantity": 1 }] });
    let payload = ada.ask(query, json!({ "input": input })).await["placeOrder"].clone();
    assert_eq!(payload["order"]["id"], payload["receipt"]["aggregateId"]);
    assert_eq!((payload["order"]["version"].as_i64(), payload["order"]["status"].as_str()), (Some(1), Some("PENDING")));
    app.close().await;
}
