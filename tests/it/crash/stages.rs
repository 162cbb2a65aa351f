//! Deaths along the path of an event: in the middle of a group of commands, of a batch of the relay, of a batch of the projector.

use super::{address, deaths, dies, replayed, seen, short_transactions, start, unpublished};
use crate::support::{Client, TestApp, until};
use orderflow::config::Role::{Api, Projector, Relay};
use serde_json::json;

const PLACE: &str = "mutation($input: PlaceOrderInput!) { placeOrder(input: $input) { receipt { commandId } errors { code } } }";
const FOLLOW: &str = "subscription { change: ordersChanged { kind order { id version } } }";

deaths!(WRITING of an_api_dies_at {
    before_a_commit_nothing_has_happened: "before-commit",
    after_a_commit_it_has_happened_though_nobody_was_told: "after-commit",
    after_the_reply_it_has_happened: "after-reply",
});

async fn an_api_dies_at(point: &str) {
    let committed = point != "before-commit";
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    app.caught_up().await;
    let mut socket = app.staff().socket().await;
    socket.subscribe("1", FOLLOW, json!({})).await;
    app.listening(1..).await;

    let wish = json!({ "commandId": "checkout-1", "lines": [{ "productId": tea, "quantity": 2 }] });
    let dying = start(&app, &["api"], Some(point));
    let heard = ada.at(address(&dying).await).attempt(PLACE, json!({ "input": wish })).await;
    assert!(heard.is_none() || point == "after-reply", "{heard:?}");
    dies(dying, point).await;
    let done = i64::from(committed);
    assert_eq!((app.orders().await, app.free(&tea).await), (done, 10 - 2 * done));

    // The client insists, with the process that comes after and with one that was there all the time.
    let next = start(&app, &["api"], None);
    let receipt = ada.at(address(&next).await).accepted("placeOrder", wish.clone()).await;
    assert_eq!(replayed(&receipt), committed);
    let again = ada.accepted("placeOrder", wish).await;
    assert_eq!((replayed(&again), &again["aggregateId"]), (true, &receipt["aggregateId"]));
    assert_eq!((app.orders().await, app.free(&tea).await), (1, 8));
    assert_eq!(app.number("SELECT count(*) FROM commands WHERE command_id = 'checkout-1'").await, 1);
    assert_eq!(app.number("SELECT count(*) FROM event_log WHERE command_id = 'checkout-1' AND stream_kind = 'order'").await, 1);
    assert_eq!(app.agree().await, 1);

    // Whoever followed the orders has heard of it once: the payment is what comes next.
    ada.pay(receipt["aggregateId"].as_str().expect("an id")).await;
    for version in [1, 2] {
        assert_eq!(socket.change().await["order"], json!({ "id": receipt["aggregateId"], "version": version }));
    }
    app.close().await;
}

/// Three orders of one customer, one of them paid, with nothing to take them on yet.
async fn some_orders(app: &TestApp) -> (Client, String) {
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 100).await;
    for _ in 0..3 {
        let order = ada.place(&[(&tea, 1)]).await;
        ada.pay(&order.id).await;
    }
    (ada, tea)
}

deaths!(PUBLISHING of a_relay_dies_at {
    before_it_publishes_the_outbox_has_everything: "before-publish",
    before_the_confirms_the_outbox_has_everything: "after-publish",
    after_the_confirms_the_outbox_has_everything: "after-confirm",
    before_the_outbox_is_closed_it_has_everything: "before-outbox-commit",
    after_the_outbox_is_closed_it_is_empty: "after-outbox-commit",
});

async fn a_relay_dies_at(point: &str) {
    let mut app = TestApp::build().roles(&[Api, Projector]).start().await;
    let (ada, tea) = some_orders(&app).await;
    let all = unpublished(&app).await;
    assert_eq!(all, app.events().await, "nothing is published yet");
    dies(start(&app, &["relay"], Some(point)), point).await;
    let left = if point == "after-outbox-commit" { 0 } else { all };
    // The transaction of the dead is rolled back when PostgreSQL has noticed; until then its rows are to be seen all the same.
    assert_eq!(unpublished(&app).await, left);

    ada.place(&[(&tea, 1)]).await;
    app.join(&[Relay]).await;
    assert_eq!(app.agree().await, 4);
    let empty = until("an empty outbox", || async {
        let left = unpublished(&app).await;
        if left == 0 { Ok(left) } else { Err(left) }
    });
    assert_eq!((empty.await, app.free(&tea).await), (0, 96));
    app.close().await;
}

deaths!(PROJECTING of a_projector_dies_at {
    with_a_batch_in_hand_nothing_is_to_be_seen: "batch-taken",
    after_the_orders_of_a_batch_nothing_is_to_be_seen: "between-collections:1",
    after_the_users_of_a_batch_nothing_is_to_be_seen: "between-collections:2",
    after_the_products_of_a_batch_nothing_is_to_be_seen: "between-collections:3",
    after_the_sales_of_a_batch_nothing_is_to_be_seen: "between-collections:4",
    after_the_changes_of_a_batch_nothing_is_to_be_seen: "between-collections:5",
    after_the_positions_of_a_batch_nothing_is_to_be_seen: "between-collections:6",
    before_a_batch_commits_nothing_is_to_be_seen: "before-view-commit",
    before_the_acknowledgement_the_batch_is_to_be_seen: "before-ack",
    after_the_acknowledgement_the_batch_is_to_be_seen: "after-ack",
});

async fn a_projector_dies_at(point: &str) {
    let mut app = TestApp::build().roles(&[Api, Relay]).start().await;
    short_transactions(&app).await;
    let (ada, tea) = some_orders(&app).await;
    dies(start(&app, &["projector"], Some(point)), point).await;
    let committed = matches!(point, "before-ack" | "after-ack");
    assert_eq!(seen(&app).await > 0, committed, "all of the first batch or nothing of it");

    ada.place(&[(&tea, 1)]).await;
    app.join(&[Projector]).await;
    assert_eq!(app.agree().await, 4);
    let counted: i64 = app.read_model().await["sales"].iter().filter_map(|bucket| bucket["orderCount"].as_i64()).sum();
    assert_eq!(counted, 4);
    app.close().await;
}
