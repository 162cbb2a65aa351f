//! A replay has no effect but the new read model: nobody hears of what happened long ago, and nothing is counted once more.

use super::*;
use crate::support::Ear;

/// Everything that anybody but whoever rebuilds can see or hear: what both sides say, and what was told.
async fn outward(app: &TestApp, customer: &Client) -> serde_json::Value {
    let shop =
        "{ products { nodes { sku available unitsSold version } } orders(first: 50) { totalCount nodes { id version status } }
        salesReport(from: \"2020-01-01T00:00:00Z\", to: \"2120-01-01T00:00:00Z\", granularity: MONTH) {
            buckets { orderCount itemCount revenue { amount } } } }";
    let own = "{ me { version orderSummary { orderCount openOrderCount totalSpent { amount } } } }";
    json!({
        "write side": app.state().await,
        "outcomes": app.number("SELECT count(*) FROM commands").await,
        "outbox": app.number("SELECT count(*) FROM outbox").await,
        "shop": app.staff().ask(shop, json!({})).await,
        "customer": customer.ask(own, json!({})).await,
        "told": documents(&app.mongo().await, "changes").await,
    })
}

#[tokio::test]
async fn a_replay_is_heard_by_nobody_and_counts_nothing_twice() {
    let app = TestApp::start().await;
    let ear = Ear::open(&app).await;
    let shop = Shop::open(&app).await;
    shop.trade(&app, 9).await;
    assert_eq!(app.agree().await, 9);
    until("an empty outbox", || async {
        let left = app.number("SELECT count(*) FROM outbox").await;
        if left == 0 { Ok(()) } else { Err(left) }
    })
    .await;
    let staff = app.staff();
    let (mut list, mut product) = (staff.socket().await, staff.socket().await);
    list.subscribe("1", "subscription { ordersChanged { kind order { id version } } }", json!({})).await;
    let shelf = "subscription($id: ID!) { productChanged(id: $id) { available unitsSold } }";
    product.subscribe("1", shelf, json!({ "id": shop.products[0] })).await;
    let level = product.change().await;
    app.listening(2..).await;
    let (before, (told, _)) = (outward(&app, &shop.customers[0]).await, ear.heard().await);
    assert!(told.len() > 9, "{told:?}");

    for (wish, live) in [(REBUILD, 2), (UNDO, 1), (UNDO, 2)] {
        assert_eq!(run(&app, wish).await.expect("switched").generation, Some(live));
        assert_eq!(outward(&app, &shop.customers[0]).await, before, "{wish:?}");
        assert_eq!(ear.heard().await, (Default::default(), 0), "{wish:?}: other services hear nothing of a replay");
    }
    // The next thing that anybody hears is the next thing that happens.
    let fresh = shop.customers[0].place(&[(&shop.products[0], 1)]).await.id;
    assert_eq!(list.change().await, json!({ "kind": "CHANGE", "order": { "id": fresh, "version": 1 } }));
    let one = |value: &serde_json::Value| value.as_i64().expect("units");
    loop {
        let now = product.change().await;
        // A switch may have made it look again, and tell the same level once more; never another than there was.
        if now != level {
            assert_eq!(
                (one(&now["available"]), one(&now["unitsSold"])),
                (one(&level["available"]) - 1, one(&level["unitsSold"]) + 1)
            );
            break;
        }
    }
    assert_eq!(app.agree().await, 10);
    app.close().await;
}
