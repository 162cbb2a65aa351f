//! Transactions that commit in another order than that of their positions, while relays come, go and die; and a transaction
//! elsewhere that never commits.

use super::*;
use crate::{command_line::process::Process, crash, support::Ear};
use sea_orm::DatabaseTransaction;
use std::{
    cell::Cell,
    time::{Duration, Instant},
};

/// Everything that the log has, as an ear should have heard it.
async fn logged(app: &TestApp) -> BTreeMap<String, Vec<i64>> {
    let mut logged: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let events = app.rows("SELECT stream_kind, stream_id, version FROM event_log ORDER BY stream_kind, stream_id, version").await;
    for row in events {
        let stream = format!("{}/{}", get::<String>(&row, "stream_kind"), get::<Uuid>(&row, "stream_id").simple());
        logged.entry(stream).or_default().push(get(&row, "version"));
    }
    logged
}

fn created(name: &str) -> UserEvent {
    UserEvent::Created {
        email: Email::parse(&format!("{}@example.com", name.to_lowercase().replace(' ', "."))).expect("an address"),
        display_name: DisplayName::parse(name).expect("a name"),
        role: Role::Customer,
    }
}

/// A transaction that has a position already and is not committed.
async fn early(database: &sea_orm::DatabaseConnection, number: usize) -> (DatabaseTransaction, Uuid) {
    let (transaction, user) = (database.begin().await.expect("begin"), Uuid::now_v7());
    append(&transaction, user, 1, created(&format!("Late {number}"))).await;
    (transaction, user)
}

#[tokio::test]
async fn commits_that_come_late_by_seconds_are_neither_skipped_nor_reordered_when_a_relay_dies_in_between() {
    const LATE: usize = 5;
    let mut app = TestApp::build().roles(&[Api, Projector]).start().await;
    let ear = Ear::open(&app).await;
    let market = Market::open(&app).await;
    for _ in 0..2 {
        app.join(&[Relay]).await;
    }
    let database = app.postgres().await;
    let mut waiting = Vec::new();
    for number in 0..LATE {
        waiting.push(early(&database, number).await);
    }
    // A third relay dies with confirms in its hand, so what it has published is published once more.
    let dying = crash::start(&app, &["relay"], Some("after-confirm:2"));
    let (over, mut orders) = (Cell::new(false), 0);
    let trading = async {
        while !over.get() {
            market.trade(4).await;
            orders += 4;
        }
    };
    tokio::join!(trading, crash::dies(dying, "after-confirm:2").map(|()| over.set(true)));
    // The lower the position, the later the commit, each by a second or more.
    let mut users = Vec::new();
    while let Some((transaction, user)) = waiting.pop() {
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(1) {
            market.trade(4).await;
            orders += 4;
        }
        transaction.commit().await.expect("commit");
        let renamed =
            UserEvent::ProfileUpdated { email: None, display_name: Some(DisplayName::parse("On Time").expect("a name")) };
        append(&database, user, 2, renamed).await;
        users.push(user);
    }
    assert_eq!(app.agree().await, orders, "every order's effects are there once");
    let (heard, again) = ear.heard().await;
    assert_eq!(heard, logged(&app).await, "every version of every stream, in order");
    assert!(again > 0, "the relay died with something in its hand");
    for user in users {
        let query = "query($id: ID!) { user(id: $id) { version displayName } }";
        let seen = app.staff().ask(query, json!({ "id": format!("user_{}", user.simple()) })).await;
        assert_eq!(seen["user"], json!({ "version": 2, "displayName": "On Time" }));
    }
    app.close().await;
}

#[tokio::test]
async fn whatever_the_order_of_the_commits_every_event_is_published() {
    let mut app = TestApp::build().roles(&[Api, Projector]).start().await;
    let ear = Ear::open(&app).await;
    app.join(&[Relay]).await;
    app.join(&[Relay]).await;
    let database = app.postgres().await;
    let mut number = 0;
    for seed in 0..8 {
        let mut open = Vec::new();
        for _ in 0..6 {
            open.push(early(&database, number).await);
            number += 1;
        }
        open.shuffle(&mut StdRng::seed_from_u64(seed));
        for (transaction, user) in open {
            transaction.commit().await.expect("commit");
            // What comes next is decided while the relays are at work on this.
            let renamed = UserEvent::ProfileUpdated { email: None, display_name: Some(DisplayName::parse("X").expect("a name")) };
            append(&database, user, 2, renamed).await;
        }
    }
    app.agree().await;
    let (heard, again) = ear.heard().await;
    assert_eq!((heard, again), (logged(&app).await, 0), "when nothing fails, everything exactly once");
    app.close().await;
}

/// The value of a gauge of a process.
async fn gauge(address: &str, name: &str) -> f64 {
    let metrics = reqwest::get(format!("http://{address}/metrics")).await.expect("an answer").text().await.expect("a text");
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    line.unwrap_or_default()
}

#[tokio::test]
async fn a_transaction_that_somebody_left_open_delays_nobody_and_is_reported() {
    let app = TestApp::start().await;
    let market = Market::open(&app).await;
    let database = app.postgres().await;
    let forgotten = database.begin().await.expect("begin");
    // It has an id of its own, lower than all that come, and touches nothing of ours.
    forgotten.execute_unprepared("CREATE TABLE elsewhere (id integer)").await.expect("a table");
    market.trade(10).await;
    assert_eq!(app.agree().await, 10);

    let relay = crash::start(&app, &["relay"], None);
    let place = relay.prints("Orderflow works; health  http://").await;
    let address = place.split('/').next().expect("an address");
    until("the metric", || async {
        let age = gauge(address, "orderflow_postgresql_oldest_transaction_seconds").await;
        if age > 1.0 { Ok(()) } else { Err(age) }
    })
    .await;
    let parts = &app.config.parts;
    let at = [("DATABASE_URL", &*parts.database_url), ("AMQP_URL", &*parts.bus.url), ("MONGODB_URI", &*parts.mongodb_uri)];
    let doctor = || Process::run(&["doctor"], &at);
    const NOTE: &str = "note   PostgreSQL: a transaction of ";
    until("the doctor's note", || async {
        let found = doctor().await;
        assert_eq!(found.code, Some(0), "nothing is wrong: {}", found.out);
        let told = found.out.contains(NOTE) && found.out.contains("idle in transaction");
        if told { Ok(()) } else { Err(found.out) }
    })
    .await;
    forgotten.rollback().await.expect("rollback");
    assert!(!doctor().await.out.contains(NOTE));
    app.close().await;
}

#[tokio::test]
async fn numbers_that_are_never_used_stall_nobody() {
    let app = TestApp::start().await;
    let ear = Ear::open(&app).await;
    let market = Market::open(&app).await;
    let before = app.number("SELECT max(position) FROM event_log").await;
    let database = app.postgres().await;
    let mut open = Vec::new();
    for number in 0..6 {
        open.push(early(&database, number).await.0);
    }
    // Some are given up while people shop, and some are still open when all of that has been seen.
    for transaction in open.drain(..3) {
        transaction.rollback().await.expect("rollback");
        market.trade(4).await;
    }
    assert_eq!(app.agree().await, 12);
    for transaction in open {
        transaction.rollback().await.expect("rollback");
    }
    market.trade(4).await;
    assert_eq!(app.agree().await, 16);
    let holes = app.number(&format!("SELECT max(position) - {before} - count(*) FROM event_log WHERE position > {before}")).await;
    assert!(holes >= 6, "{holes} numbers were left out");
    let (heard, again) = ear.heard().await;
    assert_eq!((heard, again), (logged(&app).await, 0));
    app.close().await;
}

#[tokio::test]
async fn a_commit_that_comes_after_a_rebuild_with_a_number_from_before_it_is_in_the_new_read_model() {
    let app = TestApp::start().await;
    let market = Market::open(&app).await;
    market.trade(6).await;
    assert_eq!(app.agree().await, 6);
    let database = app.postgres().await;
    let (late, user) = early(&database, 1).await;
    let parts = &app.config.parts;
    let at = [
        ("DATABASE_URL", &*parts.database_url),
        ("AMQP_URL", &*parts.bus.url),
        ("MONGODB_URI", &*parts.mongodb_uri),
        ("ORDERFLOW_PARTITIONS", "2"),
    ];
    let rebuilt = Process::run(&["rebuild", "--strict"], &at).await;
    assert_eq!(rebuilt.code, Some(0), "{}{}", rebuilt.out, rebuilt.err);
    assert!(rebuilt.out.contains("live      generation 2"), "{}", rebuilt.out);
    late.commit().await.expect("commit");
    market.trade(3).await;
    assert_eq!(app.agree().await, 9);
    let query = "query($id: ID!) { user(id: $id) { version } }";
    let seen = app.staff().ask(query, json!({ "id": format!("user_{}", user.simple()) })).await;
    assert_eq!(seen["user"]["version"], 1);
    app.close().await;
}

#[tokio::test]
async fn shards_that_are_relayed_at_the_same_time_keep_every_streams_order() {
    let mut app = TestApp::build().roles(&[Api]).with("--relay-shards", "4").with("--relay-batch", "7").start().await;
    let ear = Ear::open(&app).await;
    let market = Market::open(&app).await;
    app.join(&[Relay, Projector]).await;
    app.join(&[Relay]).await;
    market.trade(60).await;
    assert_eq!(app.agree().await, 60);
    let shards = app.number("SELECT count(DISTINCT (hashtext(partition_key::text) & 2147483647) % 4) FROM event_log").await;
    assert!(shards > 1, "all keys fell into {shards} shard");
    let (heard, again) = ear.heard().await;
    assert_eq!((heard, again), (logged(&app).await, 0), "every version of every stream, once and in order");
    app.close().await;
}
