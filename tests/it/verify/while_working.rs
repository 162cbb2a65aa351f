//! While the shop goes on: nothing is blamed that is only on its way, and what is wrong is still found.

use super::{TestApp, expect_nothing, place, places};
use crate::support::Client;
use futures_util::future::join_all;
use mongodb::bson::{Document, doc};
use serde_json::json;
use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
};

/// Customers who order without pause, and are renamed between two orders, until they are told to stop.
async fn trade(customers: &[(String, Client)], staff: &Client, products: &[String], stop: &AtomicBool) {
    /// A test that never stops them fails for want of an end.
    const MOST: usize = 2_000;
    let busy = customers.iter().enumerate().map(|(n, (id, customer))| async move {
        for round in (0..MOST).take_while(|_| !stop.load(Ordering::Relaxed)) {
            let order = customer.place(&[(&products[round % 2], 1), (&products[(round + 1) % 2], 2)]).await;
            customer.pay(&order.id).await;
            match (n + round) % 4 {
                0 => drop(customer.accepted("cancelOrder", json!({ "orderId": order.id })).await),
                1 => drop(staff.accepted("refundOrder", json!({ "orderId": order.id })).await),
                2 => drop(staff.ship(&order.id).await),
                _ => {
                    let name = json!({ "userId": id, "displayName": format!("Customer {n} the {round}th") });
                    customer.accepted("updateUserProfile", name).await;
                }
            }
        }
    });
    join_all(busy).await;
}

#[tokio::test]
async fn a_shop_at_work_raises_no_false_alarm_and_hides_no_damage() {
    let app = TestApp::start().await;
    let mut customers = Vec::new();
    for n in 0..4 {
        customers.push(app.customer(&format!("Customer {n}")).await);
    }
    let products = [app.product("TEA-1", 650, 1_000_000).await, app.product("CUP-1", 1_250, 1_000_000).await];
    let (staff, stop) = (app.staff(), AtomicBool::new(false));
    let verifying = async {
        let before = app.orders().await;
        for _ in 0..3 {
            expect_nothing(&app.verify().await);
        }
        assert!(app.orders().await > before, "the shop was at work meanwhile");

        let orders = app.mongo().await.collection::<Document>("orders");
        // One that has been through everything: nothing but a renaming comes to it any more, and that keeps the damage.
        let done = doc! { "status": { "$in": ["CANCELLED", "REFUNDED"] } };
        let order = orders.find_one(done).await.expect("find").expect("an order");
        let order = order.get_str("_id").expect("an id").to_owned();
        orders.update_one(doc! { "_id": &order }, doc! { "$inc": { "total": 1_i64 } }).await.expect("damage");
        let report = app.verify().await;
        assert_eq!(places(&report.differences), BTreeSet::from([place("mongodb.orders", &order, "total")]), "{report}");
        assert_eq!(report.unsettled.total, 0, "{report}");
        orders.update_one(doc! { "_id": &order }, doc! { "$inc": { "total": -1_i64 } }).await.expect("mended");
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(trade(&customers, &staff, &products, &stop), verifying);
    let report = app.verified().await;
    assert_eq!(report.compared["mongodb.orders"], app.orders().await as u64, "{report}");
    app.close().await;
}
