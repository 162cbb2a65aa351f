//! A pipeline that looks alive and does not move, and what it leaves behind when it does.

use super::*;
use crate::support::Mongod;

/// What a server says when its disk is full.
const OUT_OF_DISK_SPACE: i32 = 14_031;

/// Waits until the node is ready, or says of its projector and of nothing else that it is not moving.
async fn told(app: &TestApp, moves: bool) {
    let projector = if moves { "ok" } else { "is not moving" };
    let parts =
        json!({ "feed": "ok", "mongodb": "ok", "outbox": "ok", "postgresql": "ok", "projector": projector, "relay": "ok" });
    until("readiness", || async {
        let seen = app.readiness().await;
        if seen == (moves, json!({ "ready": moves, "parts": parts })) { Ok(()) } else { Err(seen) }
    })
    .await;
}

#[tokio::test]
async fn projectors_that_take_events_and_can_store_none_are_not_taken_for_moving() {
    let mongod = Mongod::start().await;
    // Longer than a projector rests between two attempts: resting is not what makes it unready.
    let mut app = TestApp::build().mongodb(mongod.uri()).with("--ready-within", "6s").start().await;
    // With another one that is in no better way, and takes over whenever the first gives up.
    app.join(&[Projector]).await;
    let market = Market::open(&app).await;
    market.trade(3).await;
    assert_eq!(app.agree().await, 3);
    told(&app, true).await;
    // Questions are answered, the change stream lives, the broker delivers: only nothing can be written.
    mongod.fail(&["insert"], OUT_OF_DISK_SPACE, None).await;
    market.trade(3).await;
    told(&app, false).await;
    mongod.answer_again().await;
    told(&app, true).await;
    assert_eq!(app.agree().await, 6, "nothing is lost, and nobody was parked for it");
    app.close().await;
}

#[tokio::test]
async fn a_queue_that_somebody_deletes_under_its_consumer_is_made_again() {
    let app = TestApp::start().await;
    let market = Market::open(&app).await;
    market.trade(6).await;
    assert_eq!(app.agree().await, 6);
    let connection = lapin::Connection::connect(&app.bus().url, lapin::ConnectionProperties::default()).await.expect("connected");
    let channel = connection.create_channel().await.expect("a channel");
    channel.queue_delete("orderflow.projector.0".into(), QueueDeleteOptions::default()).await.expect("deleted");
    // For a moment all keys lead to the other queue, and then some of them back to this one.
    market.trade(12).await;
    assert_eq!(app.agree().await, 18);
    connection.close(200, "done".into()).await.expect("closed");
    app.close().await;
}

#[tokio::test]
async fn when_everything_has_arrived_nothing_is_left_on_the_way() {
    let app = TestApp::start().await;
    let market = Market::open(&app).await;
    market.trade(40).await;
    // Neither parked nor waiting; both are looked at there.
    assert_eq!(app.agree().await, 40);
    let connection = lapin::Connection::connect(&app.bus().url, lapin::ConnectionProperties::default()).await.expect("connected");
    let channel = connection.create_channel().await.expect("a channel");
    until("empty queues and an empty outbox", || async {
        let mut left = vec![app.number("SELECT count(*) FROM outbox").await];
        for queue in ["orderflow.projector.0", "orderflow.projector.1", "orderflow.dead"] {
            let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let queue = channel.queue_declare(queue.into(), passive, FieldTable::default()).await.expect("it is there");
            left.push(i64::from(queue.message_count()));
        }
        if left.iter().all(|left| *left == 0) { Ok(()) } else { Err(left) }
    })
    .await;
    // Thousands of rows come and go in a busy outbox every second: the pages of those that have gone must be used again.
    let vacuum =
        "SELECT count(*) FROM pg_class WHERE relname = 'outbox' AND reloptions::text LIKE '%autovacuum_vacuum_threshold=%'";
    assert_eq!(app.number(vacuum).await, 1, "vacuum comes by often");
    connection.close(200, "done".into()).await.expect("closed");
    app.close().await;
}
