//! What this binary does with events that it does not know; the rule stands in `src/event/mod.rs`.

use super::*;
use orderflow::event::Stream;

#[tokio::test]
async fn an_event_of_tomorrow_waits_for_the_binary_that_can_read_it() {
    let mut app = TestApp::build().roles(&[Api]).start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 100).await;
    let order = ada.place(&[(&tea, 2)]).await;
    ada.pay(&order.id).await;
    app.staff().ship(&order.id).await;
    let which = "e.version > 1 AND e.stream_kind = 'order'";
    let events = app.log(which).await;
    app.hold(which).await;
    app.join(&[Relay, Projector]).await;
    let tomorrow = |wire: &mut Value| wire["type"] = json!("orderflow.order.paid.v2");
    // What comes behind it knows a field of tomorrow, and keeps it while it waits.
    let wider = |wire: &mut Value| wire["data"]["weight"] = json!("heavy");
    app.publish(vec![changed(&events[0], tomorrow), changed(&events[1], wider)]).await;
    let head = standing(&app, &stream(&order), "UNKNOWN_TYPE", 2).await;
    assert_eq!(head["kind"], "orderflow.order.paid.v2");
    let waiting = app.waiting().await;
    assert!(waiting[1]["body"].as_str().expect("a message").contains("heavy"), "{waiting:#?}");
    // Nobody understands it better for being started again.
    app.join(&[Projector]).await;
    let fresh = ada.place(&[(&tea, 1)]).await;
    app.seen(&fresh.id, 1).await;
    standing(&app, &stream(&order), "UNKNOWN_TYPE", 2).await;

    // The binary of tomorrow: to it the message says what it said in the beginning.
    let body = String::from_utf8(events[0].to_json().expect("JSON")).expect("a text");
    let rows = app.mongo().await.collection::<Document>("waiting");
    let id = doc! { "_id": format!("{}:2", stream(&order)) };
    rows.update_one(id, doc! { "$set": { "body": body } }).await.expect("update");
    app.join(&[Projector]).await;
    app.seen(&order.id, 3).await;
    assert_eq!(app.agree().await, 2);
    app.close().await;
}

#[tokio::test]
async fn a_stream_of_tomorrow_waits_under_its_own_heading_and_strays_are_bounded() {
    let mut app = TestApp::build().roles(&[Api]).with("--parked-tail", "3").start().await;
    let (user, _) = app.customer("Ada Lovelace").await;
    let created = app.log("e.stream_kind = 'user'").await.remove(0);
    let held = app.hold("e.stream_kind = 'user'").await;
    app.join(&[Relay, Projector]).await;
    let unknown = changed(&created, |wire| wire["subject"] = json!("parcel/0190d3f57a0070008000000000000001"));
    let key = created.meta.partition_key;
    app.publish(vec![unknown]).await;
    standing(&app, "unreadable", "UNREADABLE", 1).await;
    for stray in 0..4 {
        app.publish(vec![message(key, format!("junk {stray}").into_bytes())]).await;
    }
    app.worked_off([key]).await;
    let head = standing(&app, "unreadable", "UNREADABLE", 3).await;
    assert_eq!(head["missing"], json!([1, 2]), "what was too much is told");
    // To the binary of tomorrow the first of them is an event.
    let rows = app.mongo().await.collection::<Document>("waiting");
    let body = String::from_utf8(created.to_json().expect("JSON")).expect("a text");
    let found =
        rows.update_one(doc! { "body": { "$regex": "parcel/" } }, doc! { "$set": { "body": body } }).await.expect("update");
    assert_eq!(found.modified_count, 1);
    app.join(&[Projector]).await;
    standing(&app, "unreadable", "UNREADABLE", 2).await;
    let seen = app.staff().ask("query($id: ID!) { user(id: $id) { displayName } }", json!({ "id": user })).await;
    assert_eq!(seen["user"]["displayName"], "Ada Lovelace");
    app.release(held).await;
    for stray in app.waiting().await {
        let words = ["discard", stray["_id"].as_str().expect("an id"), "--reason", "junk", "--by", "ada"];
        let gone = parked(&app, &words).await;
        assert_eq!(gone.code, Some(0), "{}", gone.err);
    }
    nothing_stands(&app).await;
    let records = documents(&app.mongo().await, "discards").await;
    assert_eq!(records.iter().map(|record| &record["skips"]).collect::<Vec<_>>(), [&json!(false), &json!(false)]);
    app.agree().await;
    app.close().await;
}

#[tokio::test]
async fn the_relay_sends_what_it_cannot_read_and_holds_nobody_up() {
    let app = TestApp::start().await;
    let (user, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 100).await;
    let of = uuid_of(&user);
    // As a newer process would write it.
    app.rows(&format!(
        "WITH appended AS (
            INSERT INTO event_log (id, stream_kind, stream_id, version, kind, recorded_at, actor, command_id, partition_key,
                                   stock_marks, data)
            VALUES (gen_random_uuid(), 'user', '{of}', 2, 'orderflow.user.knighted.v1', now(), 'admin', 'by-hand', '{of}', '[]',
                '{{\"title\": \"Dame\"}}')
            RETURNING position, partition_key)
         INSERT INTO outbox (position, shard)
         SELECT position, hashtext(partition_key::text) & 2147483647 FROM appended"
    ))
    .await;
    let order = ada.place(&[(&tea, 1)]).await;
    app.seen(&order.id, 1).await;
    let head = standing(&app, &format!("user/{of}"), "UNKNOWN_TYPE", 1).await;
    assert_eq!((&head["next"], &head["kind"]), (&json!(2), &json!("orderflow.user.knighted.v1")));
    let name = Stream::User(user.parse().expect("an id")).to_string();
    assert_eq!(head["_id"], name);
    let waiting = app.waiting().await;
    let body: Value = serde_json::from_str(waiting[0]["body"].as_str().expect("a message")).expect("JSON");
    assert_eq!((&body["data"], &body["subject"]), (&json!({ "title": "Dame" }), &json!(name)), "whole, as it was written");
    app.close().await;
}
