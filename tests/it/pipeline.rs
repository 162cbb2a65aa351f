//! From the commit to the read model: nothing is lost, nothing happens twice, and every order keeps its own order, whatever
//! happens to the parts in between. Lines that break, and events that cannot be applied, have files of their own.

mod broken;
mod interleavings;
mod parked;
mod pressure;
mod standstill;

use crate::support::{
    Client, TestApp,
    backstage::{carrying, get},
    until,
};
use futures_util::{FutureExt, future::join_all};

use lapin::{
    options::{BasicGetOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions},
    types::FieldTable,
};
use mongodb::bson::{Document, doc};
use orderflow::{
    config::Role::{Api, Projector, Relay},
    event::{Event, UserEvent},
    value::{DisplayName, Email, Role},
};
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use sea_orm::{ConnectionTrait, DbBackend, Statement, TransactionTrait};
use serde_json::{Value, json};
use std::{collections::BTreeMap, panic::AssertUnwindSafe};
use uuid::Uuid;

/// A shop with customers and products, for people to trade in.
struct Market {
    customers: Vec<Client>,
    staff: Client,
    products: Vec<String>,
}

impl Market {
    async fn open(app: &TestApp) -> Self {
        let mut customers = Vec::new();
        for name in ["Ada Lovelace", "Alan Turing", "Grace Hopper"] {
            customers.push(app.customer(name).await.1);
        }
        let mut products = Vec::new();
        for (sku, pence) in [("TEA-1", 650), ("CUP-1", 1250), ("POT-1", 3995)] {
            products.push(app.product(sku, pence, 10_000).await);
        }
        Self { customers, staff: app.staff(), products }
    }

    /// Orders with lives of all kinds, many at once.
    async fn trade(&self, orders: usize) {
        join_all((0..orders).map(|number| self.life(number))).await;
    }

    async fn life(&self, number: usize) {
        let customer = &self.customers[number % self.customers.len()];
        let (one, other) = (&self.products[number % 3], &self.products[(number + 1) % 3]);
        let order = customer.place(&[(one, 1 + (number % 5) as i64), (other, 1)]).await;
        if number.is_multiple_of(7) {
            customer.accepted("cancelOrder", json!({ "orderId": order.id })).await;
            return;
        }
        customer.pay(&order.id).await;
        if number.is_multiple_of(3) {
            self.staff.ship(&order.id).await;
            self.staff.deliver(&order.id).await;
        }
        if number.is_multiple_of(4) {
            self.staff.accepted("refundOrder", json!({ "orderId": order.id })).await;
        }
    }
}

/// Writes an event of a user by hand, as the write side does, and gives its position.
async fn append(database: &impl ConnectionTrait, user: Uuid, version: i64, event: UserEvent) -> i64 {
    let kind = event.kind();
    let data = Event::User(event).data().expect("data");
    let sql = format!(
        "WITH appended AS (
            INSERT INTO event_log (id, stream_kind, stream_id, version, kind, recorded_at, actor, command_id, partition_key,
                                   stock_marks, data)
            VALUES (gen_random_uuid(), 'user', '{user}', {version}, '{kind}', now(), 'admin', 'by-hand-{version}', '{user}', '[]',
                '{data}')
            RETURNING position, partition_key)
         INSERT INTO outbox (position, shard)
         SELECT position, hashtext(partition_key::text) & 2147483647 FROM appended RETURNING position"
    );
    let row = database.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.expect("appended");
    get(&row.expect("a row"), "position")
}

#[tokio::test]
async fn a_commit_that_comes_late_with_an_early_number_is_neither_skipped_nor_reordered() {
    let app = TestApp::start().await;
    let market = Market::open(&app).await;
    let database = app.postgres().await;
    let ada = Uuid::now_v7();
    let name = |text: &str| DisplayName::parse(text).expect("a name");
    let created = UserEvent::Created {
        email: Email::parse("byron@example.com").expect("an address"),
        display_name: name("Ada Byron"),
        role: Role::Customer,
    };
    let late = database.begin().await.expect("begin");
    let early_number = append(&late, ada, 1, created).await;
    // Meanwhile the shop goes on, and what comes after in her own stream is faster than its beginning.
    market.trade(20).await;
    let renamed = UserEvent::ProfileUpdated { email: None, display_name: Some(name("Ada Lovelace")) };
    let late_number = append(&database, ada, 2, renamed).await;
    until("the second to wait for the first", || async {
        let waiting = app.waiting().await;
        if waiting.len() == 1 { Ok(()) } else { Err(waiting) }
    })
    .await;
    let published = app.number(&format!("SELECT count(*) FROM event_log WHERE position > {early_number}")).await;
    assert!(published > 60 && late_number > early_number, "others have gone ahead");
    late.commit().await.expect("commit");
    assert_eq!(app.agree().await, 20);
    let query = "query($id: ID!) { user(id: $id) { version email displayName } }";
    let seen = app.staff().ask(query, json!({ "id": format!("user_{}", ada.simple()) })).await;
    assert_eq!(seen["user"], json!({ "version": 2, "email": "byron@example.com", "displayName": "Ada Lovelace" }));
    app.close().await;
}

#[tokio::test]
async fn other_services_hear_every_event_exactly_once_and_in_order_when_nothing_fails() {
    let app = TestApp::start().await;
    app.customer("Somebody").await;
    app.caught_up().await;
    let before = app.number("SELECT max(position) FROM event_log").await;
    let connection = lapin::Connection::connect(&app.bus().url, lapin::ConnectionProperties::default()).await.expect("connected");
    let channel = connection.create_channel().await.expect("a channel");
    let (ear, bind) = ("another.service", QueueBindOptions::default());
    channel.queue_declare(ear.into(), QueueDeclareOptions::default(), FieldTable::default()).await.expect("declared");
    channel.queue_bind(ear.into(), "orderflow.events".into(), "#".into(), bind, FieldTable::default()).await.expect("bound");
    Market::open(&app).await.trade(40).await;
    app.agree().await;

    let mut heard: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    while let Some(message) = channel.basic_get(ear.into(), BasicGetOptions { no_ack: true }).await.expect("a look") {
        let event: Value = serde_json::from_slice(&message.data).expect("JSON");
        let stream = event["subject"].as_str().expect("a subject").to_owned();
        heard.entry(stream).or_default().push(event["streamversion"].as_i64().expect("a version"));
    }
    let mut logged: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for envelope in app.log(&format!("position > {before}")).await {
        logged.entry(envelope.meta.stream.to_string()).or_default().push(envelope.meta.version);
    }
    assert_eq!(heard, logged);
    connection.close(200, "heard enough".into()).await.expect("closed");
    app.close().await;
}

#[tokio::test]
async fn events_that_come_again_change_nothing() {
    let app = TestApp::start().await;
    Market::open(&app).await.trade(15).await;
    app.agree().await;
    let before = app.read_model().await;
    let mut again = app.log("true").await;
    let keys: std::collections::BTreeSet<_> = again.iter().map(|envelope| envelope.meta.partition_key).collect();
    app.publish(again.iter().map(carrying).collect()).await;
    again.shuffle(&mut StdRng::seed_from_u64(37));
    app.publish(again.iter().map(carrying).collect()).await;
    app.worked_off(keys).await;
    assert_eq!(app.read_model().await, before);
    app.close().await;
}

#[tokio::test]
async fn nobody_rewrites_history() {
    let app = TestApp::start().await;
    app.customer("Ada Lovelace").await;
    let database = app.postgres().await;
    let before = app.state().await;
    for sql in [
        "UPDATE event_log SET actor = 'somebody else'",
        "UPDATE event_log SET actor = actor WHERE false",
        "DELETE FROM event_log",
        "TRUNCATE event_log CASCADE",
    ] {
        let refused = database.execute_unprepared(sql).await.expect_err(sql).to_string();
        assert!(refused.contains("the event log is append-only"), "{sql}: {refused}");
    }
    assert_eq!(app.state().await, before);
    app.close().await;
}

#[tokio::test]
async fn a_read_model_that_somebody_has_touched_does_not_agree() {
    let app = TestApp::start().await;
    Market::open(&app).await.trade(8).await;
    assert_eq!(app.agree().await, 8);
    let mongo = app.mongo().await;
    for (name, touch) in [
        ("sales", doc! { "$inc": { "itemCount": 1_i64 } }),
        ("sales", doc! { "$inc": { "revenue": -1_i64 } }),
        ("users", doc! { "$inc": { "summary.openOrderCount": 1_i64 } }),
        ("products", doc! { "$inc": { "unitsSold": 1_i64 } }),
        ("orders", doc! { "$pop": { "history": 1 } }),
        ("orders", doc! { "$set": { "status": "SHIPPED" } }),
        ("positions", doc! { "$inc": { "number": 1_i64 } }),
    ] {
        let collection = mongo.collection::<Document>(name);
        let one = collection.find_one(doc! {}).await.expect("find").expect("a document");
        let id = doc! { "_id": one.get("_id").expect("an id") };
        collection.update_one(id.clone(), touch.clone()).await.expect("update");
        let seen = AssertUnwindSafe(app.agree()).catch_unwind().await;
        assert!(seen.is_err(), "{name} {touch} goes unseen");
        collection.replace_one(id, one).upsert(true).await.expect("replace");
    }
    assert_eq!(app.agree().await, 8);
    app.close().await;
}
