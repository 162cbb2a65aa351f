//! When a part is away for long: commands go on up to a bound, then they are refused by name; what is known is still answered;
//! fresh work is not forgotten behind a backlog; and readiness tells the truth all the while.

use super::*;
use std::time::Instant;

const PLACE: &str = "mutation($input: PlaceOrderInput!) { placeOrder(input: $input) {
    receipt { aggregateId version replayed } errors { code } } }";

fn wish(id: &str, product: &str) -> Value {
    json!({ "input": { "commandId": id, "lines": [{ "productId": product, "quantity": 1 }] } })
}

/// Places orders one after the other until one is refused and so many events wait; gives the id of that one, and its answer.
async fn order_until_refused(app: &TestApp, ada: &Client, product: &str, most: i64) -> (String, Value) {
    let mut number = 0;
    for _ in 0..1_000 {
        let id = format!("order-{number}");
        let answer = ada.answer(PLACE, wish(&id, product)).await;
        if answer.get("errors").is_none() {
            assert_eq!(answer["data"]["placeOrder"]["errors"], json!([]), "{answer:#}");
            number += 1;
        } else if app.number("SELECT count(*) FROM outbox").await >= most {
            return (id, answer);
        } else {
            // A commit may be counted twice until the next count.
            tokio::time::sleep(std::time::Duration::from_millis(20)).await; // bounded poll
        }
    }
    panic!("{number} orders were taken");
}

/// Waits until the node is ready or, if a part is named, says this of it and is not.
async fn told_of(app: &TestApp, part: Option<&str>, said: &str) {
    until(&format!("{part:?}: {said}"), || async {
        let (ready, answer) = app.readiness().await;
        let as_told = match part {
            None => ready,
            Some(part) => !ready && answer["parts"][part].as_str().is_some_and(|text| text.contains(said)),
        };
        if as_told { Ok(()) } else { Err(answer) }
    })
    .await;
}

/// Sends a command again until it is carried out.
async fn carried_out(ada: &Client, id: &str, product: &str) {
    until("the order", || async {
        let answer = ada.answer(PLACE, wish(id, product)).await;
        if answer["data"]["placeOrder"]["receipt"].is_object() { Ok(()) } else { Err(answer) }
    })
    .await;
}

#[tokio::test]
async fn without_the_broker_commands_go_on_up_to_a_bound_and_what_is_known_is_told_beyond_it() {
    const MOST: i64 = 40;
    let build = TestApp::build().through_proxy().with("--max-backlog", "40").with("--ready-within", "2s");
    let app = build.start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 1_000).await;
    app.caught_up().await;
    told_of(&app, None, "ready").await;

    app.wires().broker.cut();
    let (refused, answer) = order_until_refused(&app, &ada, &tea, MOST).await;
    let error = &answer["errors"][0];
    assert_eq!((&answer["data"], &error["extensions"]["code"]), (&Value::Null, &json!("BUSY")), "{answer:#}");
    assert!(error["message"].as_str().is_some_and(|text| text.contains("nothing was done")), "{answer:#}");
    let waiting = app.number("SELECT count(*) FROM outbox").await;
    assert!(waiting < MOST + 10, "{waiting} events wait");
    told_of(&app, Some("outbox"), "commands are refused").await;
    told_of(&app, Some("relay"), "not moving").await;

    // Nothing more is done, however often and for whomever one asks.
    let before = app.state().await;
    join_all((0..50).map(|number| {
        let (ada, tea) = (&ada, &tea);
        async move { assert_eq!(ada.error_of(PLACE, wish(&format!("late-{number}"), tea)).await, "BUSY") }
    }))
    .await;
    assert_eq!(app.state().await, before);
    // What was done is told, and questions are answered.
    let known = ada.ask(PLACE, wish("order-0", &tea)).await["placeOrder"].take();
    assert_eq!((&known["receipt"]["replayed"], &known["errors"]), (&json!(true), &json!([])), "{known:#}");
    let mut other = wish("order-0", &tea);
    other["input"]["note"] = json!("Ring twice");
    assert_eq!(ada.ask(PLACE, other).await["placeOrder"]["errors"][0]["code"], "COMMAND_ID_REUSED");
    assert_eq!(ada.ask("{ products { totalCount } }", json!({})).await["products"]["totalCount"], 1);

    app.wires().broker.mend();
    carried_out(&ada, &refused, &tea).await;
    told_of(&app, None, "ready").await;
    let placed: i64 = refused.trim_start_matches("order-").parse().expect("a number");
    assert_eq!(app.agree().await as i64, placed + 1);
    app.close().await;
}

#[tokio::test]
async fn full_queues_push_back_to_the_client_and_lose_nothing() {
    let mut app = TestApp::build().roles(&[Api, Relay]).with("--max-backlog", "30").start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 1_000).await;
    told_of(&app, None, "ready").await;
    // Nobody takes anything out of the queues: the read side is away.
    app.narrow_queues(Some("^orderflow[.]projector")).await;
    let (refused, answer) = order_until_refused(&app, &ada, &tea, 30).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "BUSY", "{answer:#}");
    told_of(&app, Some("outbox"), "commands are refused").await;
    app.join(&[Projector]).await;
    app.narrow_queues(None).await;
    carried_out(&ada, &refused, &tea).await;
    let placed: i64 = refused.trim_start_matches("order-").parse().expect("a number");
    assert_eq!(app.agree().await as i64, placed + 1);
    app.close().await;
}

#[tokio::test]
async fn fresh_orders_are_seen_soon_while_a_backlog_of_thousands_is_worked_off() {
    const WAVES: usize = 20;
    const ORDERS: usize = 75;
    let mut app = TestApp::build().roles(&[Api]).start().await;
    let market = Market::open(&app).await;
    for _ in 0..WAVES {
        join_all((0..ORDERS).map(|number| {
            let (customer, product) = (&market.customers[number % 3], &market.products[number % 3]);
            async move {
                let order = customer.place(&[(product, 1)]).await;
                customer.pay(&order.id).await;
            }
        }))
        .await;
    }
    let backlog = app.number("SELECT count(*) FROM outbox").await;
    assert!(backlog >= 2 * (WAVES * ORDERS) as i64, "{backlog} events wait");
    app.join(&[Relay, Projector]).await;
    let mut longest = std::time::Duration::ZERO;
    for number in 0..10 {
        let started = Instant::now();
        let fresh = market.customers[number % 3].place(&[(&market.products[0], 1)]).await;
        // The bound: nothing in a test waits longer than `until` does.
        app.seen(&fresh.id, 1).await;
        longest = longest.max(started.elapsed());
    }
    println!("a backlog of {backlog} events; the slowest of ten fresh orders was seen after {longest:?}");
    assert_eq!(app.agree().await, WAVES * ORDERS + 10);
    app.close().await;
}

#[tokio::test]
async fn an_idle_line_to_the_broker_on_which_nothing_comes_any_more_is_told() {
    let app = TestApp::build().through_proxy().with("--ready-within", "3s").start().await;
    told_of(&app, None, "ready").await;
    app.wires().broker.silence();
    // Long before a heartbeat would be missed.
    let silent = Instant::now();
    told_of(&app, Some("relay"), "not moving").await;
    told_of(&app, Some("projector"), "not moving").await;
    assert!(silent.elapsed() < std::time::Duration::from_secs(15), "{:?}", silent.elapsed());
    app.wires().broker.mend();
    told_of(&app, None, "ready").await;
    Market::open(&app).await.trade(3).await;
    assert_eq!(app.agree().await, 3);
    app.close().await;
}
