//! Brokers that throw everybody out, lines that break, processes that restart: orders are placed all the while, and all arrive.

use super::*;
use std::{cell::Cell, net::SocketAddr};
use tokio::sync::watch;

/// Trades a little at a time until something else has happened; says how many orders that made.
async fn trade_while(app: &TestApp, market: &Market, happening: impl Future<Output = ()>) -> usize {
    let over = Cell::new(false);
    let trading = async {
        let mut orders = 0;
        while !over.get() {
            market.trade(12).await;
            orders += 12;
            app.caught_up().await;
        }
        orders
    };
    tokio::join!(trading, happening.map(|()| over.set(true))).0
}

#[tokio::test]
async fn a_broker_that_throws_everybody_out_loses_and_doubles_nothing() {
    let app = TestApp::start().await;
    let market = Market::open(&app).await;
    let orders = trade_while(&app, &market, async {
        app.throw_out(2).await;
        app.throw_out(2).await;
    });
    let orders = orders.await;
    assert_eq!(app.agree().await, orders);
    app.close().await;
}

#[tokio::test]
async fn a_line_to_the_broker_that_breaks_again_and_again_loses_and_doubles_nothing() {
    let app = TestApp::build().through_proxy().start().await;
    let market = Market::open(&app).await;
    app.caught_up().await;
    let breaking = async {
        for orders in [10, 40, 70, 100, 130] {
            until("more orders", || async {
                let seen = app.orders().await;
                if seen >= orders { Ok(()) } else { Err(seen) }
            })
            .await;
            app.wires().broker.cut();
            market.trade(3).await;
            app.wires().broker.mend();
        }
    };
    let trading = async {
        for _ in 0..10 {
            market.trade(15).await;
        }
    };
    tokio::join!(breaking, trading);
    assert_eq!(app.agree().await, 165);
    app.close().await;
}

#[tokio::test]
async fn two_relays_and_two_projectors_keep_the_order_while_they_come_and_go() {
    let mut app = TestApp::build().roles(&[Api]).start().await;
    let market = Market::open(&app).await;
    app.join(&[Relay, Projector]).await;
    app.join(&[Relay]).await;
    market.trade(30).await;
    app.join(&[Projector]).await;
    market.trade(30).await;
    // Who was working is thrown out, and who comes first goes on.
    let orders = trade_while(&app, &market, app.throw_out(4)).await;
    assert_eq!(app.agree().await, 60 + orders);
    app.close().await;
}

/// Sends one command until it is answered, to whatever address the shop has just then.
async fn insist(client: &Client, shop: &mut watch::Receiver<SocketAddr>, name: &str, mut input: Value) -> String {
    input["commandId"] = json!(Uuid::now_v7().to_string());
    let kind = format!("{}{}Input", name[..1].to_uppercase(), &name[1..]);
    let query =
        format!("mutation($input: {kind}!) {{ {name}(input: $input) {{ receipt {{ aggregateId }} errors {{ code }} }} }}");
    loop {
        let address = *shop.borrow_and_update();
        if let Some(answer) = client.at(address).attempt(&query, json!({ "input": input })).await {
            assert_eq!(answer[name]["errors"], json!([]), "{name}");
            return answer[name]["receipt"]["aggregateId"].as_str().expect("an id").to_owned();
        }
        shop.changed().await.expect("the shop opens again");
    }
}

#[tokio::test]
async fn a_process_that_restarts_in_the_middle_loses_nothing_and_does_nothing_twice() {
    const ORDERS: usize = 90;
    let all = [Api, Relay, Projector];
    let mut app = TestApp::start().await;
    let market = Market::open(&app).await;
    let (moved, shop) = watch::channel(app.addr());
    let lives = join_all((0..ORDERS).map(|number| {
        let (mut shop, customer) = (shop.clone(), &market.customers[number % 3]);
        let line = json!([{ "productId": market.products[number % 3], "quantity": 1 }]);
        async move {
            // One after the other, so that there is always somebody in the middle of something.
            let order = insist(customer, &mut shop, "placeOrder", json!({ "lines": line })).await;
            for note in 0..5 {
                insist(customer, &mut shop, "updateOrder", json!({ "orderId": order, "note": format!("Ring {note} times") }))
                    .await;
            }
            insist(customer, &mut shop, "payOrder", json!({ "orderId": order, "reference": "PAY-1" })).await;
        }
    }));
    let restarting = async {
        for events in [100, 300, 500] {
            until("work in hand", || async {
                let seen = app.events().await;
                if seen >= events { Ok(()) } else { Err(seen) }
            })
            .await;
            app.restart(&all).await;
            moved.send_replace(app.addr());
        }
    };
    tokio::join!(lives, restarting);
    assert_eq!(app.agree().await, ORDERS);
    assert_eq!(app.number("SELECT count(*) FROM event_log WHERE stream_kind = 'order'").await, 7 * ORDERS as i64);
    app.close().await;
}
