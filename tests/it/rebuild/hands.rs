//! What an operator does while a read model is built, compared, switched or switched back: it counts for all of them, and nobody
//! who follows an order hears a version twice, or never.

use super::{REBUILD, STRICTLY, UNDO, Wish, generations, rebuilder, run};
use crate::{
    command_line::process::{Ended, Process},
    support::{
        Client, Placed, Socket, TestApp,
        backstage::{carrying, documents, live, message},
        until, uuid_of,
    },
};
use mongodb::bson::{Document, doc};
use orderflow::{
    config::Role::{Api, Projector, Relay},
    event::Envelope,
    query::{
        projector::Fold,
        rebuild::{Progress, Step},
    },
};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::{runtime::Handle, task::block_in_place};

const ONE: &str = "subscription($id: ID!, $after: String) { change: orderChanged(id: $id, after: $after) {
    kind cursor skippedVersions order { version } event { type } } }";
const LIST: &str = "subscription { change: ordersChanged { kind order { version } } }";

/// A shop with one order that was placed, and then became something that this version cannot read, and then was paid.
struct Shop {
    app: TestApp,
    order: Placed,
    /// Whoever followed the order from the beginning, and where they began.
    follower: Socket,
    began: Value,
}

impl Shop {
    async fn open() -> Self {
        let app = TestApp::start().await;
        let (ada, client) = app.customer("Ada Lovelace").await;
        let tea = app.product("TEA-1", 650, 100).await;
        let order = client.place(&[(&tea, 2)]).await;
        app.seen(&order.id, 1).await;
        let mut follower = app.staff().socket().await;
        follower.subscribe("1", ONE, json!({ "id": order.id })).await;
        let began = follower.change().await["cursor"].take();
        append(&app, &ada, &order, 2, "orderflow.order.teleported.v9", json!({ "to": "the moon" })).await;
        let amount = json!({ "currency": "GBP", "minor": 1_300 });
        append(&app, &ada, &order, 3, "orderflow.order.paid.v1", json!({ "amount": amount, "reference": "PAY-1" })).await;
        let shop = Self { app, order, follower, began };
        shop.stands("parked", 2).await;
        shop
    }

    fn stream(&self) -> String {
        format!("order/{}", uuid_of(&self.order.id))
    }

    /// Waits until the order stands still in a read model, with so many events.
    async fn stands(&self, collection: &str, waiting: i64) {
        let mongo = self.app.mongo().await;
        until(&format!("the order to stand still in {collection}"), || async {
            let all = documents(&mongo, collection).await;
            if all.iter().any(|head| head["waiting"] == waiting) { Ok(()) } else { Err(all) }
        })
        .await;
    }

    /// Sets the event that cannot be read aside.
    async fn discard(&self, variables: &[(&str, &str)]) -> Ended {
        let event = format!("{}:2", self.stream());
        parked(&self.app, &["discard", &event, "--reason", "nobody teleports", "--by", "grace"], variables).await
    }

    /// Sets it aside in the live read model, and dies before it is done in another.
    async fn half_a_discard(&self) {
        let ended = self.discard(&[("ORDERFLOW_CRASH_AT", "between-generations")]).await;
        assert_eq!(ended.code, None, "{}", ended.err);
        assert!(ended.err.contains("crash: aborted at between-generations\n"), "{}", ended.err);
    }

    /// What is told next to somebody who follows the order.
    async fn hears(socket: &mut Socket, kind: &str, version: i64) {
        let change = socket.change().await;
        assert_eq!((&change["kind"], &change["order"]["version"]), (&json!(kind), &json!(version)), "{change:#}");
    }

    /// Whoever follows it has heard of both events once, and hears of the next; so does whoever comes back now.
    async fn nobody_missed_anything(mut self) {
        let mut again = self.app.staff().socket().await;
        again.subscribe("1", ONE, json!({ "id": self.order.id, "after": self.began })).await;
        let ada = self.customer().await;
        let reason = json!({ "reason": "Too late.", "refunded": { "currency": "GBP", "minor": 1_300 } });
        append(&self.app, &ada, &self.order, 4, "orderflow.order.cancelled.v1", reason).await;
        for socket in [&mut self.follower, &mut again] {
            for version in 2..=4 {
                Self::hears(socket, "CHANGE", version).await;
            }
        }
        let mongo = self.app.mongo().await;
        let told: Vec<Value> =
            documents(&mongo, "changes").await.into_iter().map(|mut change| change["order"]["version"].take()).collect();
        assert_eq!(told, [1, 2, 3, 4], "every version once");
        self.app.close().await;
    }

    async fn customer(&self) -> String {
        let orders = documents(&self.app.mongo().await, "orders").await;
        orders[0]["customer"]["id"].as_str().expect("a customer").to_owned()
    }

    async fn version(&self) -> Value {
        version(&self.app.staff(), &self.order).await
    }
}

async fn version(client: &Client, order: &Placed) -> Value {
    client.ask("query($id: ID!) { order(id: $id) { version } }", json!({ "id": order.id })).await["order"]["version"].take()
}

/// An event of an order, with everything that a relay needs to publish it.
async fn append(app: &TestApp, customer: &str, order: &Placed, version: i64, kind: &str, data: Value) {
    let (order, key) = (uuid_of(&order.id), uuid_of(customer));
    append_to(app, "order", order, key, version, kind, &data).await;
}

async fn append_to(app: &TestApp, stream: &str, id: &str, key: &str, version: i64, kind: &str, data: &Value) {
    let sql = format!(
        "WITH appended AS (
            INSERT INTO event_log (id, stream_kind, stream_id, version, kind, recorded_at, actor, command_id, partition_key,
                                   stock_marks, data)
            VALUES (gen_random_uuid(), '{stream}', '{id}', {version}, '{kind}', now(), 'admin', 'by-hand', '{key}', '[]',
                '{data}')
            RETURNING position)
         INSERT INTO outbox (position, shard) SELECT position, 0 FROM appended"
    );
    app.rows(&sql).await;
}

/// Runs `orderflow parked` with these words.
async fn parked(app: &TestApp, words: &[&str], variables: &[(&str, &str)]) -> Ended {
    let parts = &app.config.parts;
    let at = [("DATABASE_URL", &*parts.database_url), ("AMQP_URL", &parts.bus.url), ("MONGODB_URI", &parts.mongodb_uri)];
    Process::run(&[&["parked"], words].concat(), &[&at, variables].concat()).await
}

/// Rebuilds, and has something done the first time that it comes to some place: it goes no further meanwhile.
async fn run_and(app: &TestApp, wish: Wish, place: impl Fn(&Progress) -> bool + Send + Sync, act: impl AsyncFn() + Send + Sync) {
    let done = AtomicBool::new(false);
    let tell = |progress: &Progress| {
        if place(progress) && !done.swap(true, Ordering::Relaxed) {
            block_in_place(|| Handle::current().block_on(act()));
        }
    };
    rebuilder(app, Fold::CURRENT).run(wish, &tell).await.expect("rebuilt");
    assert!(done.load(Ordering::Relaxed), "it never came to that place");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_discarded_while_a_read_model_is_filled_is_discarded_there_too() {
    let shop = Shop::open().await;
    let events = shop.app.events().await;
    let filled = |progress: &Progress| progress.step == Step::Replaying && progress.done >= events;
    let junk = b"not even JSON".to_vec();
    run_and(&shop.app, STRICTLY, filled, async || {
        let building = documents(&shop.app.mongo().await, "waiting.generation.2").await;
        assert_eq!(building.len(), 2, "the replay has let both wait: {building:#?}");
        // The new one gets this message too, and has it in its queues.
        shop.app.publish(vec![message(uuid::Uuid::now_v7(), junk.clone())]).await;
        shop.stands("parked", 1).await;
        let waiting = documents(&shop.app.mongo().await, "waiting").await;
        let stray = waiting.iter().find(|row| row["stream"] == "unreadable").expect("a stray")["_id"].as_str().expect("an id");
        let thrown = parked(&shop.app, &["discard", stray, "--reason", "junk", "--by", "grace"], &[]).await;
        assert_eq!(thrown.code, Some(0), "{}", thrown.err);
        let ended = shop.discard(&[]).await;
        assert_eq!(ended.code, Some(0), "{}", ended.err);
    })
    .await;
    assert_eq!(generations(&shop.app).await, (2, Some(1), None));
    assert_eq!(shop.version().await, 3);
    for collection in ["waiting", "parked", "waiting.generation.2", "parked.generation.2"] {
        let left = documents(&shop.app.mongo().await, collection).await;
        assert_eq!(left, [] as [Value; 0], "{collection}");
    }
    shop.nobody_missed_anything().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_discarded_between_the_comparison_and_the_switch_holds_after_it() {
    let shop = Shop::open().await;
    let compared = |progress: &Progress| progress.step == Step::Switching && progress.comparison.is_some();
    run_and(&shop.app, STRICTLY, compared, async || shop.half_a_discard().await).await;
    assert_eq!(generations(&shop.app).await, (2, Some(1), None));
    assert_eq!(shop.version().await, 3, "reads do not go back");
    let again = parked(&shop.app, &["retry", &shop.order.id], &[]).await;
    assert_eq!(again.code, Some(0), "{}{}", again.out, again.err);
    shop.nobody_missed_anything().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_discarded_just_before_the_stillness_holds_after_it() {
    let shop = Shop::open().await;
    let before = |progress: &Progress| progress.step == Step::Switching;
    run_and(&shop.app, REBUILD, before, async || shop.half_a_discard().await).await;
    assert_eq!(shop.version().await, 3, "reads do not go back");
    shop.nobody_missed_anything().await;
}

#[tokio::test]
async fn a_switch_between_an_operators_step_and_its_repetition_tells_everything_once() {
    let shop = Shop::open().await;
    run(&shop.app, STRICTLY).await.expect("rebuilt");
    shop.stands("parked.generation.2", 2).await;
    shop.half_a_discard().await;
    let mut list = shop.app.staff().socket().await;
    list.subscribe("1", LIST, json!({})).await;
    run(&shop.app, UNDO).await.expect("undone");
    assert_eq!(generations(&shop.app).await, (1, Some(2), None));
    assert_eq!(shop.version().await, 3, "reads do not go back");
    // The repetition finds nothing left to do.
    let again = parked(&shop.app, &["retry", &shop.order.id], &[]).await;
    assert!(again.out.contains("does not stand still"), "{}{}", again.out, again.err);
    shop.nobody_missed_anything().await;
}

#[tokio::test]
async fn after_a_switch_back_a_discard_holds_in_both() {
    let shop = Shop::open().await;
    run(&shop.app, STRICTLY).await.expect("rebuilt");
    run(&shop.app, UNDO).await.expect("undone");
    let ended = shop.discard(&[]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    for generation in ["orders", "orders.generation.2"] {
        let orders = documents(&shop.app.mongo().await, generation).await;
        assert_eq!(orders[0]["version"], 3, "{generation}");
    }
    run(&shop.app, UNDO).await.expect("and once more");
    assert_eq!(shop.version().await, 3);
    shop.nobody_missed_anything().await;
}

#[tokio::test]
async fn what_a_killed_operator_has_decided_reaches_the_read_models_that_are_not_live_by_itself() {
    let shop = Shop::open().await;
    run(&shop.app, STRICTLY).await.expect("rebuilt");
    shop.half_a_discard().await;
    let mongo = shop.app.mongo().await;
    until("the discard in the one before", || async {
        let orders = documents(&mongo, "orders").await;
        if orders[0]["version"] == 3 { Ok(()) } else { Err(orders) }
    })
    .await;
    shop.nobody_missed_anything().await;
}

/// A payment was damaged on its way, so that the live read model stands still; the log has it whole.
#[tokio::test]
async fn whoever_follows_an_order_that_a_rebuild_has_healed_is_told() {
    let mut app = TestApp::build().roles(&[Api]).start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 100).await;
    let order = ada.place(&[(&tea, 2)]).await;
    ada.pay(&order.id).await;
    app.staff().ship(&order.id).await;
    let which = "e.version = 2 AND e.stream_kind = 'order'";
    let payment = app.log(which).await.remove(0);
    app.hold(which).await;
    app.join(&[Relay, Projector]).await;
    app.publish(vec![damaged(&payment)]).await;
    let mongo = app.mongo().await;
    until("the order to stand still", || async {
        let waiting = documents(&mongo, "waiting").await;
        if waiting.len() == 2 { Ok(()) } else { Err(waiting) }
    })
    .await;
    let mut sockets = [app.staff().socket().await, app.staff().socket().await, ada.socket().await];
    sockets[0].subscribe("1", ONE, json!({ "id": order.id })).await;
    Shop::hears(&mut sockets[0], "SNAPSHOT", 1).await;
    for list in &mut sockets[1..] {
        list.subscribe("1", LIST, json!({})).await;
    }
    app.listening(3..).await;

    run(&app, REBUILD).await.expect("rebuilt");
    let resync = sockets[0].change().await;
    assert_eq!((&resync["kind"], &resync["skippedVersions"]), (&json!("RESYNC"), &json!(2)), "{resync:#}");
    assert_eq!(resync["order"]["version"], 3);
    for list in &mut sockets[1..] {
        assert_eq!(list.change().await["kind"], "RESYNC");
    }
    app.staff().deliver(&order.id).await;
    for socket in &mut sockets {
        Shop::hears(socket, "CHANGE", 4).await;
    }
    app.caught_up().await;
    app.verified().await;
    app.close().await;
}

fn damaged(envelope: &Envelope) -> orderflow::bus::Outgoing {
    let mut wire: Value = serde_json::from_slice(&envelope.to_json().expect("JSON")).expect("JSON");
    wire["data"] = json!({ "amount": "a lot" });
    message(envelope.meta.partition_key, wire.to_string().into_bytes())
}

/// Somebody has mended the message in the live read model by hand. The log cannot be mended, so a new one comes less far.
#[tokio::test]
async fn whoever_follows_an_order_that_has_gone_back_is_told() {
    let mut shop = Shop::open().await;
    let mut mended = shop.app.log("e.version = 1 AND e.stream_kind = 'order'").await.remove(0);
    mended.meta.version = 2;
    let mut wire: Value = serde_json::from_slice(&carrying(&mended).body).expect("JSON");
    wire["type"] = json!("orderflow.order.updated.v1");
    wire["data"] = json!({ "total": { "currency": "GBP", "minor": 1_300 }, "note": "To the moon." });
    let mongo = shop.app.mongo().await;
    let id = doc! { "_id": format!("{}:2", shop.stream()) };
    let rows = mongo.collection::<Document>("waiting");
    rows.update_one(id, doc! { "$set": { "body": wire.to_string() } }).await.expect("update");
    let retried = parked(&shop.app, &["retry", &shop.order.id], &[]).await;
    assert_eq!(retried.code, Some(0), "{}{}", retried.out, retried.err);
    for version in [2, 3] {
        Shop::hears(&mut shop.follower, "CHANGE", version).await;
    }

    run(&shop.app, REBUILD).await.expect("rebuilt, though it cannot come as far");
    assert_eq!(shop.version().await, 1);
    Shop::hears(&mut shop.follower, "RESYNC", 1).await;
    assert_eq!(shop.discard(&[]).await.code, Some(0));
    for version in [2, 3] {
        Shop::hears(&mut shop.follower, "CHANGE", version).await;
    }
    shop.app.close().await;
}

#[tokio::test]
async fn what_a_replay_has_let_wait_goes_on_in_its_partition() {
    let shop = Shop::open().await;
    // Behind an event of tomorrow waits a new name as well.
    let ada = shop.customer().await;
    let (user, name) = (uuid_of(&ada), json!({ "display_name": "Ada King", "email": "ada@example.com" }));
    append_to(&shop.app, "user", user, user, 2, "orderflow.user.promoted.v9", &json!({})).await;
    append_to(&shop.app, "user", user, user, 3, "orderflow.user.profile_updated.v1", &name).await;
    let mongo = shop.app.mongo().await;
    until("both to stand still", || async {
        let parked = documents(&mongo, "parked").await;
        if parked.iter().filter(|head| head["waiting"] == 2).count() == 2 { Ok(()) } else { Err(parked) }
    })
    .await;
    run(&shop.app, STRICTLY).await.expect("rebuilt");
    let waiting = documents(&mongo, &live(&mongo, "waiting").await).await;
    assert_eq!(waiting.len(), 4);
    assert!(waiting.iter().any(|row| row["partition"].as_i64() < Some(0)), "{waiting:#?}");
    assert_eq!(shop.discard(&[]).await.code, Some(0));
    let event = format!("user/{user}:2");
    let promoted = parked(&shop.app, &["discard", &event, "--reason", "nobody is promoted", "--by", "grace"], &[]).await;
    assert_eq!(promoted.code, Some(0), "{}", promoted.err);
    let positions = documents(&mongo, "positions").await;
    assert_eq!(positions.len(), 1, "all of it is of one key: {positions:#?}");

    // Whoever comes back has not lost the thread.
    let mut again = shop.app.staff().socket().await;
    again.subscribe("1", ONE, json!({ "id": shop.order.id, "after": shop.began })).await;
    for (version, kind) in [(2, "EVENT_DISCARDED"), (3, "ORDER_PAID"), (3, "CUSTOMER_RENAMED")] {
        let change = again.change().await;
        assert_eq!((&change["kind"], &change["event"]["type"]), (&json!("CHANGE"), &json!(kind)), "{change:#}");
        assert_eq!(change["order"]["version"], version);
    }
    shop.app.close().await;
}
