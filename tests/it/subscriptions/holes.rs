//! When the line to the database breaks, or the log no longer has what a subscriber missed.

use super::*;
use mongodb::bson::{Document, doc};

/// Ends the change streams of this app's nodes, as a failover does; says how many there were.
async fn kill_change_streams(app: &TestApp) -> usize {
    let mongo = app.mongo().await;
    let open = [
        doc! { "$currentOp": { "allUsers": true, "idleCursors": true } },
        doc! { "$match": { "cursor.tailable": true, "ns": { "$regex": format!("^{}\\.", mongo.name()) } } },
    ];
    let mut found = mongo.client().database("admin").aggregate(open).await.expect("aggregate");
    let mut killed = 0;
    while found.advance().await.expect("the next") {
        let note: Document = found.deserialize_current().expect("a document");
        let cursor = note.get_document("cursor").and_then(|cursor| cursor.get_i64("cursorId")).expect("a cursor");
        let answer = mongo.run_command(doc! { "killCursors": "$cmd.aggregate", "cursors": [cursor] }).await.expect("an answer");
        killed += answer.get_array("cursorsKilled").expect("a list").len();
    }
    killed
}

/// Places and pays orders one after the other, and gives up when told.
async fn sell(ada: &Client, tea: &str, orders: usize) {
    for _ in 0..orders {
        let order = ada.place(&[(tea, 1)]).await;
        ada.pay(&order.id).await;
    }
}

fn expect_two_each(traveller: &Traveller) {
    for (order, versions) in &traveller.told {
        assert_eq!(*versions, [1, 2], "{order}");
    }
}

#[tokio::test]
async fn a_killed_change_stream_loses_nothing() {
    const ORDERS: usize = 60;
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 1_000).await;
    let mut listener = Traveller::new(&[&ada], LIST, json!({}), 17);
    let mut socket = listener.connect().await;
    app.listening(1..=1).await;
    let listening = async {
        while listener.heard() < 2 * ORDERS {
            listener.hear(&mut socket, "CHANGE").await;
        }
    };
    let killing = async {
        let mut killed = 0;
        while killed < 5 {
            killed += kill_change_streams(&app).await;
        }
    };
    tokio::join!(sell(&ada, &tea, ORDERS), listening, killing);
    expect_two_each(&listener);
    app.close().await;
}

#[tokio::test]
async fn a_line_to_mongodb_that_breaks_again_and_again_loses_nothing() {
    const ORDERS: usize = 40;
    let app = TestApp::build().through_proxy().start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 1_000).await;
    let mut listener = Traveller::new(&[&ada], LIST, json!({}), 19);
    let mut socket = listener.connect().await;
    app.listening(1..=1).await;
    let listening = async {
        while listener.heard() < 2 * ORDERS {
            listener.hear(&mut socket, "CHANGE").await;
        }
    };
    let breaking = async {
        for _ in 0..4 {
            app.wires().mongodb.cut();
            sell(&ada, &tea, ORDERS / 4).await;
            app.wires().mongodb.mend();
            app.caught_up().await;
        }
    };
    tokio::join!(listening, breaking);
    expect_two_each(&listener);
    app.close().await;
}

/// Lets the log forget changes, as it does in time.
async fn forget(app: &TestApp, which: Document) {
    let changes = app.mongo().await.collection::<Document>("changes");
    assert!(changes.delete_many(which).await.expect("delete").deleted_count > 0, "there was nothing to forget");
}

#[tokio::test]
async fn a_follower_of_one_order_is_told_how_many_versions_the_log_has_forgotten() {
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let order = ada.place(&[(&tea, 1)]).await;
    app.seen(&order.id, 1).await;
    let mut traveller = Traveller::new(&[&ada], ONE, json!({ "id": order.id }), 23);
    traveller.variables["after"] = traveller.next().await["cursor"].take();
    ada.pay(&order.id).await;
    app.staff().ship(&order.id).await;
    app.caught_up().await;
    forget(&app, doc! { "order._id": &order.id, "order.version": 2_i64 }).await;

    let mut socket = traveller.connect().await;
    let mut resync = socket.change().await;
    traveller.variables["after"] = resync["cursor"].take();
    let expected = json!({ "kind": "RESYNC", "cursor": null, "skippedVersions": 2, "event": null,
        "order": { "id": order.id, "version": 3, "status": "SHIPPED" } });
    assert_eq!(resync, expected);
    app.staff().deliver(&order.id).await;
    for change in [socket.change().await, traveller.next().await] {
        assert_eq!((change["kind"].as_str(), change["order"]["version"].as_i64()), (Some("CHANGE"), Some(4)), "{change:#}");
    }
    app.close().await;
}

#[tokio::test]
async fn a_new_name_does_not_hide_a_version_that_the_log_has_forgotten() {
    let app = TestApp::start().await;
    let (ada_id, ada) = app.customer("Ada Byron").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let order = ada.place(&[(&tea, 1)]).await;
    app.seen(&order.id, 1).await;
    let mut traveller = Traveller::new(&[&ada], ONE, json!({ "id": order.id }), 29);
    traveller.variables["after"] = traveller.next().await["cursor"].take();
    ada.pay(&order.id).await;
    ada.accepted("updateUserProfile", json!({ "userId": ada_id, "displayName": "Ada Lovelace" })).await;
    app.caught_up().await;
    forget(&app, doc! { "order._id": &order.id, "event.kind": "ORDER_PAID" }).await;
    let told = traveller.next().await;
    assert_eq!((told["kind"].as_str(), told["skippedVersions"].as_i64()), (Some("RESYNC"), Some(1)), "{told:#}");
    app.close().await;
}

#[tokio::test]
async fn a_follower_of_a_list_is_told_to_read_it_again_when_the_log_has_forgotten() {
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let mut traveller = Traveller::new(&[&app.staff(), &ada], LIST, json!({}), 31);
    let mut socket = app.staff().socket().await;
    socket.subscribe("1", LIST, json!({})).await;
    app.listening(1..=1).await;
    ada.place(&[(&tea, 1)]).await;
    let first = socket.change().await["cursor"].take();
    drop(socket);
    let missed = ada.place(&[(&tea, 1)]).await;
    ada.pay(&missed.id).await;
    app.caught_up().await;
    forget(&app, doc! { "order._id": &missed.id, "order.version": 1_i64 }).await;

    // Staff and the customer are told alike, whatever their filter.
    for filter in [json!({}), json!({ "status": ["DELIVERED"] })] {
        for node in traveller.nodes.clone() {
            let mut socket = node.socket().await;
            socket.subscribe("1", LIST, json!({ "filter": filter, "after": first })).await;
            let mut resync = socket.change().await;
            traveller.variables["after"] = resync["cursor"].take();
            assert_eq!(resync, json!({ "kind": "RESYNC", "cursor": null, "skippedVersions": 0, "event": null, "order": null }));
        }
    }
    let mut socket = traveller.connect().await;
    let fresh = ada.place(&[(&tea, 1)]).await;
    for change in [socket.change().await, traveller.next().await] {
        assert_eq!((change["kind"].as_str(), change["order"]["id"].as_str()), (Some("CHANGE"), Some(fresh.id.as_str())));
    }
    app.close().await;
}

#[tokio::test]
async fn what_the_log_forgot_while_the_change_stream_was_away_is_told_to_who_listens() {
    let app = TestApp::start().await;
    let (ada_id, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let order = ada.place(&[(&tea, 1)]).await;
    app.seen(&order.id, 1).await;
    let mut sockets = [app.staff().socket().await, app.staff().socket().await, ada.socket().await];
    for (socket, filter) in sockets.iter_mut().zip([json!({}), json!({ "customerId": ada_id }), json!({})]) {
        socket.subscribe("1", LIST, json!({ "filter": filter })).await;
    }
    app.listening(3..=3).await;
    // Five changes came and went: the count has them, the log has not, and the stream has not told them.
    let positions = app.mongo().await.collection::<Document>("positions");
    positions.update_many(doc! {}, doc! { "$inc": { "number": 5_i64 } }).await.expect("update");
    ada.pay(&order.id).await;
    for socket in &mut sockets {
        assert_eq!(socket.change().await["kind"], "RESYNC");
    }
    app.close().await;
}
