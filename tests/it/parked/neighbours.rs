//! One aggregate stands still, and nobody else notices: not by the time that theirs takes, not by what it has spoilt, not by how
//! much piles up behind it.

use super::*;
use std::time::{Duration, Instant};

/// How long an order takes from the command to the read side: the middle one of many.
async fn latency(shop: &Client, tea: &str, meanwhile: impl AsyncFn(usize)) -> Duration {
    let query = "query($id: ID!, $token: String!) {
        order(id: $id, consistency: { token: $token, timeoutMs: 10000, onTimeout: FAIL }) { version } }";
    let mut times = Vec::new();
    for number in 0..31 {
        meanwhile(number).await;
        let began = Instant::now();
        let placed = shop.place(&[(tea, 1)]).await;
        shop.ask(query, json!({ "id": placed.id, "token": placed.token })).await;
        times.push(began.elapsed());
    }
    times.sort();
    times[times.len() / 2]
}

#[tokio::test]
async fn the_others_are_as_quick_as_before_while_a_busy_one_stands_still() {
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10_000).await;
    let busy = ada.place(&[(&tea, 1)]).await;
    app.caught_up().await;
    // Hers too, so that they travel through the same queue; and as many events in between, of an order that is well.
    let calm = ada.place(&[(&tea, 1)]).await;
    let note = async |order: &Placed, number: usize| {
        ada.accepted("updateOrder", json!({ "orderId": order.id, "note": format!("Ring {number} times") })).await;
    };
    let before = latency(&ada, &tea, async |number| note(&calm, number).await).await;

    // Changes of the busy order as the calm one had them, the first of them damaged.
    let mut next = app.log(&format!("e.stream_id = '{}' AND e.version = 2", uuid_of(&calm.id))).await.remove(0);
    next.meta.stream = stream(&busy).parse().expect("a stream");
    app.publish(vec![damaged(&next)]).await;
    standing(&app, &stream(&busy), "MALFORMED", 1).await;
    let tail = (3..503).map(|version| {
        let mut event = next.clone();
        event.meta.version = version;
        carrying(&event)
    });
    app.publish(tail.collect()).await;
    standing(&app, &stream(&busy), "MALFORMED", 501).await;
    let more = async |number: usize| {
        let mut event = next.clone();
        event.meta.version = 503 + number as i64;
        app.publish(vec![carrying(&event)]).await;
    };
    let after = latency(&ada, &tea, more).await;
    // Three times is what a machine with other tests on it may make of the same work; a queue that is held up takes for ever.
    assert!(after <= 3 * before + Duration::from_millis(30), "{before:?} before, {after:?} while one stands still");
    standing(&app, &stream(&busy), "MALFORMED", 532).await;
    let (ready, answer) = app.readiness().await;
    assert!(ready, "{answer:#}");
    app.close().await;
}

#[tokio::test]
async fn a_document_that_cannot_be_loaded_parks_its_own_order_and_spoils_no_batch() {
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10_000).await;
    let broken = ada.place(&[(&tea, 1)]).await;
    app.seen(&broken.id, 1).await;
    let orders = app.mongo().await.collection::<Document>("orders");
    let which = doc! { "_id": &broken.id };
    let lines = orders.find_one(which.clone()).await.expect("find").expect("it is there").get("lines").expect("lines").clone();
    orders.update_one(which.clone(), doc! { "$set": { "lines": "eaten by moths" } }).await.expect("update");
    paid_among_others(&app, &ada, &tea, &broken).await;
    let head = standing(&app, &stream(&broken), "UNWRITABLE", 1).await;
    assert_eq!(head["next"], 2);
    let detail = head["detail"].as_str().expect("a sentence");
    assert!(!detail.contains("moths"), "values are not told: {detail}");
    app.staff().ship(&broken.id).await;
    standing(&app, &stream(&broken), "UNWRITABLE", 2).await;
    let still = parked(&app, &["retry", &broken.id]).await;
    assert_eq!(still.code, Some(1), "{}{}", still.out, still.err);
    assert!(still.out.contains("UNWRITABLE at version 2"), "{}", still.out);

    orders.update_one(which, doc! { "$set": { "lines": lines } }).await.expect("update");
    assert_eq!(seen(&ada, &broken).await["projection"]["state"], "PARKED");
    let mended = parked(&app, &["retry", "--all"]).await;
    assert_eq!(mended.code, Some(0), "{}{}", mended.out, mended.err);
    assert_eq!(app.agree().await, 20);
    assert_eq!(seen(&ada, &broken).await["projection"]["state"], "CURRENT");
    app.close().await;
}

#[tokio::test]
async fn what_piles_up_is_bounded_and_the_rest_comes_from_the_log() {
    let mut app = TestApp::build().roles(&[Api]).with("--parked-tail", "2").start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 100).await;
    let order = ada.place(&[(&tea, 1)]).await;
    for number in 2..=7 {
        ada.accepted("updateOrder", json!({ "orderId": order.id, "note": format!("Ring {number} times") })).await;
    }
    let second = "e.version = 2 AND e.stream_kind = 'order'";
    let good = app.log(second).await.remove(0);
    app.hold(second).await;
    app.join(&[Relay, Projector]).await;
    let mongo = app.mongo().await;
    until("what is too much to be noted", || async {
        let heads = documents(&mongo, "parked").await;
        let noted = json!({ "next": 2, "waiting": 2, "missing": [5, 7] });
        let seen =
            heads.first().map(|head| json!({ "next": head["next"], "waiting": head["waiting"], "missing": head["missing"] }));
        if seen == Some(noted) { Ok(()) } else { Err(heads) }
    })
    .await;
    // What is next is always kept: it says why all the others wait.
    app.publish(vec![damaged(&good)]).await;
    standing(&app, &stream(&order), "MALFORMED", 3).await;
    app.publish(vec![carrying(&good)]).await;
    let rest = standing(&app, &stream(&order), "MISSING", 0).await;
    assert_eq!((&rest["next"], seen(&ada, &order).await["version"].clone()), (&json!(5), json!(4)));
    let shown = parked(&app, &["show", &order.id]).await;
    assert!(shown.out.contains("versions 5 to 7 were not kept"), "{}{}", shown.out, shown.err);
    let again = parked(&app, &["retry", "--all"]).await;
    assert_eq!(again.code, Some(0), "{}{}", again.out, again.err);
    assert!(again.out.contains("3 sent again from the event log"), "{}", again.out);
    assert_eq!(app.agree().await, 1);
    app.close().await;
}

#[tokio::test]
async fn an_event_that_got_lost_is_sent_again_by_a_retry() {
    let mut app = TestApp::build().roles(&[Api]).start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 100).await;
    let order = ada.place(&[(&tea, 1)]).await;
    ada.pay(&order.id).await;
    app.staff().ship(&order.id).await;
    // It never leaves, and nobody will let it go.
    app.hold("e.version = 2 AND e.stream_kind = 'order'").await;
    app.join(&[Relay, Projector]).await;
    standing(&app, &stream(&order), "EARLY", 1).await;
    let again = parked(&app, &["retry", &order.id]).await;
    assert_eq!(again.code, Some(0), "{}{}", again.out, again.err);
    assert_eq!(app.agree().await, 1);
    app.close().await;
}

#[tokio::test]
async fn a_process_tells_its_metrics_what_stands_still_and_is_ready_all_the_same() {
    let shop = Shop::with(2).await;
    let serve = ["serve", "--dev", "--role", "projector", "--http-addr", "127.0.0.1:0", "--partitions", "2"];
    let process = Process::start(&serve, &at(&shop.app));
    let told = process.prints("Orderflow works; health  http://").await;
    let addr = told.split('/').next().expect("an address").to_owned();
    let get = async |path: &str| {
        let answer = reqwest::get(format!("http://{addr}{path}")).await.expect("the server answers");
        (answer.status().as_u16(), answer.text().await.expect("a text"))
    };
    let gauges = [
        "orderflow_parked_aggregates{cause=\"MALFORMED\"} 2",
        "orderflow_parked_events{cause=\"MALFORMED\"} 4",
        "orderflow_parked_aggregates{cause=\"REFUSED\"} 0",
    ];
    until("the gauges", || async {
        let (_, metrics) = get("/metrics").await;
        if gauges.iter().all(|gauge| metrics.contains(gauge)) { Ok(()) } else { Err(metrics) }
    })
    .await;
    until("readiness", || async {
        let (status, answer) = get("/readyz").await;
        if status == 200 { Ok(()) } else { Err(answer) }
    })
    .await;
    drop(process);
    shop.app.close().await;
}
