//! What clients do all day: orders from placing to the end, and the shop's own chores.

use crate::{
    client::Client,
    load::{Ended, Receipt, Shop, Till},
    pause,
};
use rand::Rng;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// Trades until the day is over, and finishes what is begun.
pub async fn trade(shop: Arc<Shop>, number: u64, over: watch::Receiver<bool>) {
    let mut till = Till::new(&shop, "client", number);
    while !*over.borrow() {
        match till.chance.random_range(0..1_000) {
            0..850 => order(&shop, &mut till).await,
            850..940 => stock(&shop, &mut till).await,
            940..975 => describe(&shop, &mut till).await,
            975..983 => rename(&shop, &mut till).await,
            983..992 => newcomer(&shop, &mut till).await,
            _ => novelty(&shop, &mut till).await,
        }
    }
}

fn someone<'a>(shop: &'a Shop, till: &mut Till) -> &'a Client {
    &shop.customers[till.chance.random_range(0..shop.customers.len())]
}

/// One to three lines of different products.
fn wishes(shop: &Shop, till: &mut Till) -> Value {
    let products = shop.products();
    let first = till.chance.random_range(0..products.len());
    let lines = (0..till.chance.random_range(1..=3_usize.min(products.len()))).map(
        |line| json!({ "productId": products[(first + line) % products.len()].0, "quantity": till.chance.random_range(1..5) }),
    );
    lines.collect()
}

/// Places an order for somebody; says which and where it is, once it is.
pub async fn place(shop: &Shop, till: &mut Till, customer: &Client) -> Option<Receipt> {
    let input = json!({ "lines": wishes(shop, till) });
    let Ended::Done(placed) = till.send(shop, customer, "placeOrder", input).await else { return None };
    shop.book.placed(&placed.aggregate);
    Some(placed)
}

/// The life of an order. It ends early when a client goes away without knowing how far it has come.
async fn order(shop: &Shop, till: &mut Till) {
    let customer = someone(shop, till).clone();
    let Some(placed) = place(shop, till, &customer).await else { return };
    let id = placed.aggregate.clone();
    if till.chance.random_bool(0.4) {
        till.read_back(shop, &customer, &placed).await;
    }
    for _ in 0..till.chance.random_range(0..3) {
        let input = if till.chance.random_bool(0.5) {
            json!({ "orderId": id, "note": format!("Note {}", till.chance.random_range(0..1_000_000_000)) })
        } else {
            json!({ "orderId": id, "lines": wishes(shop, till) })
        };
        match step(shop, till, &customer, "updateOrder", input).await {
            Ended::Unknown => return,
            Ended::Done(_) | Ended::Refused => {}
        }
    }
    if till.chance.random_bool(0.15) {
        step(shop, till, &customer, "cancelOrder", json!({ "orderId": id })).await;
        return;
    }
    let staff = shop.staff.clone();
    let steps = [
        (&customer, "payOrder", json!({ "orderId": id, "reference": "CARD" })),
        (&staff, "shipOrder", json!({ "orderId": id, "carrier": "Post" })),
        (&staff, "deliverOrder", json!({ "orderId": id })),
        (&staff, "refundOrder", json!({ "orderId": id, "reason": "Chaos" })),
    ];
    for (client, name, input) in steps.into_iter().take(till.chance.random_range(0..=4)) {
        let Ended::Done(receipt) = step(shop, till, client, name, input).await else { return };
        if till.chance.random_bool(0.2) {
            till.read_back(shop, client, &receipt).await;
        }
    }
}

/// A command, and the time that people need between two of them.
async fn step(shop: &Shop, till: &mut Till, client: &Client, name: &'static str, input: Value) -> Ended {
    pause(Duration::from_millis(till.chance.random_range(10..120))).await;
    till.send(shop, client, name, input).await
}

async fn stock(shop: &Shop, till: &mut Till) {
    let products = shop.products();
    let (id, units) = (&products[till.chance.random_range(0..products.len())].0, till.chance.random_range(1..50));
    put(shop, till, id, units).await;
}

/// Puts units on a shelf, and knows whether they are there: the ledger counts them.
pub async fn put(shop: &Shop, till: &mut Till, product: &str, units: i64) -> Option<Receipt> {
    let before = std::mem::replace(&mut till.patient, true);
    let ended = till.send(shop, &shop.staff, "adjustStock", json!({ "productId": product, "delta": units })).await;
    till.patient = before;
    let Ended::Done(receipt) = ended else { return None };
    shop.stocked(product, units);
    Some(receipt)
}

async fn describe(shop: &Shop, till: &mut Till) {
    let products = shop.products();
    let id = &products[till.chance.random_range(0..products.len())].0;
    let description = format!("Text {}", till.chance.random_range(0..1_000_000_000));
    step(shop, till, &shop.staff, "updateProduct", json!({ "productId": id, "description": description })).await;
}

async fn rename(shop: &Shop, till: &mut Till) {
    let customer = someone(shop, till).clone();
    let name = format!("Customer {}", till.chance.random_range(0..1_000_000_000));
    step(shop, till, &customer, "updateUserProfile", json!({ "userId": customer.subject, "displayName": name })).await;
}

async fn newcomer(shop: &Shop, till: &mut Till) {
    let number = till.chance.random_range(0..u64::MAX);
    let input = json!({ "email": format!("newcomer-{number}@example.com"), "displayName": "Newcomer" });
    step(shop, till, &shop.staff, "createUser", input).await;
}

async fn novelty(shop: &Shop, till: &mut Till) {
    let number = till.chance.random_range(0..u64::MAX);
    let price = json!({ "amount": "9.99", "currencyCode": "GBP" });
    let input = json!({ "sku": format!("NEW-{number}"), "name": "Novelty", "price": price, "stock": 100 });
    let patient = std::mem::replace(&mut till.patient, true);
    if let Ended::Done(made) = step(shop, till, &shop.staff, "createProduct", input).await {
        shop.stocked(&made.aggregate, 100);
    }
    till.patient = patient;
}
