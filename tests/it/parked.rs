//! What stands still in the read model: what clients see of it, what an operator can do about it, and that nobody else notices.
//! That events wait in order at all is told in `pipeline/parked.rs`.

mod neighbours;
mod operator;
mod panics;
mod tomorrow;

use crate::{
    command_line::process::{Ended, Process},
    support::{
        Client, Placed, TestApp,
        backstage::{Held, carrying, documents, message},
        until, uuid_of,
    },
};
use futures_util::future::join_all;
use mongodb::bson::{Document, doc};
use orderflow::{
    bus::Outgoing,
    config::Role::{Api, Projector, Relay},
    event::Envelope,
};
use serde_json::{Value, json};

/// A shop in which Ada's orders were placed, paid and shipped, and the messages of their payments were damaged on the way.
struct Shop {
    app: TestApp,
    ada: Client,
    tea: String,
    orders: Vec<Placed>,
    payments: Vec<Envelope>,
    /// The payments as they should have come.
    held: Held,
}

impl Shop {
    /// With so many orders, and one that is well.
    async fn with(orders: usize) -> Self {
        let mut app = TestApp::build().roles(&[Api]).start().await;
        let (_, ada) = app.customer("Ada Lovelace").await;
        let tea = app.product("TEA-1", 650, 10_000).await;
        let mut placed = Vec::new();
        for _ in 0..orders {
            let order = ada.place(&[(&tea, 2)]).await;
            ada.pay(&order.id).await;
            app.staff().ship(&order.id).await;
            placed.push(order);
        }
        let which = "e.version = 2 AND e.stream_kind = 'order'";
        let payments = app.log(which).await;
        let held = app.hold(which).await;
        app.join(&[Relay, Projector]).await;
        let shop = Self { app, ada, tea, orders: placed, payments, held };
        shop.app.publish(shop.payments.iter().map(damaged).collect()).await;
        for order in &shop.orders {
            // The payment that cannot be read, and the parcel behind it.
            shop.parked(order, "MALFORMED", 2).await;
        }
        shop
    }

    /// The document that says that an order stands still, as soon as it says so with this cause and so many events.
    async fn parked(&self, order: &Placed, cause: &str, waiting: i64) -> Value {
        standing(&self.app, &stream(order), cause, waiting).await
    }

    /// Mends the messages in the waiting room by hand, as nobody should.
    async fn mend(&self) {
        let waiting = self.app.mongo().await.collection::<Document>("waiting");
        for payment in &self.payments {
            let body = String::from_utf8(payment.to_json().expect("JSON")).expect("a text");
            let id = format!("{}:{}", payment.meta.stream, payment.meta.version);
            let mended = waiting.update_one(doc! { "_id": id }, doc! { "$set": { "body": body } }).await.expect("update");
            assert_eq!(mended.modified_count, 1);
        }
    }
}

fn stream(order: &Placed) -> String {
    format!("order/{}", uuid_of(&order.id))
}

async fn standing(app: &TestApp, stream: &str, cause: &str, waiting: i64) -> Value {
    let mongo = app.mongo().await;
    until(&format!("{stream} to stand still as {cause} with {waiting}"), || async {
        let all = documents(&mongo, "parked").await;
        let found = all.iter().find(|head| head["_id"] == stream && head["cause"] == cause && head["waiting"] == waiting);
        found.cloned().ok_or(all)
    })
    .await
}

async fn nothing_stands(app: &TestApp) {
    let mongo = app.mongo().await;
    until("nothing to stand still", || async {
        let all = documents(&mongo, "parked").await;
        if all.is_empty() { Ok(()) } else { Err(all) }
    })
    .await;
}

/// The same message with something in it that no payment has.
fn damaged(envelope: &Envelope) -> Outgoing {
    changed(envelope, |wire| wire["data"] = json!({ "amount": "s3cr3t" }))
}

fn changed(envelope: &Envelope, change: impl FnOnce(&mut Value)) -> Outgoing {
    let mut wire: Value = serde_json::from_slice(&envelope.to_json().expect("JSON")).expect("JSON");
    change(&mut wire);
    message(envelope.meta.partition_key, wire.to_string().into_bytes())
}

/// The environment of a command that works on this shop.
fn at(app: &TestApp) -> Vec<(&str, &str)> {
    let parts = &app.config.parts;
    vec![("DATABASE_URL", &parts.database_url), ("AMQP_URL", &parts.bus.url), ("MONGODB_URI", &parts.mongodb_uri)]
}

/// Runs `orderflow parked` with these words.
async fn parked(app: &TestApp, words: &[&str]) -> Ended {
    Process::run(&[&["parked"], words].concat(), &at(app)).await
}

/// Pays an order together with many others, so that it is in the middle of a batch. The others are seen to be paid.
async fn paid_among_others(app: &TestApp, ada: &Client, tea: &str, broken: &Placed) {
    let others = join_all((0..20).map(|number| async move {
        if number == 10 {
            ada.pay(&broken.id).await;
            return None;
        }
        let order = ada.place(&[(tea, 1)]).await;
        ada.pay(&order.id).await;
        Some(order)
    }));
    for order in others.await.into_iter().flatten() {
        app.seen(&order.id, 2).await;
    }
}

const SEEN: &str = "query($id: ID!) { order(id: $id) { version status totalPaid { amount }
    projection { state since reason } customer { id } history { nodes { type version actor } } } }";

async fn seen(client: &Client, order: &Placed) -> Value {
    client.ask(SEEN, json!({ "id": order.id })).await["order"].take()
}

#[tokio::test]
async fn a_parked_order_says_so_and_an_order_that_never_began_is_not_there() {
    let shop = Shop::with(1).await;
    let order = seen(&shop.ada, &shop.orders[0]).await;
    assert_eq!((&order["version"], &order["status"]), (&json!(1), &json!("PENDING")), "it is right as of its version");
    let projection = &order["projection"];
    assert_eq!(projection["state"], "PARKED");
    let since = projection["since"].as_str().expect("a moment");
    assert!(since.ends_with('Z') && since.starts_with("20"), "{since}");
    let reason = projection["reason"].as_str().expect("a sentence");
    for internal in ["s3cr3t", "orderflow.", "event", "Mongo", "MALFORMED"] {
        assert!(!reason.contains(internal), "{reason}");
    }
    // A list tells the same. The others of Ada's are current.
    let fresh = shop.ada.place(&[(&shop.tea, 1)]).await;
    shop.app.seen(&fresh.id, 1).await;
    let query = "{ me { projection { state since reason } orders(sort: { field: NUMBER, direction: ASC }) { nodes {
        projection { state } } } } products { nodes { projection { state } } } }";
    let all = shop.ada.ask(query, json!({})).await;
    let states = json!([{ "projection": { "state": "PARKED" } }, { "projection": { "state": "CURRENT" } }]);
    assert_eq!(all["me"]["orders"]["nodes"], states);
    assert_eq!(all["me"]["projection"], json!({ "state": "CURRENT", "since": null, "reason": null }));
    assert_eq!(all["products"]["nodes"], json!([{ "projection": { "state": "CURRENT" } }]));

    // An order that cannot be read from its first event on does not exist, but the write side knows it.
    let admin = shop.app.admin();
    let mut lost = Envelope::clone(&shop.app.log("e.version = 1 AND e.stream_kind = 'order'").await[0]);
    let never = Placed { id: format!("order_{}", uuid::Uuid::now_v7().simple()), token: String::new() };
    lost.meta.stream = stream(&never).parse().expect("a stream");
    shop.app.publish(vec![damaged(&lost)]).await;
    shop.parked(&never, "MALFORMED", 1).await;
    assert_eq!(admin.ask(SEEN, json!({ "id": never.id })).await["order"], Value::Null);
    let discard = parked(&shop.app, &["discard", &format!("{}:1", never.id), "--reason", "it never was", "--by", "ada"]).await;
    assert_eq!(discard.code, Some(1), "{}", discard.out);
    assert!(discard.err.contains("first event of its aggregate"), "{}", discard.err);
    shop.app.close().await;
}

#[tokio::test]
async fn parked_users_and_products_say_so_too() {
    let app = TestApp::start().await;
    let (user, ada) = app.customer("Ada Lovelace").await;
    let product = app.product("TEA-1", 650, 10).await;
    app.caught_up().await;
    for (kind, id) in [("user", &user), ("product", &product)] {
        let mut next = app.log(&format!("e.stream_kind = '{kind}' AND e.version = 1")).await.remove(0);
        next.meta.version = 2;
        app.publish(vec![damaged(&next)]).await;
        standing(&app, &format!("{kind}/{}", uuid_of(id)), "MALFORMED", 1).await;
    }
    // Orders go on meanwhile, and with them the summary of the parked user and the stock of the parked product.
    let order = ada.place(&[(&product, 3)]).await;
    app.seen(&order.id, 1).await;
    let query = "query($u: ID!, $p: ID!) { user(id: $u) { version projection { state } orderSummary { orderCount } }
        product(id: $p) { version available projection { state } } }";
    let staff = app.staff();
    let seen = until("the level", || async {
        let seen = staff.ask(query, json!({ "u": user, "p": product })).await;
        if seen["product"]["available"] == 7 { Ok(seen) } else { Err(seen) }
    })
    .await;
    let parked = json!({ "state": "PARKED" });
    assert_eq!(seen["user"], json!({ "version": 1, "projection": parked, "orderSummary": { "orderCount": 1 } }));
    assert_eq!(seen["product"], json!({ "version": 1, "available": 7, "projection": parked }));
    // What is wrong is overtaken by nothing but its own version.
    ada.accepted("updateUserProfile", json!({ "userId": user, "displayName": "Ada Byron" })).await;
    app.staff().accepted("updateProduct", json!({ "productId": product, "name": "Green tea" })).await;
    app.agree().await;
    let seen = staff.ask(query, json!({ "u": user, "p": product })).await;
    let current = json!({ "state": "CURRENT" });
    assert_eq!((&seen["user"]["projection"], &seen["product"]["projection"]), (&current, &current));
    app.close().await;
}

#[tokio::test]
async fn a_poisonous_message_that_comes_again_after_the_good_one_is_nothing() {
    let shop = Shop::with(2).await;
    let (app, held) = (shop.app, shop.held);
    app.release(held).await;
    assert_eq!(app.agree().await, 2);
    let before = app.read_model().await;
    app.publish(shop.payments.iter().map(damaged).collect()).await;
    app.publish(
        shop.payments.iter().map(|payment| changed(payment, |wire| wire["type"] = json!("orderflow.order.x.v1"))).collect(),
    )
    .await;
    app.worked_off([shop.payments[0].meta.partition_key]).await;
    assert_eq!(app.read_model().await, before, "its version was reached long ago");
    app.close().await;
}

#[tokio::test]
async fn an_event_that_came_early_and_is_refused_in_its_turn_is_poison_and_not_just_late() {
    let mut app = TestApp::build().roles(&[Api]).start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 100).await;
    let order = ada.place(&[(&tea, 2)]).await;
    ada.pay(&order.id).await;
    let payment = app.hold("e.version = 2 AND e.stream_kind = 'order'").await;
    app.join(&[Relay, Projector]).await;
    app.seen(&order.id, 1).await;
    let mut strange = app.log("e.version = 2 AND e.stream_kind = 'order'").await.remove(0);
    strange.meta.version = 3;
    let line = json!([{ "line_id": "line_0190d3f57a0070008000000000000001", "quantity": 1 }]);
    app.publish(vec![changed(&strange, |wire| {
        wire["type"] = json!("orderflow.order.refunded.v1");
        wire["data"] = json!({ "lines": line, "amount": wire["data"]["amount"] });
    })])
    .await;
    let early = standing(&app, &stream(&order), "EARLY", 1).await;
    assert_eq!(early["next"], 2);
    assert_eq!(seen(&ada, &order).await["projection"]["state"], "CURRENT", "late is not parked");
    app.release(payment).await;
    let refused = standing(&app, &stream(&order), "REFUSED", 1).await;
    assert_eq!((&refused["next"], &refused["kind"]), (&json!(3), &json!("orderflow.order.refunded.v1")));
    let waiting = app.waiting().await;
    assert_eq!((waiting.len(), &waiting[0]["reason"]), (1, &json!("POISON")));
    let order = seen(&ada, &order).await;
    assert_eq!((&order["version"], &order["projection"]["state"]), (&json!(2), &json!("PARKED")));
    app.close().await;
}
