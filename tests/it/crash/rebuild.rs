//! Deaths of whoever rebuilds the read model, makes the one before it live again, or removes it: `orderflow rebuild`, or a server
//! that an administrator has asked. People go on meanwhile and notice nothing (`people`).

use super::{
    deaths, dies,
    people::{among_people, until_seen},
    start,
};
use crate::{
    command_line::{
        at,
        process::{Ended, Process},
    },
    rebuild::{Shop, generations, registry},
    support::{TestApp, until},
};
use lapin::{
    ExchangeKind,
    options::{ExchangeDeclareOptions, QueueDeclareOptions},
    types::FieldTable,
};
use mongodb::bson::{Document, doc};
use orderflow::config::Role::{Api, Projector, Relay};
use serde_json::json;
use std::time::Duration;

/// What is committed is seen within this time, whoever has died: relays that were held go on as soon as PostgreSQL finds their
/// holder's connection closed.
const SOON: Duration = Duration::from_secs(5);

/// A transaction of MongoDB outlives its process by the five seconds of our stacks, and by what the server takes to look;
/// projectors that met it come back within five more.
const AFTER_A_TRANSACTION: Duration = Duration::from_secs(15);

/// `orderflow rebuild` with these words, on the servers of a test, to die at a point if one is given.
pub fn begin(app: &TestApp, words: &[&str], point: Option<&str>) -> Process {
    let mut variables = at(app.parts());
    variables.extend(point.map(|point| ("ORDERFLOW_CRASH_AT", point)));
    // A log that comes in many batches, where it matters.
    let few = point.is_some_and(|point| point.starts_with("rebuild-replaying"));
    variables.extend(few.then_some(("ORDERFLOW_REBUILD_BATCH", "5")));
    Process::start(&[&["rebuild", "--partitions", "2"], words].concat(), &variables)
}

async fn run(app: &TestApp, words: &[&str]) -> Ended {
    begin(app, words, None).end().await
}

pub async fn succeeds(app: &TestApp, words: &[&str]) {
    let ended = run(app, words).await;
    assert_eq!(ended.code, Some(0), "{words:?}: {}{}", ended.out, ended.err);
}

/// Waits until somebody who has just died at a point is known to be dead: after five seconds of silence. Until then nobody else
/// begins, and people trade on.
async fn known_dead(app: &TestApp, shop: &Shop, point: &str) {
    let (waited, early) = tokio::join!(until_seen(app, shop), run(app, &[]));
    assert!(waited < soon(point), "{waited:?}");
    assert!(early.code == Some(1) && early.err.contains("somebody else is at it"), "{}{}", early.out, early.err);
    if !holds(point) {
        return taken_for_dead(app).await;
    }
    until("the other to be dead", || async {
        let job = app.app().store.job().await.expect("the job").expect("one");
        assert!(!job.progress.finished);
        if job.alive { Err(job) } else { Ok(()) }
    })
    .await;
    let status = run(app, &["--status"]).await.out;
    assert!(status.contains(": died while "), "{status}");
}

/// The same for whoever had nothing in hand that others could wait for: the five seconds are skipped.
pub async fn taken_for_dead(app: &TestApp) {
    let (jobs, job) = (app.mongo().await.collection::<Document>("generations"), doc! { "_id": "job", "finished": false });
    let earlier = doc! { "$set": { "at": { "$subtract": ["$$NOW", 6_000] } } };
    assert_eq!(jobs.update_one(job, vec![earlier]).await.expect("update").matched_count, 1);
}

/// What there is of a read model: collections, guards, and what is in the broker.
async fn remains(app: &TestApp, generation: i32) -> Vec<String> {
    let mongo = app.mongo().await;
    let views = ["orders", "users", "products", "sales", "waiting", "parked"];
    let names = if generation == 1 { views.map(str::to_owned) } else { views.map(|v| format!("{v}.generation.{generation}")) };
    let mut found = mongo.list_collection_names().await.expect("names");
    found.retain(|name| names.contains(name));
    let guards = mongo.collection::<Document>("guards").count_documents(doc! { "generation": generation }).await;
    found.extend((guards.expect("a count") > 0).then(|| "guards".to_owned()));
    let part = |name: &str| if generation == 1 { name.to_owned() } else { format!("{name}.{generation}") };
    let connection = lapin::Connection::connect(&app.bus().url, lapin::ConnectionProperties::default()).await.expect("connected");
    for name in [0, 1].map(|partition| format!("{}.{partition}", part("orderflow.projector"))) {
        // The broker closes the channel on which somebody asks for what is not there.
        let channel = connection.create_channel().await.expect("a channel");
        let look = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let there = channel.queue_declare(name.as_str().into(), look, FieldTable::default()).await.is_ok();
        found.extend(there.then_some(name));
    }
    let (name, channel) = (part("orderflow.partitions"), connection.create_channel().await.expect("a channel"));
    let look = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
    let kind = ExchangeKind::Custom("x-consistent-hash".into());
    let there = channel.exchange_declare(name.as_str().into(), kind, look, FieldTable::default()).await.is_ok();
    found.extend(there.then_some(name));
    found
}

/// Of read models that are neither live nor kept nothing is left, and of those that are nothing is missing.
async fn expect_nothing_left(app: &TestApp) {
    let registry = registry(app).await;
    for generation in 1..registry.next {
        let found = remains(app, generation).await;
        let whole = if registry.ids().contains(&generation) { 6 + 1 + 2 + 1 } else { 0 };
        assert_eq!(found.len(), whole, "of generation {generation}: {found:?}");
    }
}

/// Both sides tell the same story, also to `orderflow verify`.
async fn expect_the_truth(app: &TestApp) {
    app.agree().await;
    let verified = Process::run(&["verify", "--partitions", "2", "--wait", "15s"], &at(app.parts())).await;
    assert_eq!(verified.code, Some(0), "{}{}", verified.out, verified.err);
}

/// A shop with some orders.
async fn opened() -> (TestApp, Shop) {
    let app = TestApp::start().await;
    let shop = Shop::open(&app).await;
    shop.trade(&app, 6).await;
    app.agree().await;
    (app, shop)
}

deaths!(BUILDING of a_builder_dies_at {
    registered_and_without_collections_it_is_made_anew: "rebuild-registered",
    with_collections_and_without_queues_it_is_made_anew: "rebuild-collections",
    with_queues_and_without_the_log_it_is_made_anew: "rebuild-queues",
    between_two_batches_of_the_log_it_is_made_anew: "rebuild-replaying:2",
    with_the_log_and_without_indexes_it_is_made_anew: "rebuild-replayed",
    with_indexes_and_not_ready_it_is_made_anew: "rebuild-indexed",
    ready_and_with_nothing_caught_up_it_is_used: "rebuild-ready",
});

/// The live one goes on, and the next builder removes or uses what the dead one has left.
async fn a_builder_dies_at(point: &str) {
    let (app, shop) = opened().await;
    let used = if point == "rebuild-ready" { 2 } else { 3 };
    among_people(&app, &shop, async {
        dies(begin(&app, &[], Some(point)), point).await;
        assert_eq!(generations(&app).await, (1, None, Some(2)));
        let waited = until_seen(&app, &shop).await;
        assert!(waited < SOON, "{waited:?}");
        taken_for_dead(&app).await;
        succeeds(&app, &["--strict"]).await;
        assert_eq!(generations(&app).await, (used, Some(1), None));
    })
    .await;
    expect_nothing_left(&app).await;
    succeeds(&app, &["--undo"]).await;
    assert_eq!(generations(&app).await, (1, Some(used), None));
    expect_the_truth(&app).await;
    app.close().await;
}

deaths!(SWITCHING of a_switch_dies_at {
    caught_up_and_not_compared_the_old_one_is_live: "switch-caught-up",
    compared_and_without_places_the_old_one_is_live: "switch-compared",
    with_the_places_of_orders_the_old_one_is_live: "switch-places",
    with_some_places_of_late_orders_the_old_one_is_live: "switch-late-places",
    with_relays_held_and_nothing_at_rest_the_old_one_is_live: "switch-paused",
    with_all_at_rest_the_old_one_is_live: "switch-at-rest",
    before_the_switch_commits_the_old_one_is_live: "switch-before-commit",
    after_the_switch_commits_the_new_one_is_live: "switch-committed",
    seen_by_all_and_with_relays_held_the_new_one_is_live: "switch-seen",
});

fn switched(point: &str) -> bool {
    matches!(point, "switch-committed" | "switch-seen")
}

/// Whether whoever dies there has something in hand that others wait for: relays, or documents.
fn holds(point: &str) -> bool {
    !matches!(point, "switch-caught-up" | "switch-compared" | "switch-places" | "switch-late-places")
}

/// How soon what is committed after a death is seen.
fn soon(point: &str) -> Duration {
    if point == "switch-before-commit" { AFTER_A_TRANSACTION } else { SOON }
}

async fn a_switch_dies_at(point: &str) {
    let (app, shop) = opened().await;
    among_people(&app, &shop, async {
        dies(begin(&app, &[], Some(point)), point).await;
        assert_eq!(generations(&app).await, if switched(point) { (2, Some(1), None) } else { (1, None, Some(2)) });
        known_dead(&app, &shop, point).await;
        succeeds(&app, &["--strict"]).await;
        assert_eq!(generations(&app).await, (2, Some(1), None), "it was whole");
        succeeds(&app, &["--undo"]).await;
        assert_eq!(generations(&app).await, (1, Some(2), None));
    })
    .await;
    expect_nothing_left(&app).await;
    expect_the_truth(&app).await;
    app.close().await;
}

deaths!(UNDOING of an_undoing_dies_at {
    with_relays_held_nothing_is_undone: "switch-paused",
    before_the_switch_back_commits_nothing_is_undone: "switch-before-commit",
    after_the_switch_back_commits_it_is_undone: "switch-committed",
});

async fn an_undoing_dies_at(point: &str) {
    let (app, shop) = opened().await;
    succeeds(&app, &[]).await;
    among_people(&app, &shop, async {
        dies(begin(&app, &["--undo"], Some(point)), point).await;
        assert_eq!(generations(&app).await, if switched(point) { (1, Some(2), None) } else { (2, Some(1), None) });
        known_dead(&app, &shop, point).await;
        succeeds(&app, &["--undo"]).await;
        assert_eq!(generations(&app).await, (1, Some(2), None), "the same wish again is the same wish");
        succeeds(&app, &["--undo"]).await;
        assert_eq!(generations(&app).await, (2, Some(1), None), "and another one undoes it");
    })
    .await;
    expect_nothing_left(&app).await;
    expect_the_truth(&app).await;
    app.close().await;
}

deaths!(REMOVING of a_removal_dies_at {
    struck_off_the_list_the_rest_goes_next_time: "drop-struck",
    without_queues_the_rest_goes_next_time: "drop-queues",
    without_guards_the_rest_goes_next_time: "drop-guards",
    without_half_of_its_collections_the_rest_goes_next_time: "drop-collections:3",
});

async fn a_removal_dies_at(point: &str) {
    let (app, shop) = opened().await;
    succeeds(&app, &[]).await;
    among_people(&app, &shop, async {
        dies(begin(&app, &["--drop-previous"], Some(point)), point).await;
        assert_eq!(generations(&app).await, (2, None, None));
        assert!(!remains(&app, 1).await.is_empty());
        let waited = until_seen(&app, &shop).await;
        assert!(waited < SOON, "{waited:?}");
        taken_for_dead(&app).await;
        // It cannot be made live any more, and whoever has tried can still remove what is left.
        let late = run(&app, &["--undo"]).await;
        assert!(late.code == Some(1) && late.err.contains("there is no previous read model"), "{}{}", late.out, late.err);
        succeeds(&app, &["--drop-previous"]).await;
        assert_eq!(generations(&app).await, (2, None, None));
        expect_nothing_left(&app).await;
        succeeds(&app, &["--strict"]).await;
        assert_eq!(generations(&app).await, (3, Some(2), None));
    })
    .await;
    expect_nothing_left(&app).await;
    expect_the_truth(&app).await;
    app.close().await;
}

deaths!(FULFILLING of a_server_dies_at {
    a_wish_whose_server_dies_while_it_replays_is_taken_up_by_another: "rebuild-replayed",
    a_wish_whose_server_dies_at_the_switch_is_taken_up_by_another: "switch-at-rest",
    a_wish_that_was_fulfilled_and_not_closed_is_not_fulfilled_twice: "wish-fulfilled",
});

const ASK: &str =
    "mutation($undo: Boolean!) { rebuildReadModel(input: { undo: $undo }) { receipt { commandId } errors { code } } }";
const FOLLOW: &str = "subscription { rebuildProgress { kind step generation finished alive failure } }";

async fn a_server_dies_at(point: &str) {
    let mut app = TestApp::start().await;
    let shop = Shop::open(&app).await;
    shop.trade(&app, 6).await;
    // Undoing is what must not be done twice.
    let undo = point == "wish-fulfilled";
    if undo {
        succeeds(&app, &[]).await;
    }
    app.restart(&[Api, Relay]).await;
    let admin = app.admin();
    let mut socket = admin.socket().await;
    let serving = start(&app, &["projector"], Some(point));
    serving.prints("Orderflow works; ").await;
    socket.subscribe("1", FOLLOW, json!({})).await;
    if undo {
        assert_eq!(socket.change().await["finished"], true, "the rebuild by hand");
    }
    app.listening(1..).await;
    let asked = admin.ask(ASK, json!({ "undo": undo })).await["rebuildReadModel"].take();
    assert_eq!(asked["errors"], json!([]), "{asked:#}");
    dies(serving, point).await;
    app.join(&[Projector]).await;

    let mut told = Vec::new();
    loop {
        let progress = socket.change().await;
        let finished = progress["finished"] == true;
        told.push(progress);
        if finished {
            break;
        }
    }
    let last = told.last().expect("an end");
    assert!(told.iter().any(|progress| progress["finished"] == false) || undo, "whoever follows hears of both: {told:#?}");
    let built = if point == "rebuild-replayed" { 3 } else { 2 };
    let (live, previous) = if undo { (1, 2) } else { (built, 1) };
    let expected = json!({
        "kind": if undo { "UNDO" } else { "REBUILD" }, "step": "DONE", "generation": live, "finished": true, "alive": true,
        "failure": null,
    });
    assert_eq!(*last, expected, "{told:#?}");
    until("the wish to be closed", || async {
        match app.number("SELECT count(*) FROM rebuild_requests WHERE finished_at IS NOT NULL AND failure IS NULL").await {
            1 => Ok(()),
            others => Err(others),
        }
    })
    .await;
    assert_eq!(generations(&app).await, (live, Some(previous), None));
    app.caught_up().await;
    expect_nothing_left(&app).await;
    expect_the_truth(&app).await;
    app.close().await;
}
