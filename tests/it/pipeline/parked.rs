//! Events that cannot be applied yet, or never, and a pipeline that does not move: one order waits, everything else goes on, and
//! whoever asks is told.

use super::*;
use crate::support::{Placed, backstage::message, uuid_of};
use orderflow::event::Envelope;

/// Orders that are placed, paid and shipped, with nothing published yet.
async fn shipped_orders(app: &TestApp, orders: usize) -> (Client, String, Vec<Placed>) {
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 100).await;
    let mut placed = Vec::new();
    for _ in 0..orders {
        let order = ada.place(&[(&tea, 2)]).await;
        ada.pay(&order.id).await;
        app.staff().ship(&order.id).await;
        placed.push(order);
    }
    (ada, tea, placed)
}

/// The version of an order as the read side has it.
async fn version(client: &Client, order: &Placed) -> Value {
    client.ask("query($id: ID!) { order(id: $id) { version } }", json!({ "id": order.id })).await["order"]["version"].take()
}

/// Waits until the waiting room holds these, as [stream, version, reason].
async fn expect_waiting(app: &TestApp, mut expected: Vec<Value>) {
    expected.sort_by_key(ToString::to_string);
    until(&format!("{expected:?}"), || async {
        let waiting = app.waiting().await;
        let mut seen: Vec<_> = waiting.iter().map(|w| json!([w["stream"], w["version"], w["reason"]])).collect();
        seen.sort_by_key(ToString::to_string);
        if seen == expected { Ok(()) } else { Err(waiting) }
    })
    .await;
}

fn waits(order: &Placed, version: i64, reason: &str) -> Value {
    json!([format!("order/{}", uuid_of(&order.id)), version, reason])
}

#[tokio::test]
async fn an_event_that_comes_early_waits_for_the_one_before_it() {
    let mut app = TestApp::build().roles(&[Api]).start().await;
    let (ada, tea, orders) = shipped_orders(&app, 2).await;
    let late = app.hold(&format!("e.version = 2 AND e.stream_id = '{}'", uuid_of(&orders[0].id))).await;
    app.join(&[Relay, Projector]).await;
    expect_waiting(&app, vec![waits(&orders[0], 3, "GAP")]).await;
    app.staff().deliver(&orders[0].id).await;
    expect_waiting(&app, vec![waits(&orders[0], 3, "GAP"), waits(&orders[0], 4, "GAP")]).await;
    assert_eq!(version(&ada, &orders[0]).await, 1);
    // Her other orders do not wait for this one.
    app.seen(&orders[1].id, 3).await;
    let fresh = ada.place(&[(&tea, 1)]).await;
    app.seen(&fresh.id, 1).await;
    app.release(late).await;
    assert_eq!(app.agree().await, 3);
    assert_eq!(version(&ada, &orders[0]).await, 4);
    app.close().await;
}

/// The same event, changed by somebody who should not.
fn mangled(envelope: &Envelope, mangle: impl FnOnce(&mut Value)) -> orderflow::bus::Outgoing {
    let mut wire: Value = serde_json::from_slice(&envelope.to_json().expect("JSON")).expect("JSON");
    mangle(&mut wire);
    message(envelope.meta.partition_key, wire.to_string().into_bytes())
}

/// Four orders whose payment cannot be read or applied, each for a reason of its own, and one that is well.
async fn poisoned(app: &mut TestApp) -> (Client, Vec<Placed>, crate::support::backstage::Held) {
    let (ada, tea, orders) = shipped_orders(app, 4).await;
    let ids: Vec<_> = orders[..3].iter().map(|order| format!("'{}'", uuid_of(&order.id))).collect();
    let which = format!("e.version = 2 AND e.stream_id IN ({})", ids.join(", "));
    let payments = app.log(&which).await;
    let held = app.hold(&which).await;
    app.join(&[Relay, Projector]).await;
    app.seen(&orders[3].id, 3).await;
    let strange_line = json!({ "shipment_id": "shipment_0190d3f57a0070008000000000000001", "shipped_at": "2026-01-01T00:00:00Z",
        "lines": [{ "line_id": "line_0190d3f57a0070008000000000000001", "quantity": 1 }] });
    let key = payments[0].meta.partition_key;
    app.publish(vec![
        mangled(&payments[0], |wire| wire["type"] = json!("orderflow.order.teleported.v9")),
        mangled(&payments[1], |wire| wire["data"] = json!({ "amount": "a lot" })),
        mangled(&payments[2], |wire| {
            wire["type"] = json!("orderflow.order.shipped.v1");
            wire["data"] = strange_line;
        }),
        message(key, b"not even JSON".to_vec()),
        message(key, vec![0xff, 0x00, 0xfe]),
    ])
    .await;
    app.worked_off([key]).await;
    let fresh = ada.place(&[(&tea, 1)]).await;
    app.seen(&fresh.id, 1).await;
    (ada, orders, held)
}

#[tokio::test]
async fn a_poisonous_event_parks_its_own_order_and_no_other() {
    let mut app = TestApp::build().roles(&[Api]).start().await;
    let (ada, orders, _) = poisoned(&mut app).await;
    let mut expected: Vec<_> = orders[..3].iter().flat_map(|o| [waits(o, 2, "POISON"), waits(o, 3, "GAP")]).collect();
    expected.extend([json!(["unreadable", 0, "POISON"]), json!(["unreadable", 0, "POISON"])]);
    expect_waiting(&app, expected).await;
    for order in &orders[..3] {
        assert_eq!(version(&ada, order).await, 1, "nothing of it is skipped");
    }
    let waiting = app.waiting().await;
    let cause = |order: &Placed| {
        let stream = format!("order/{}", uuid_of(&order.id));
        let parked = waiting.iter().find(|w| w["stream"] == stream.as_str() && w["version"] == 2).expect("it is parked");
        parked["cause"].as_str().expect("a cause").to_owned()
    };
    assert!(cause(&orders[0]).contains("orderflow.order.teleported.v9"), "{}", cause(&orders[0]));
    assert!(cause(&orders[1]).contains("orderflow.order.paid.v1"), "{}", cause(&orders[1]));
    assert!(cause(&orders[2]).contains("line_0190d3f57a0070008000000000000001"), "{}", cause(&orders[2]));
    // What comes later of a parked order waits in its place.
    app.staff().deliver(&orders[0].id).await;
    until("the delivery to wait", || async {
        let waiting = app.waiting().await;
        if waiting.iter().any(|w| w["version"] == 4 && w["reason"] == "GAP") { Ok(()) } else { Err(waiting) }
    })
    .await;
    app.close().await;
}

#[tokio::test]
async fn a_parked_order_goes_on_when_its_event_comes_whole_after_all() {
    let mut app = TestApp::build().roles(&[Api]).start().await;
    let (_, orders, held) = poisoned(&mut app).await;
    app.release(held).await;
    for order in &orders {
        assert_eq!(app.seen(&order.id, 3).await["status"], "SHIPPED");
    }
    // What was parked has happened now, so nobody needs to look at it any more.
    expect_waiting(&app, vec![json!(["unreadable", 0, "POISON"]), json!(["unreadable", 0, "POISON"])]).await;
    app.close().await;
}

/// Waits until the node says that it is ready, or that it is not because of one part.
async fn expect_readiness(app: &TestApp, but: Option<(&str, &str)>) {
    until(&format!("ready but for {but:?}"), || async {
        let (ready, answer) = app.readiness().await;
        assert_eq!(answer["ready"], ready, "{answer:#}");
        let as_expected = match but {
            None => ready,
            Some((part, why)) => !ready && answer["parts"][part].as_str().is_some_and(|text| text.contains(why)),
        };
        if as_expected { Ok(()) } else { Err(answer) }
    })
    .await;
}

#[tokio::test]
async fn a_node_is_not_ready_while_an_event_waits_too_long() {
    let mut app = TestApp::build().roles(&[Api]).with("--ready-within", "2s").start().await;
    expect_readiness(&app, None).await;
    app.customer("Ada Lovelace").await;
    expect_readiness(&app, Some(("outbox", "to be published"))).await;
    app.join(&[Relay, Projector]).await;
    expect_readiness(&app, None).await;
    app.close().await;
}

#[tokio::test]
async fn a_node_is_not_ready_while_its_broker_is_gone() {
    let app = TestApp::build().with("--ready-within", "2s").start().await;
    expect_readiness(&app, None).await;
    app.open_broker(false).await;
    app.throw_out(2).await;
    expect_readiness(&app, Some(("projector", "not moving"))).await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    expect_readiness(&app, Some(("relay", "not moving"))).await;
    expect_readiness(&app, Some(("outbox", "to be published"))).await;
    app.open_broker(true).await;
    expect_readiness(&app, None).await;
    app.agree().await;
    assert_eq!(ada.ask("{ me { displayName } }", json!({})).await["me"]["displayName"], "Ada Lovelace");
    app.close().await;
}
