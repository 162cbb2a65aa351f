//! When the change stream is opened anew: whoever missed something is told, and nobody else is. What a wipe, a rename or an
//! election does to it, what old cursors are worth, and what products do that have no log.

use super::*;
use crate::support::{Mongod, until};
use mongodb::bson::{Document, doc};

/// Waits until the node says this of its feed.
async fn feed_is(app: &TestApp, said: &str) {
    until(&format!("a feed that is {said}"), || async {
        let told = app.readiness().await.1;
        if told["parts"]["feed"].as_str().is_some_and(|feed| feed.contains(said)) { Ok(()) } else { Err(told) }
    })
    .await;
}

/// Lets the log forget everything, as it does in time.
async fn forget_all(app: &TestApp) {
    let changes = app.mongo().await.collection::<Document>("changes");
    assert!(changes.delete_many(doc! {}).await.expect("delete").deleted_count > 0, "there was nothing to forget");
}

/// Asserts that a follower of one order is told this.
fn expect_one(told: &Value, kind: &str, version: i64, skipped: i64) {
    let seen = (told["kind"].as_str(), told["order"]["version"].as_i64(), told["skippedVersions"].as_i64());
    assert_eq!(seen, (Some(kind), Some(version), Some(skipped)), "{told:#}");
}

#[tokio::test]
async fn when_the_log_is_wiped_everyone_is_told_and_cursors_of_before_are_known_for_what_they_are() {
    let mut app = TestApp::start().await;
    let (ada_id, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let order = ada.place(&[(&tea, 1)]).await;
    app.seen(&order.id, 1).await;
    let (mut one, mut list) = (ada.socket().await, ada.socket().await);
    one.subscribe("1", ONE, json!({ "id": order.id })).await;
    let old_one = one.change().await["cursor"].take();
    list.subscribe("1", LIST, json!({})).await;
    app.listening(2..=2).await;
    // The same number will be given again, to another change.
    ada.accepted("updateOrder", json!({ "orderId": order.id, "note": "Ring twice" })).await;
    expect_one(&one.change().await, "CHANGE", 2, 0);
    let old_list = list.change().await["cursor"].take();

    let mongo = app.mongo().await;
    for wiped in ["positions", "changes"] {
        mongo.collection::<Document>(wiped).drop().await.expect("drop");
    }
    assert_eq!(list.change().await["kind"], "RESYNC");
    orderflow::app::migrate(&app.config.parts, &app.config.work).await.expect("migrate");
    ada.pay(&order.id).await;
    // The number of what happened says nothing any more, so the order itself is told.
    expect_one(&one.change().await, "RESYNC", 3, 1);
    let told = list.change().await;
    assert_eq!((told["kind"].as_str(), told["order"]["version"].as_i64()), (Some("CHANGE"), Some(3)), "{told:#}");

    // On this node and on one that has only just started.
    let other = ada.at(app.join(&[Api]).await.expect("an API"));
    for node in [&ada, &other] {
        let mut traveller = Traveller::new(&[node], LIST, json!({ "after": old_list }), 43);
        let mut told = traveller.next().await;
        assert_eq!((&told["kind"], &told["order"]), (&json!("RESYNC"), &Value::Null), "{told:#}");
        traveller.variables["after"] = told["cursor"].take();
        let mut back = traveller.connect().await;
        let mut follower = Traveller::new(&[node], ONE, json!({ "id": order.id, "after": old_one }), 47);
        let mut told = follower.next().await;
        let version = told["order"]["version"].as_i64().expect("a version");
        expect_one(&told, "RESYNC", version, version - 1);
        follower.variables["after"] = told["cursor"].take();
        // From there on everything is as before.
        for name in ["Ada King", "Ada Byron"] {
            ada.accepted("updateUserProfile", json!({ "userId": ada_id, "displayName": name })).await;
        }
        assert_eq!(back.change().await["kind"], "CHANGE");
        assert_eq!(follower.next().await["kind"], "CHANGE");
    }
    app.close().await;
}

#[tokio::test]
async fn a_log_that_is_moved_away_and_back_is_nobodys_concern() {
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let order = ada.place(&[(&tea, 1)]).await;
    app.seen(&order.id, 1).await;
    let mut sockets = [ada.socket().await, ada.socket().await];
    for (socket, query) in sockets.iter_mut().zip([ONE, LIST]) {
        socket.subscribe("1", query, json!({ "id": order.id })).await;
    }
    assert_eq!(sockets[0].change().await["kind"], "SNAPSHOT");
    app.listening(2..=2).await;
    let mongo = app.mongo().await;
    let (here, away) = (format!("{}.changes", mongo.name()), format!("{}.changes_away", mongo.name()));
    let admin = mongo.client().database("admin");
    for (from, to) in [(&here, &away), (&away, &here)] {
        admin.run_command(doc! { "renameCollection": from, "to": to }).await.expect("rename");
    }
    ada.pay(&order.id).await;
    for socket in &mut sockets {
        expect_one(&socket.change().await, "CHANGE", 2, 0);
    }
    app.close().await;
}

#[tokio::test]
async fn a_product_that_changes_while_the_stream_is_away_is_told_all_the_same() {
    let app = TestApp::build().roles(&[Api]).with("--ready-within", "8s").through_proxy().start().await;
    let mongo = app.mongo().await;
    let shelf = mongo.collection::<Document>("products");
    let tea = format!("product_{}", uuid::Uuid::now_v7().simple());
    // Without a projector, so that only the test changes it, and not through the wire that is cut.
    let product = |version: i64, name: &str| {
        doc! { "_id": &tea, "version": version, "stockVersion": 1_i64, "sku": "TEA-1", "name": name, "price": 650_i64,
        "currency": "GBP", "available": 10_i64, "unitsSold": 0_i64, "active": true,
        "updatedAt": mongodb::bson::DateTime::from_millis(1_700_000_000_000), "search": ["tea"] }
    };
    shelf.insert_one(product(1, "Tea")).await.expect("insert");
    feed_is(&app, "ok").await;
    let mut socket = app.staff().socket().await;
    socket.subscribe("1", "subscription($id: ID!) { productChanged(id: $id) { version name } }", json!({ "id": tea })).await;
    assert_eq!(socket.change().await, json!({ "version": 1, "name": "Tea" }));
    app.wires().mongodb.cut();
    // Longer than the driver tries to go on where the stream was.
    feed_is(&app, "not moving").await;
    shelf.replace_one(doc! { "_id": &tea }, product(2, "Green tea")).await.expect("replace");
    app.wires().mongodb.mend();
    assert_eq!(socket.change().await, json!({ "version": 2, "name": "Green tea" }));
    app.close().await;
}

/// Lets other customers shop until the log has something of theirs after hers, in the same partition.
async fn others_shop(app: &TestApp, order: &str, tea: &str) {
    let mongo = app.mongo().await;
    let orders = mongo.collection::<Document>("orders");
    let hers = orders.find_one(doc! { "_id": order }).await.expect("find").expect("an order");
    let change = hers.get_document("change").expect("a place");
    let (partition, number) = (change.get_i32("p").expect("a partition"), change.get_i64("s").expect("a number"));
    for name in 0..30 {
        let (_, other) = app.customer(&format!("Customer {name}")).await;
        let placed = other.place(&[(tea, 1)]).await;
        app.seen(&placed.id, 1).await;
        let position = mongo.collection::<Document>("positions").find_one(doc! { "_id": partition }).await.expect("find");
        if position.expect("a position").get_i64("number").expect("a number") > number {
            return;
        }
    }
    panic!("thirty customers, and none in partition {partition}");
}

#[tokio::test]
async fn a_cursor_of_a_quiet_customer_is_good_however_much_the_log_has_forgotten() {
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 1_000).await;
    let mut socket = ada.socket().await;
    socket.subscribe("1", LIST, json!({})).await;
    app.listening(1..=1).await;
    let order = ada.place(&[(&tea, 1)]).await;
    let cursor = socket.change().await["cursor"].take();
    drop(socket);
    others_shop(&app, &order.id, &tea).await;
    forget_all(&app).await;

    let mut socket = ada.socket().await;
    socket.subscribe("1", LIST, json!({ "after": cursor })).await;
    app.listening(1..=1).await;
    ada.pay(&order.id).await;
    let told = socket.change().await;
    assert_eq!((told["kind"].as_str(), told["order"]["version"].as_i64()), (Some("CHANGE"), Some(2)), "{told:#}");
    // Of all orders something has been forgotten, and now something of hers is as well.
    app.caught_up().await;
    forget_all(&app).await;
    for client in [&ada, &app.staff()] {
        let mut traveller = Traveller::new(&[client], LIST, json!({ "after": cursor }), 53);
        assert_eq!(traveller.next().await["kind"], "RESYNC");
    }
    app.close().await;
}

#[tokio::test]
async fn whoever_loses_the_line_before_anything_happened_misses_nothing_either() {
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let greeted = LIST.replace("after: $after", "after: $after, startCursor: true");
    let mut socket = ada.socket().await;
    socket.subscribe("1", &greeted, json!({})).await;
    let mut start = socket.change().await;
    let cursor = start["cursor"].take();
    assert_eq!(start, json!({ "kind": "SNAPSHOT", "cursor": null, "skippedVersions": 0, "order": null, "event": null }));
    drop(socket);
    let order = ada.place(&[(&tea, 1)]).await;
    app.seen(&order.id, 1).await;
    for query in [LIST, greeted.as_str()] {
        let mut socket = ada.socket().await;
        socket.subscribe("1", query, json!({ "after": cursor })).await;
        let told = socket.change().await;
        assert_eq!((told["kind"].as_str(), told["order"]["id"].as_str()), (Some("CHANGE"), Some(order.id.as_str())), "{told:#}");
    }
    app.close().await;
}

#[tokio::test]
async fn whoever_missed_much_of_one_order_hears_each_version_once_a_chunk_at_a_time() {
    const MISSED: i64 = 130;
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let order = ada.place(&[(&tea, 1)]).await;
    app.seen(&order.id, 1).await;
    let mut traveller = Traveller::new(&[&ada], ONE, json!({ "id": order.id }), 59);
    traveller.variables["after"] = traveller.next().await["cursor"].take();
    for number in 0..MISSED {
        ada.accepted("updateOrder", json!({ "orderId": order.id, "note": format!("Ring {number} times") })).await;
    }
    app.caught_up().await;
    let mut socket = traveller.connect().await;
    for version in 2..=1 + MISSED {
        expect_one(&socket.change().await, "CHANGE", version, 0);
    }
    ada.pay(&order.id).await;
    expect_one(&socket.change().await, "CHANGE", 2 + MISSED, 0);
    app.close().await;
}

#[tokio::test]
async fn a_mongod_that_steps_down_or_dies_and_comes_back_loses_nothing() {
    // Fewer changes than a customer's ring holds: whoever has to read the log while it is away is told that it is away.
    const ORDERS: usize = 30;
    let mongod = Mongod::start().await;
    let app = TestApp::build().mongodb(mongod.uri()).start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 1_000).await;
    let mut listener = Traveller::new(&[&ada], LIST, json!({}), 61);
    let mut socket = listener.connect().await;
    app.listening(1..=1).await;
    let listening = async {
        while listener.heard() < 2 * ORDERS {
            listener.hear(&mut socket, "CHANGE").await;
        }
    };
    let selling = async {
        for _ in 0..ORDERS {
            let order = ada.place(&[(&tea, 1)]).await;
            ada.pay(&order.id).await;
        }
    };
    let falling = async {
        mongod.step_down().await;
        mongod.die_and_come_back().await;
        mongod.step_down().await;
    };
    tokio::join!(selling, listening, falling);
    for (order, versions) in &listener.told {
        assert_eq!(*versions, [1, 2], "{order}");
    }
    assert_eq!(app.agree().await, ORDERS);
    app.close().await;
}

/// What a server says when its oplog no longer reaches back to where a change stream was.
const HISTORY_LOST: i32 = 286;

#[tokio::test]
async fn a_stream_whose_history_is_lost_is_opened_anew_and_only_who_missed_something_is_told() {
    let mongod = Mongod::start().await;
    let app = TestApp::build().mongodb(mongod.uri()).with("--ready-within", "2s").start().await;
    let ((_, ada), (_, alan)) = (app.customer("Ada Lovelace").await, app.customer("Alan Turing").await);
    let tea = app.product("TEA-1", 650, 100).await;
    let (hers, his) = (ada.place(&[(&tea, 1)]).await, alan.place(&[(&tea, 1)]).await);
    app.seen(&hers.id, 1).await;
    app.seen(&his.id, 1).await;
    let mut one = [ada.socket().await, alan.socket().await];
    for (socket, order) in one.iter_mut().zip([&hers, &his]) {
        socket.subscribe("1", ONE, json!({ "id": order.id })).await;
        assert_eq!(socket.change().await["kind"], "SNAPSHOT");
    }
    let mut list = [ada.socket().await, alan.socket().await];
    for socket in &mut list {
        socket.subscribe("1", LIST, json!({})).await;
    }
    app.listening(4..=4).await;

    // The log has everything that the stream has lost, so nobody needs to know.
    mongod.fail(&["getMore"], HISTORY_LOST, Some(1)).await;
    ada.pay(&hers.id).await;
    expect_one(&one[0].change().await, "CHANGE", 2, 0);
    expect_one(&list[0].change().await, "CHANGE", 2, 0);

    // And here it has not.
    mongod.fail(&["getMore", "aggregate"], HISTORY_LOST, None).await;
    feed_is(&app, "not moving").await;
    app.staff().ship(&hers.id).await;
    app.caught_up().await;
    forget_all(&app).await;
    mongod.answer_again().await;
    expect_one(&one[0].change().await, "RESYNC", 3, 1);
    let told = list[0].change().await;
    assert_eq!((&told["kind"], &told["order"]), (&json!("RESYNC"), &Value::Null), "{told:#}");
    // To him nothing has happened until now.
    alan.pay(&his.id).await;
    expect_one(&one[1].change().await, "CHANGE", 2, 0);
    expect_one(&list[1].change().await, "CHANGE", 2, 0);
    feed_is(&app, "ok").await;
    app.close().await;
}

#[tokio::test]
async fn how_long_changes_are_kept_follows_the_setting_when_a_projector_starts() {
    let mut app = TestApp::start().await;
    let kept = async |app: &TestApp| {
        let answer = app.mongo().await.run_command(doc! { "listIndexes": "changes" }).await.expect("an answer");
        let indexes = answer.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch")).expect("indexes").clone();
        let expiry = indexes
            .iter()
            .filter_map(|index| index.as_document())
            .find(|index| index.get_str("name").is_ok_and(|name| name == "expiry"));
        let seconds = expiry.and_then(|index| index.get("expireAfterSeconds")).expect("a time");
        serde_json::to_value(seconds).expect("JSON").as_f64().expect("a number")
    };
    assert!((kept(&app).await - 86_400.0).abs() < 0.5);
    app.config.work.keep_changes = std::time::Duration::from_secs(7_200);
    app.join(&[Projector]).await;
    assert!((kept(&app).await - 7_200.0).abs() < 0.5);
    app.close().await;
}
