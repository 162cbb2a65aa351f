//! People in a shop, who must not notice what is done to its read model: some trade, one looks, one listens.

use crate::{
    rebuild::{Shop, load::hear},
    support::{TestApp, until},
};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    future::Future,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};
use tokio::sync::OnceCell;

/// Goes on trading, looking and listening while something is done. Every command is accepted and seen, no question fails or is
/// answered with something older than before, and every version of every order is told once and in order, without a RESYNC.
pub async fn among_people<T>(app: &TestApp, shop: &Shop, work: impl Future<Output = T>) -> T {
    let (over, listening, all) = (AtomicBool::new(false), AtomicUsize::new(0), OnceCell::new());
    let staff = app.staff();
    let hearing = hear(&staff, &shop.products[0], &listening, &all);
    let living = async {
        until("the listener", || async {
            match listening.load(Ordering::Relaxed) {
                1 => Ok(()),
                others => Err(others),
            }
        })
        .await;
        let first = shop.life(app, 0).await;
        app.seen(&first.0, first.1).await;
        let working = async {
            let done = work.await;
            over.store(true, Ordering::Relaxed);
            done
        };
        let trading = join_all((0..2).map(|trader| trade(app, shop, trader, &over)));
        let (done, traded, looks) = tokio::join!(working, trading, look(app, &first.0, &over));
        assert!(looks > 20, "somebody looked {looks} times");
        all.set(traded.into_iter().flatten().chain([first]).collect()).expect("set once");
        // What is told last, so that the listener looks up.
        shop.customers[1].place(&[(&shop.products[0], 1)]).await;
        done
    };
    tokio::join!(hearing, living).1
}

/// One order after the other, each when the last one has been seen to its end.
async fn trade(app: &TestApp, shop: &Shop, trader: usize, over: &AtomicBool) -> Vec<(String, i64)> {
    let mut orders = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let order = shop.life(app, trader + orders.len()).await;
        app.seen(&order.0, order.1).await;
        orders.push(order);
    }
    orders
}

/// Looks at one order, and at the newest of all, again and again; says how often.
async fn look(app: &TestApp, order: &str, over: &AtomicBool) -> usize {
    let query = "query($id: ID!) { one: order(id: $id) { id version history(first: 1) { totalCount } }
        orders(first: 20) { totalCount nodes { id version history(first: 1) { totalCount } } } }";
    let number = |value: &Value| value.as_i64().unwrap_or_else(|| panic!("{value} is no number"));
    let (staff, mut pace) = (app.staff(), tokio::time::interval(Duration::from_millis(40)));
    let (mut seen, mut all, mut looks) = (BTreeMap::<String, (i64, i64)>::new(), 0, 0);
    while !over.load(Ordering::Relaxed) {
        pace.tick().await;
        let answer = staff.ask(query, json!({ "id": order })).await;
        let there = number(&answer["orders"]["totalCount"]);
        assert!(there >= all, "there were {all} orders, and now {there}");
        for order in answer["orders"]["nodes"].as_array().expect("orders").iter().chain([&answer["one"]]) {
            let now = (number(&order["version"]), number(&order["history"]["totalCount"]));
            let before = seen.insert(order["id"].as_str().expect("an id").to_owned(), now).unwrap_or_default();
            assert!(now.0 >= before.0 && now.1 >= before.1, "{order} was {before:?} before");
        }
        (all, looks) = (there, looks + 1);
    }
    looks
}

/// How long it takes until an order that is placed now can be seen.
pub async fn until_seen(app: &TestApp, shop: &Shop) -> Duration {
    let since = Instant::now();
    let order = shop.customers[2].place(&[(&shop.products[1], 1)]).await.id;
    app.seen(&order, 1).await;
    since.elapsed()
}
