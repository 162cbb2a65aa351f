//! Under load: people read, write and listen on two nodes while the read model is rebuilt under them.

use super::*;
use crate::support::Socket;
use orderflow::config::Role::{Api, Projector};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};
use tokio::sync::OnceCell;

/// Reads the newest orders again and again, at two nodes in turn. None is ever older than it was, and none is missed.
async fn read(nodes: &[Client], over: &AtomicBool) -> usize {
    let query = "{ orders(first: 20) { totalCount nodes { id version history(first: 1) { totalCount } } } }";
    let number = |value: &serde_json::Value| value.as_i64().unwrap_or_else(|| panic!("{value} is no number"));
    let (mut orders, mut all, mut reads) = (BTreeMap::<String, (i64, i64)>::new(), 0, 0);
    while !over.load(Ordering::Relaxed) {
        let answer = nodes[reads % nodes.len()].ask(query, json!({})).await["orders"].take();
        let there = number(&answer["totalCount"]);
        assert!(there >= all, "there were {all} orders, and now {there}");
        for order in answer["nodes"].as_array().expect("orders") {
            let now = (number(&order["version"]), number(&order["history"]["totalCount"]));
            let before = orders.insert(order["id"].as_str().expect("an id").to_owned(), now).unwrap_or_default();
            assert!(now.0 >= before.0 && now.1 >= before.1, "{order} was {before:?} before");
        }
        (all, reads) = (there, reads + 1);
    }
    reads
}

/// What is told to somebody who listens, but for what only shows that they do.
async fn told(socket: &mut Socket) -> serde_json::Value {
    loop {
        let mut message = socket.message().await;
        if message["id"] == "orders" {
            assert_eq!(message["type"], "next", "{message:#}");
            return message["payload"]["data"]["ordersChanged"].take();
        }
    }
}

/// Hears every version of these orders once and in order, and nothing but changes. They are told when all is over; one more order
/// comes after that.
pub async fn hear(client: &Client, product: &str, listening: &AtomicUsize, all: &OnceCell<Vec<(String, i64)>>) {
    let mut socket = client.socket().await;
    socket.subscribe("orders", "subscription { ordersChanged { kind order { id version } } }", json!({})).await;
    // The first word of this one says that the one before it is listening.
    socket.subscribe("barrier", "subscription($id: ID!) { productChanged(id: $id) { sku } }", json!({ "id": product })).await;
    assert_eq!(socket.message().await["id"], "barrier");
    socket.unsubscribe("barrier").await;
    listening.fetch_add(1, Ordering::Relaxed);
    let mut heard: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    loop {
        let change = told(&mut socket).await;
        assert_eq!(change["kind"], "CHANGE", "{change:#}");
        let order = change["order"]["id"].as_str().expect("an id").to_owned();
        heard.entry(order).or_default().push(change["order"]["version"].as_i64().expect("a version"));
        let Some(all) = all.get() else { continue };
        let versions = |order: &String| heard.get(order).cloned().unwrap_or_default();
        if all.iter().all(|(order, last)| versions(order).len() as i64 >= *last) {
            for (order, last) in all {
                assert_eq!(versions(order), (1..=*last).collect::<Vec<_>>(), "{order}");
            }
            return;
        }
    }
}

#[tokio::test]
async fn nobody_notices_a_rebuild_and_nobody_its_undoing() {
    let mut app = TestApp::start().await;
    let other = app.join(&[Api, Projector]).await.expect("an API");
    let app = app;
    let shop = Shop::open(&app).await;
    shop.trade(&app, 6).await;
    app.agree().await;
    let staff = [app.staff(), app.staff().at(other)];
    let (over, listening, all) = (AtomicBool::new(false), AtomicUsize::new(0), OnceCell::new());
    let hearing = join_all(staff.iter().map(|staff| hear(staff, &shop.products[0], &listening, &all)));
    let work = async {
        until("the listeners", || async {
            match listening.load(Ordering::Relaxed) {
                2 => Ok(()),
                some => Err(some),
            }
        })
        .await;
        let rebuilding = async {
            run(&app, REBUILD).await.expect("rebuilt");
            run(&app, UNDO).await.expect("undone");
            over.store(true, Ordering::Relaxed);
        };
        let trading = join_all((0..4).map(|trader| {
            let (app, shop, over) = (&app, &shop, &over);
            async move {
                let mut orders = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    orders.push(shop.life(app, trader + orders.len()).await);
                }
                orders
            }
        }));
        let reading = join_all((0..2).map(|_| read(&staff, &over)));
        let ((), traded, reads) = tokio::join!(rebuilding, trading, reading);
        assert!(reads.iter().all(|reads| *reads > 20), "{reads:?}");
        all.set(traded.into_iter().flatten().collect()).expect("set once");
        shop.customers[1].place(&[(&shop.products[0], 1)]).await;
    };
    tokio::join!(hearing, work);
    assert_eq!(generations(&app).await, (1, Some(2), None));
    app.agree().await;
    app.close().await;
}

#[tokio::test]
async fn a_cursor_means_the_same_before_and_after() {
    let app = TestApp::start().await;
    let shop = Shop::open(&app).await;
    let quiet = shop.customers[1].place(&[(&shop.products[0], 1)]).await.id;
    let order = shop.customers[0].place(&[(&shop.products[0], 1)]).await.id;
    app.agree().await;
    let one = "subscription($id: ID!, $after: String) { orderChanged(id: $id, after: $after) { kind cursor order { version } } }";
    let list = "subscription($after: String) { ordersChanged(after: $after) { kind cursor order { version } } }";
    let staff = app.staff();
    let mut socket = staff.socket().await;
    socket.subscribe("1", one, json!({ "id": order })).await;
    let snapshot = socket.change().await;
    let mut lists = staff.socket().await;
    lists.subscribe("1", list, json!({})).await;
    app.listening(2..).await;
    shop.customers[0].pay(&order).await;
    let (paid, told) = (socket.change().await, until_paid(&mut lists).await);
    run(&app, REBUILD).await.expect("rebuilt");
    staff.ship(&order).await;
    app.seen(&order, 3).await;
    // Those who stayed and those who come back, with cursors from before.
    for (kept, last) in [(&mut socket, 3), (&mut lists, 3)] {
        let change = kept.change().await;
        assert_eq!((&change["kind"], &change["order"]["version"]), (&json!("CHANGE"), &json!(last)), "{change:#}");
    }
    for (cursor, versions) in [(&snapshot["cursor"], vec![2, 3]), (&paid["cursor"], vec![3])] {
        let mut again = staff.socket().await;
        again.subscribe("1", one, json!({ "id": order, "after": cursor })).await;
        for version in versions {
            let change = again.change().await;
            assert_eq!((&change["kind"], &change["order"]["version"]), (&json!("CHANGE"), &json!(version)), "{change:#}");
        }
    }
    let mut again = staff.socket().await;
    again.subscribe("1", list, json!({ "after": told["cursor"] })).await;
    assert_eq!(again.change().await["order"]["version"], 3);
    // A snapshot of the new read model is a place in the same log, also of an order to which nothing has happened since.
    let mut fresh = staff.socket().await;
    fresh.subscribe("1", one, json!({ "id": quiet })).await;
    let snapshot = fresh.change().await;
    assert_eq!((&snapshot["kind"], &snapshot["order"]["version"]), (&json!("SNAPSHOT"), &json!(1)));
    shop.customers[1].pay(&quiet).await;
    app.seen(&quiet, 2).await;
    let mut again = staff.socket().await;
    again.subscribe("1", one, json!({ "id": quiet, "after": snapshot["cursor"] })).await;
    let change = again.change().await;
    assert_eq!((&change["kind"], &change["order"]["version"]), (&json!("CHANGE"), &json!(2)), "{change:#}");
    app.close().await;
}

/// The placing may still be news to a list.
async fn until_paid(socket: &mut Socket) -> serde_json::Value {
    loop {
        let change = socket.change().await;
        if change["order"]["version"] == 2 {
            return change;
        }
    }
}
