//! The read model is rebuilt from the log: beside the live one, while people read, and so that nobody notices.

mod asked;
mod behind;
mod broken;
mod crashes;
mod folds;
mod hands;
pub mod load;
mod parked;
mod silent;

use crate::support::{
    Client, TestApp,
    backstage::{documents, live},
    until,
};
use futures_util::future::join_all;
use lapin::{options::QueueDeclareOptions, types::FieldTable};
use mongodb::bson::{Document, doc};
use orderflow::{
    app::{
        projecting,
        rebuild::{Rebuilder, Wish},
    },
    clock::{Clock, Ids},
    query::{
        Registry,
        projector::Fold,
        rebuild::{Kind, Progress, RebuildError, Step},
    },
};
use serde_json::json;

const REBUILD: Wish = Wish { kind: Kind::Rebuild, strict: false };
const STRICTLY: Wish = Wish { kind: Kind::Rebuild, strict: true };
const UNDO: Wish = Wish { kind: Kind::Undo, strict: false };
const DROP: Wish = Wish { kind: Kind::DropPrevious, strict: false };

/// Somebody who rebuilds, with the parts of this app and this fold.
fn rebuilder(app: &TestApp, fold: Fold) -> Rebuilder {
    let settings = projecting(&app.config.parts, &app.config.work, fold);
    let (clock, ids) = (Clock::system(), Ids::system());
    Rebuilder::new(&app.app().database, &app.app().store, settings, app.config.work.relay_shards, &clock, &ids)
}

async fn run(app: &TestApp, wish: Wish) -> Result<Progress, RebuildError> {
    rebuilder(app, Fold::CURRENT).run(wish, &|_| {}).await
}

pub async fn registry(app: &TestApp) -> Registry {
    app.app().store.look().await.expect("the registry")
}

/// The ids of the live, the previous and the building generation.
pub async fn generations(app: &TestApp) -> (i32, Option<i32>, Option<i32>) {
    let Registry { live, previous, building, .. } = registry(app).await;
    (live.id, previous.map(|generation| generation.id), building.map(|generation| generation.id))
}

/// Customers who trade, and some products.
pub struct Shop {
    pub customers: Vec<Client>,
    pub products: Vec<String>,
}

impl Shop {
    pub async fn open(app: &TestApp) -> Self {
        let mut customers = Vec::new();
        for name in ["Ada Lovelace", "Alan Turing", "Grace Hopper"] {
            customers.push(app.customer(name).await.1);
        }
        let mut products = Vec::new();
        for (sku, pence) in [("TEA-1", 650), ("CUP-1", 1250)] {
            products.push(app.product(sku, pence, 100_000).await);
        }
        Self { customers, products }
    }

    /// The same, at an app that was started anew.
    pub fn at(self, app: &TestApp) -> Self {
        let customers = self.customers.iter().map(|customer| customer.at(app.addr())).collect();
        Self { customers, ..self }
    }

    /// The whole life of an order, in four versions; every third is called off instead, in two.
    pub async fn life(&self, app: &TestApp, number: usize) -> (String, i64) {
        let customer = &self.customers[number % self.customers.len()];
        let order = customer.place(&[(&self.products[number % 2], 1 + (number % 4) as i64)]).await.id;
        if number % 3 == 2 {
            customer.accepted("cancelOrder", json!({ "orderId": order })).await;
            return (order, 2);
        }
        customer.pay(&order).await;
        app.staff().ship(&order).await;
        app.staff().deliver(&order).await;
        (order, 4)
    }

    pub async fn trade(&self, app: &TestApp, orders: usize) -> Vec<(String, i64)> {
        join_all((0..orders).map(|number| self.life(app, number))).await
    }
}

/// Whose token a client has.
fn subject(client: &Client) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let token = client.token.as_deref().expect("a token");
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).expect("claims")).expect("base64");
    let claims: serde_json::Value = serde_json::from_slice(&claims).expect("JSON");
    claims["sub"].as_str().expect("a subject").to_owned()
}

/// Whether the broker has a queue.
async fn has_queue(app: &TestApp, name: &str) -> bool {
    let connection = lapin::Connection::connect(&app.bus().url, lapin::ConnectionProperties::default()).await.expect("connected");
    let channel = connection.create_channel().await.expect("a channel");
    let passive = QueueDeclareOptions { passive: true, durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.into(), passive, FieldTable::default()).await.is_ok()
}

#[tokio::test]
async fn a_rebuilt_read_model_is_the_same_and_the_one_before_it_goes_on() {
    let app = TestApp::start().await;
    let shop = Shop::open(&app).await;
    shop.trade(&app, 12).await;
    let renamed = json!({ "userId": subject(&shop.customers[0]), "displayName": "Ada L." });
    shop.customers[0].accepted("updateUserProfile", renamed).await;
    assert_eq!(app.agree().await, 12);
    let progress = run(&app, STRICTLY).await.expect("rebuilt");
    assert_eq!(
        (progress.kind, progress.step, progress.finished, progress.generation),
        (Kind::Rebuild, Step::Done, true, Some(2))
    );
    let comparison = progress.comparison.expect("a comparison");
    assert_eq!((comparison.differing, comparison.examples.as_slice()), (0, &[][..]));
    assert!(comparison.compared >= 12 + 3 + 2, "{comparison:?}");
    assert_eq!(generations(&app).await, (2, Some(1), None));
    // What happens now reaches both.
    shop.trade(&app, 6).await;
    assert_eq!(app.agree().await, 18);
    let mongo = app.mongo().await;
    until("the previous read model", || async {
        let (live, before) = (versions(&mongo, &live(&mongo, "orders").await).await, versions(&mongo, "orders").await);
        if live == before { Ok(()) } else { Err((live, before)) }
    })
    .await;
    // And switching back is the same the other way round, as often as one likes.
    for (back, live, before) in [(UNDO, 1, 2), (UNDO, 2, 1), (UNDO, 1, 2)] {
        assert_eq!(run(&app, back).await.expect("undone").generation, Some(live));
        assert_eq!(generations(&app).await, (live, Some(before), None));
        shop.trade(&app, 3).await;
        app.agree().await;
    }
    assert_eq!(app.agree().await, 27);
    app.close().await;
}

/// The versions of all orders of a read model.
async fn versions(mongo: &mongodb::Database, collection: &str) -> Vec<(String, i64)> {
    let version = |order: &serde_json::Value| (order["_id"].to_string(), order["version"].as_i64().expect("a version"));
    documents(mongo, collection).await.iter().map(version).collect()
}

#[tokio::test]
async fn a_damaged_read_model_is_healed() {
    let app = TestApp::start().await;
    let shop = Shop::open(&app).await;
    let orders = shop.trade(&app, 9).await;
    assert_eq!(app.agree().await, 9);
    let mongo = app.mongo().await;
    let collection = mongo.collection::<Document>("orders");
    collection.delete_one(doc! { "_id": &orders[0].0 }).await.expect("delete");
    collection.update_one(doc! { "_id": &orders[1].0 }, doc! { "$set": { "total": 1_i64 } }).await.expect("update");
    let sales = mongo.collection::<Document>("sales");
    sales.update_many(doc! {}, doc! { "$inc": { "revenue": 7_i64 } }).await.expect("update");

    // Strictly nothing is done about it, and nothing is left of the attempt.
    let refused = run(&app, STRICTLY).await.expect_err("they differ");
    let RebuildError::Differs(comparison) = refused else { panic!("{refused}") };
    assert_eq!(comparison.differing, 3, "{comparison:?}");
    assert_eq!(generations(&app).await, (1, None, None));
    assert!(!has_queue(&app, "orderflow.projector.2.0").await);
    let names = mongo.list_collection_names().await.expect("names");
    assert!(names.iter().all(|name| !name.contains("generation.2")), "{names:?}");

    let comparison = run(&app, REBUILD).await.expect("rebuilt").comparison.expect("a comparison");
    let mut told: Vec<_> = comparison.examples.iter().map(|one| (one.collection.as_str(), one.fields.len())).collect();
    told.sort_unstable();
    assert_eq!((comparison.differing, told), (3, vec![("orders", 0), ("orders", 1), ("sales", 3)]), "{comparison:?}");
    assert_eq!(generations(&app).await, (3, Some(1), None));
    assert_eq!(app.agree().await, 9);
    shop.trade(&app, 3).await;
    assert_eq!(app.agree().await, 12);
    app.close().await;
}

#[tokio::test]
async fn nothing_is_left_of_a_read_model_that_was_dropped() {
    let app = TestApp::start().await;
    let shop = Shop::open(&app).await;
    shop.trade(&app, 3).await;
    assert!(matches!(run(&app, DROP).await, Err(RebuildError::NoPrevious)));
    assert!(matches!(run(&app, UNDO).await, Err(RebuildError::NoPrevious)));
    run(&app, REBUILD).await.expect("rebuilt");
    assert!(has_queue(&app, "orderflow.projector.0").await && has_queue(&app, "orderflow.projector.2.1").await);
    run(&app, DROP).await.expect("dropped");
    assert_eq!(generations(&app).await, (2, None, None));
    let names = app.mongo().await.list_collection_names().await.expect("names");
    for view in ["orders", "users", "products", "sales", "waiting"] {
        assert!(!names.iter().any(|name| name == view), "{view} is there");
        assert!(names.contains(&format!("{view}.generation.2")), "{names:?}");
    }
    // Also when everybody connects anew, nobody makes its queues again.
    app.throw_out(2).await;
    shop.trade(&app, 3).await;
    assert_eq!(app.agree().await, 6);
    for queue in ["orderflow.projector.0", "orderflow.projector.1"] {
        assert!(!has_queue(&app, queue).await, "{queue} is there");
    }
    // The next rebuild drops the one before it by itself.
    run(&app, REBUILD).await.expect("rebuilt");
    run(&app, REBUILD).await.expect("rebuilt");
    assert_eq!(generations(&app).await, (4, Some(3), None));
    assert!(!has_queue(&app, "orderflow.projector.2.0").await && has_queue(&app, "orderflow.projector.3.0").await);
    assert_eq!(app.agree().await, 6);
    assert!(app.readiness().await.0, "the projector of the live one shows that it moves");
    app.close().await;
}

#[tokio::test]
async fn an_event_that_nobody_can_read_is_parked_in_the_new_read_model_too() {
    let app = TestApp::start().await;
    let (ada, _) = app.customer("Ada Lovelace").await;
    app.caught_up().await;
    let user = crate::support::uuid_of(&ada);
    let sql = format!(
        "WITH appended AS (
            INSERT INTO event_log (id, stream_kind, stream_id, version, kind, recorded_at, actor, command_id, partition_key,
                                   stock_marks, data)
            VALUES (gen_random_uuid(), 'user', '{user}', 2, 'orderflow.user.promoted.v9', now(), 'admin', 'by-hand', '{user}',
                '[]', '{{}}')
            RETURNING position)
         SELECT position FROM appended"
    );
    app.rows(&sql).await;
    run(&app, REBUILD).await.expect("rebuilt");
    let mongo = app.mongo().await;
    let waiting = documents(&mongo, &live(&mongo, "waiting").await).await;
    assert_eq!(waiting.len(), 1, "{waiting:#?}");
    assert_eq!((&waiting[0]["reason"], &waiting[0]["version"]), (&json!("POISON"), &json!(2)));
    let seen = documents(&mongo, &live(&mongo, "users").await).await;
    assert_eq!(seen[0]["version"], 1);
    app.close().await;
}
