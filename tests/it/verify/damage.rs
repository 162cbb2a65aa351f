//! Planted damage: each is found and named, and nothing beside it.

use super::{Shop, TestApp, place, places};
use crate::support::{
    backstage::{documents, message},
    until, uuid_of,
};
use mongodb::bson::{Bson, DateTime, Document, doc};
use orderflow::{
    config::Role::{Api, Projector, Relay},
    event::{Event, StockEvent},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

/// A hand in the read model.
struct Hand(mongodb::Database);

impl Hand {
    async fn update(&self, collection: &str, id: &str, update: Document) {
        let documents = self.0.collection::<Document>(collection);
        let updated = documents.update_one(doc! { "_id": id }, update).await.expect("an update");
        assert_eq!(updated.modified_count, 1, "{collection} {id}");
    }

    async fn set(&self, collection: &str, id: &str, fields: Document) {
        self.update(collection, id, doc! { "$set": fields }).await;
    }
}

#[tokio::test]
async fn every_damaged_document_is_named_with_its_path_and_nothing_else_is() {
    let app = TestApp::start().await;
    let shop = Shop::open(&app).await;
    app.verified().await;
    let hand = Hand(app.mongo().await);
    let orders = &shop.orders;

    hand.update("orders", &orders[0], doc! { "$inc": { "total": 1_i64 } }).await;
    hand.set("orders", &orders[1], doc! { "customer.displayName": "Somebody Else" }).await;
    // As it was before the renaming, whole.
    hand.set("orders", &orders[2], doc! { "customer.version": 1_i64, "customer.displayName": "Ada Byron" }).await;
    hand.set("orders", &orders[3], doc! { "search": ["nothing"] }).await;
    hand.update("orders", &orders[4], doc! { "$pop": { "history": -1 } }).await;
    hand.set("orders", &orders[5], doc! { "status": "REFUNDED", "shipments.0.deliveredAt": Bson::Null }).await;
    hand.set("orders", &orders[6], doc! { "forgotten": true }).await;
    hand.set("users", &shop.ada, doc! { "displayName": "Ada Byron" }).await;
    hand.update("users", &shop.alan, doc! { "$inc": { "summary.orderCount": 1_i64 } }).await;
    hand.set("products", &shop.tea, doc! { "name": "Tea of yesterday" }).await;
    hand.update("products", &shop.cup, doc! { "$inc": { "available": 1_i64 } }).await;
    let bucket = documents(&hand.0, "sales").await.remove(0)["_id"].as_str().expect("an id").to_owned();
    hand.update("sales", &bucket, doc! { "$inc": { "itemCount": -1_i64 } }).await;
    let (hour, _) = bucket.rsplit_once(':').expect("hour, currency and partition");
    app.copy_order(&orders[7], 1).await;
    let copy = app.mongo().await.collection::<Document>("orders").find_one(doc! { "number": 100_000_i64 }).await;
    let copy = copy.expect("find").expect("the copy").get_str("_id").expect("an id").to_owned();

    let report = app.verify().await;
    let expected = BTreeSet::from([
        place("mongodb.orders", &orders[0], "total"),
        place("mongodb.orders", &orders[1], "customer.displayName"),
        place("mongodb.orders", &orders[2], "customer.displayName"),
        place("mongodb.orders", &orders[2], "customer.version"),
        place("mongodb.orders", &orders[3], "search"),
        place("mongodb.orders", &orders[5], "status"),
        place("mongodb.orders", &orders[5], "shipments.0.deliveredAt"),
        place("mongodb.orders", &orders[6], "forgotten"),
        place("mongodb.orders", &copy, ""),
        place("mongodb.users", &shop.ada, "displayName"),
        place("mongodb.users", &shop.alan, "summary.orderCount"),
        place("mongodb.products", &shop.tea, "name"),
        place("mongodb.products", &shop.cup, "available"),
        place("mongodb.sales", hour, "itemCount"),
    ]);
    let mut found = places(&report.differences);
    // A history without its beginning differs from there on, in whatever those entries say.
    let of_history = |(_, id, path): &(String, String, String)| *id == orders[4] && path.starts_with("history.");
    assert!(found.iter().any(of_history), "{report}");
    found.retain(|it| !of_history(it));
    assert_eq!(found, expected, "{report}");
    assert_eq!(report.unsettled.total, 0, "{report}");

    // Values are told, unless they are personal.
    let told = |path: &str, values: bool| {
        let report = report.clone().shown(100, values);
        let difference = report.differences.first.into_iter().find(|d| d.path == path && d.id != orders[2]).expect("it is told");
        (difference.expected, difference.found)
    };
    assert_eq!(told("total", false), (Some(json!(650)), Some(json!(651))));
    assert_eq!(told("customer.displayName", true), (Some(json!("Ada Lovelace")), Some(json!("Somebody Else"))));
    assert_eq!(told("customer.displayName", false), (Some(json!("(hidden)")), Some(json!("(hidden)"))));
    let text = report.clone().shown(2, false).to_string();
    assert_eq!(text.matches("differs: mongodb").count(), 2, "{text}");
    assert!(text.contains(&format!("differs: {} more", report.differences.total - 2)), "{text}");
    assert!(!report.shown(100, false).to_string().contains("Lovelace"));

    app.close().await;
}

#[tokio::test]
async fn what_is_missing_is_found_when_nothing_of_it_is_on_its_way() {
    let app = TestApp::start().await;
    let shop = Shop::open(&app).await;
    let hand = Hand(app.mongo().await);
    let missing = &shop.orders[4];
    let deleted = hand.0.collection::<Document>("orders").delete_one(doc! { "_id": missing }).await.expect("delete");
    assert_eq!(deleted.deleted_count, 1);
    // The cup as it was one level ago: as if the newest had never come.
    let levels = app.log(&format!("e.stream_kind = 'stock' AND e.stream_id = '{}'", uuid_of(&shop.cup))).await;
    let [.., before, _] = &levels[..] else { panic!("the cup has been ordered") };
    let Event::Stock(StockEvent::LevelChanged { available, units_sold }) = &before.event else { panic!("a level") };
    let at = DateTime::from_millis((before.meta.recorded_at.unix_timestamp_nanos() / 1_000_000) as i64);
    let old = doc! { "stockVersion": before.meta.version, "available": available, "unitsSold": units_sold, "updatedAt": at };
    hand.set("products", &shop.cup, old).await;

    let report = app.verify().await;
    let expected = BTreeSet::from([place("mongodb.orders", missing, ""), place("mongodb.products", &shop.cup, "stockVersion")]);
    assert_eq!(places(&report.differences), expected, "neither summaries nor sales are blamed\n{report}");
    assert_eq!(report.unsettled.total, 0, "{report}");
    let order = report.differences.first.iter().find(|d| d.id == *missing).expect("the order");
    assert_eq!((order.expected.clone(), order.found.clone()), (Some(json!({ "version": 3 })), None));
    app.close().await;
}

#[tokio::test]
async fn a_state_that_was_changed_behind_the_log_is_found() {
    let app = TestApp::start().await;
    let shop = Shop::open(&app).await;
    let by_hand = async |sql: String| drop(app.rows(&sql).await);
    let (order, other) = (&shop.orders[0], &shop.orders[1]);
    by_hand(format!("UPDATE orders SET state = jsonb_set(state, '{{total,minor}}', '1') WHERE id = '{}'", uuid_of(order))).await;
    by_hand(format!("UPDATE orders SET version = version + 1 WHERE id = '{}'", uuid_of(other))).await;
    by_hand(format!("UPDATE users SET display_name = 'Somebody Else' WHERE id = '{}'", uuid_of(&shop.ada))).await;
    by_hand(format!("UPDATE products SET price_minor = 1 WHERE id = '{}'", uuid_of(&shop.tea))).await;
    by_hand(format!("UPDATE stock SET available = available - 1 WHERE product_id = '{}'", uuid_of(&shop.pot))).await;
    let ghost = "0190d3f5-7a00-7000-8000-0000000000aa";
    let row = format!("('{ghost}', 1, 'ghost@example.com', 'ghost@example.com', 'Ghost', 'CUSTOMER')");
    by_hand(format!("INSERT INTO users (id, version, email, email_folded, display_name, role) VALUES {row}")).await;

    let report = app.verify().await;
    let expected = BTreeSet::from([
        place("postgresql.orders", order, "state.total.minor"),
        place("postgresql.orders", other, "version"),
        place("postgresql.users", &shop.ada, "display_name"),
        place("postgresql.users", &format!("user_{}", ghost.replace('-', "")), ""),
        place("postgresql.products", &shop.tea, "price_minor"),
        place("postgresql.stock", &shop.pot, "available"),
        place("postgresql.stock", &shop.pot, "(balance of available)"),
    ]);
    assert_eq!(places(&report.differences), expected, "{report}");
    app.close().await;
}

#[tokio::test]
async fn an_event_whose_outbox_row_is_lost_is_missed() {
    let mut app = TestApp::build().roles(&[Api]).start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 100).await;
    let (lost, other) = (ada.place(&[(&tea, 2)]).await, ada.place(&[(&tea, 1)]).await);
    ada.pay(&lost.id).await;
    ada.pay(&other.id).await;
    app.hold(&format!("e.version = 2 AND e.stream_id = '{}'", uuid_of(&lost.id))).await;
    app.join(&[Relay, Projector]).await;
    app.seen(&other.id, 2).await;
    let report = app.verify().await;
    let expected = BTreeSet::from([place("mongodb.orders", &lost.id, "version")]);
    assert_eq!(places(&report.differences), expected, "{report}");
    let difference = &report.differences.first[0];
    assert_eq!((difference.expected.clone(), difference.found.clone()), (Some(json!(2)), Some(json!(1))));
    app.close().await;
}

#[tokio::test]
async fn what_is_parked_is_told_apart() {
    let mut app = TestApp::build().roles(&[Api]).start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 100).await;
    let (sick, well) = (ada.place(&[(&tea, 2)]).await, ada.place(&[(&tea, 1)]).await);
    ada.pay(&sick.id).await;
    ada.pay(&well.id).await;
    app.staff().ship(&sick.id).await;
    let which = format!("e.version = 2 AND e.stream_id = '{}'", uuid_of(&sick.id));
    let payment = app.log(&which).await.remove(0);
    app.hold(&which).await;
    app.join(&[Relay, Projector]).await;
    let mut wire: Value = serde_json::from_slice(&payment.to_json().expect("JSON")).expect("JSON");
    wire["data"] = json!({ "amount": "a lot" });
    app.publish(vec![message(payment.meta.partition_key, wire.to_string().into_bytes())]).await;
    until("the payment to be parked, and the parcel behind it", || async {
        let waiting = app.waiting().await;
        if waiting.len() == 2 { Ok(()) } else { Err(waiting) }
    })
    .await;
    app.seen(&well.id, 2).await;

    let report = app.verified().await;
    let parked: Vec<_> = report.parked.iter().map(|parked| (parked.kind.as_str(), parked.streams)).collect();
    assert_eq!(parked, [("order", 1)]);
    assert!(report.to_string().contains("parked: 1 orders, since 20"), "{report}");
    // It is still looked at, as far as it has come.
    Hand(app.mongo().await).update("orders", &sick.id, doc! { "$inc": { "total": 1_i64 } }).await;
    let report = app.verify().await;
    assert_eq!(places(&report.differences), BTreeSet::from([place("mongodb.orders", &sick.id, "total")]), "{report}");
    app.close().await;
}

#[tokio::test]
async fn what_waits_in_the_outbox_is_unsettled_and_no_difference() {
    let mut app = TestApp::build().roles(&[Api, Projector]).start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 100).await;
    let order = ada.place(&[(&tea, 2)]).await;
    let report = app.verify_with(None, Duration::from_secs(5)).await;
    assert_eq!(report.differences.total, 0, "{report}");
    assert!(places(&report.unsettled).contains(&place("mongodb.orders", &order.id, "")), "{report}");
    assert!(report.is_unsettled() && report.outbox_waiting >= 4, "{report}");
    app.join(&[Relay]).await;
    let report = app.verified().await;
    assert!(!report.is_unsettled());
    app.close().await;
}
