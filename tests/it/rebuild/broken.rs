//! A queue that takes nothing any more, as a broker can leave it that was killed at the wrong moment, or a full one. An event
//! counts as published when the queues of every read model have it: a broken one must not hold up the shop for longer than it
//! takes to find it out.

use super::{
    behind::waits,
    crashes::{die_at, run_after_death},
    folds::{NEXT, green},
    *,
};
use crate::command_line::process::Process;
use orderflow::{
    bus::{Probe, Queues},
    config::Role::{Api, Projector, Relay},
};
use std::time::Duration;

/// Two looks of whoever looks after the queues, five seconds apart, each as long as a broker may take to answer; then the queue
/// is deleted, and whoever waits for it connects anew.
const FOUND_OUT: Duration = Duration::from_secs(45);

/// Waits for a read model to be given up, with its queues.
async fn given_up(app: &TestApp, generation: i32) {
    let started = std::time::Instant::now();
    loop {
        let (registry, waits) = (registry(app).await, waits(app, generation).await);
        if !registry.ids().contains(&generation) && waits.is_none() {
            return;
        }
        assert!(started.elapsed() < FOUND_OUT, "{registry:?}, {waits:?}");
        tokio::time::sleep(Duration::from_millis(100)).await; // bounded poll
    }
}

#[tokio::test]
async fn a_silent_queue_of_a_read_model_that_is_being_built_does_not_hold_up_the_live_one_for_long() {
    let app = TestApp::start().await;
    let shop = Shop::open(&app).await;
    shop.trade(&app, 3).await;
    app.agree().await;
    die_at(&app, REBUILD, Step::CatchingUp).await;
    assert_eq!(generations(&app).await, (1, None, Some(2)));
    app.silence("orderflow.projector.2.1").await;
    shop.trade(&app, 6).await;

    given_up(&app, 2).await;
    assert_eq!(app.agree().await, 9);
    run_after_death(&app, REBUILD).await;
    assert_eq!(generations(&app).await, (3, Some(1), None));
    shop.trade(&app, 3).await;
    assert_eq!(app.agree().await, 12);
    app.close().await;
}

#[tokio::test]
async fn a_rebuild_does_not_go_on_with_a_read_model_whose_queue_is_silent() {
    // Without projectors nobody else finds it out.
    let mut app = TestApp::start().await;
    let shop = Shop::open(&app).await;
    shop.trade(&app, 3).await;
    app.agree().await;
    app.restart(&[Api, Relay]).await;
    let shop = shop.at(&app);
    die_at(&app, REBUILD, Step::CatchingUp).await;
    app.silence("orderflow.projector.2.0").await;
    shop.trade(&app, 3).await;

    run_after_death(&app, REBUILD).await;
    assert_eq!(generations(&app).await, (3, Some(1), None));
    app.restart(&[Api, Relay, Projector]).await;
    assert_eq!(app.agree().await, 6);
    app.close().await;
}

#[tokio::test]
async fn full_queues_of_a_read_model_that_nobody_projects_do_not_hold_up_the_live_one_for_long() {
    let mut app = TestApp::start().await;
    let shop = Shop::open(&app).await;
    shop.trade(&app, 3).await;
    app.agree().await;
    let next = green(&app).await;
    rebuilder(&app, NEXT).run(REBUILD, &|_| {}).await.expect("rebuilt");
    app.restart(&[Api, Relay]).await;
    let shop = shop.at(&app);
    app.narrow_queues(Some("^orderflow[.]projector[.][0-9]+$")).await;
    shop.trade(&app, 24).await;

    given_up(&app, 1).await;
    assert_eq!(app.agree().await, 27);
    let undone = rebuilder(&app, NEXT).run(UNDO, &|_| {}).await;
    assert!(matches!(undone, Err(RebuildError::GivenUp(1))), "{undone:?}");
    next.shutdown.finish().await.expect("no task has died");
    app.close().await;
}

#[tokio::test]
async fn a_rebuild_replaces_the_live_read_model_when_one_of_its_queues_is_silent() {
    let app = TestApp::start().await;
    let shop = Shop::open(&app).await;
    shop.trade(&app, 3).await;
    app.agree().await;
    let mut list = app.staff().socket().await;
    list.subscribe("1", "subscription { ordersChanged { kind } }", json!({})).await;
    app.silence("orderflow.projector.0").await;
    shop.trade(&app, 9).await;
    let parts = &app.config.parts;
    let at = [("DATABASE_URL", &*parts.database_url), ("AMQP_URL", &*parts.bus.url), ("MONGODB_URI", &*parts.mongodb_uri)];
    let doctor = Process::run(&["doctor"], &at).await;
    assert!(doctor.out.contains("WRONG  the queues: orderflow.projector.0 take nothing"), "{}", doctor.out);

    run(&app, REBUILD).await.expect("rebuilt");
    assert_eq!(generations(&app).await.0, 2);
    // What came to the new one and never to the old was told to nobody, and they hear that.
    while list.change().await["kind"] != "RESYNC" {}
    // The one before is of no use, and what waits to be published is still held up by it.
    given_up(&app, 1).await;
    assert_eq!(app.agree_with_gaps().await, 12);
    shop.trade(&app, 3).await;
    assert_eq!(app.agree_with_gaps().await, 15);
    app.close().await;
}

#[tokio::test]
async fn tries_of_queues_tell_the_missing_from_those_that_are_well() {
    let app = TestApp::start().await;
    let queues = Queues::connect(&app.bus()).await.expect("connected");
    queues.open(7).await.expect("made");
    assert_eq!(queues.probe(7).await.expect("tried"), Probe::default());
    assert_eq!(queues.probe(8).await.expect("tried").missing.len(), usize::from(app.bus().partitions));
    assert!(queues.remove(7).await.expect("removed"));
    assert_eq!(waits(&app, 7).await, None);
    queues.close().await;
    app.close().await;
}
