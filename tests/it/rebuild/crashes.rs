//! Whoever rebuilds dies, at every step, and somebody else tries again; or two try at once.

use super::*;
use std::sync::Mutex;
use tokio::sync::Notify;

/// Begins a job and drops it dead when it comes to a step.
pub async fn die_at(app: &TestApp, wish: Wish, step: Step) {
    let (reached, rebuilder) = (Notify::new(), rebuilder(app, Fold::CURRENT));
    let tell = |progress: &Progress| {
        if progress.step == step {
            reached.notify_one();
        }
    };
    tokio::select! {
        biased;
        () = reached.notified() => {}
        ended = rebuilder.run(wish, &tell) => panic!("it came to its end before {step:?}: {ended:?}"),
    }
}

/// Tries until whoever died is known to be dead.
pub async fn run_after_death(app: &TestApp, wish: Wish) -> Progress {
    until("the other to be dead", || async {
        match run(app, wish).await {
            Ok(progress) => Ok(progress),
            Err(RebuildError::Running(other)) => Err(other),
            Err(error) => panic!("{error}"),
        }
    })
    .await
}

async fn dies_at(step: Step) {
    let app = TestApp::start().await;
    let shop = Shop::open(&app).await;
    shop.trade(&app, 6).await;
    app.agree().await;
    die_at(&app, REBUILD, step).await;
    // Whatever it was, people go on, with the old read model or the new.
    shop.trade(&app, 3).await;
    assert_eq!(app.agree().await, 9);
    let (live, ..) = generations(&app).await;
    assert_eq!(live, if step == Step::Switched { 2 } else { 1 });
    let left = app.app().store.job().await.expect("the job").expect("one");
    assert!(!left.progress.finished);

    let progress = run_after_death(&app, REBUILD).await;
    assert_eq!((progress.step, progress.failure.as_deref()), (Step::Done, None));
    // One that was whole is used, one that was not is made anew.
    let used = if step >= Step::CatchingUp { 2 } else { 3 };
    let used = if step == Step::Preparing { 2 } else { used };
    assert_eq!(generations(&app).await, (used, Some(1), None));
    assert_eq!(app.agree().await, 9);
    let names = app.mongo().await.list_collection_names().await.expect("names");
    let others = names.iter().filter(|name| name.contains(".generation.") && !name.ends_with(&format!(".{used}")));
    assert_eq!(others.count(), 0, "{names:?}");
    run(&app, UNDO).await.expect("undone");
    shop.trade(&app, 3).await;
    assert_eq!(app.agree().await, 12);
    app.close().await;
}

#[tokio::test]
async fn a_death_before_anything_is_made_is_recovered_from() {
    dies_at(Step::Preparing).await;
}

#[tokio::test]
async fn a_death_while_replaying_is_recovered_from() {
    dies_at(Step::Replaying).await;
}

#[tokio::test]
async fn a_death_while_catching_up_is_recovered_from() {
    dies_at(Step::CatchingUp).await;
}

#[tokio::test]
async fn a_death_while_comparing_is_recovered_from() {
    dies_at(Step::Comparing).await;
}

#[tokio::test]
async fn a_death_before_the_switch_is_recovered_from() {
    dies_at(Step::Switching).await;
}

#[tokio::test]
async fn a_death_after_the_switch_is_recovered_from() {
    dies_at(Step::Switched).await;
}

#[tokio::test]
async fn of_two_at_once_one_is_told_of_the_other() {
    let app = TestApp::start().await;
    let shop = Shop::open(&app).await;
    shop.trade(&app, 3).await;
    let (one, other) = tokio::join!(run(&app, REBUILD), run(&app, REBUILD));
    let mut ended = [one, other].map(|ended| ended.map_err(|error| error.to_string()));
    ended.sort_by_key(Result::is_err);
    let [Ok(_), Err(told)] = &ended else { panic!("{ended:?}") };
    assert!(told.starts_with("somebody else is at it (Rebuild"), "{told}");
    assert_eq!(generations(&app).await, (2, Some(1), None));
    app.agree().await;
    app.close().await;
}

#[tokio::test]
async fn steps_come_in_order_and_count() {
    let app = TestApp::start().await;
    let shop = Shop::open(&app).await;
    shop.trade(&app, 6).await;
    let heard = Mutex::new(Vec::new());
    let tell = |progress: &Progress| heard.lock().expect("no panic").push((progress.step, progress.done, progress.total));
    rebuilder(&app, Fold::CURRENT).run(REBUILD, &tell).await.expect("rebuilt");
    let heard = heard.into_inner().expect("no panic");
    assert!(heard.is_sorted_by_key(|(step, ..)| *step), "{heard:?}");
    let events = app.events().await;
    let most = heard.iter().filter(|(step, ..)| *step == Step::Replaying).map(|(_, done, total)| (*done, *total)).max();
    let (done, total) = most.expect("a replay");
    assert!(done == events && total >= events, "{done} of {total} for {events} events");
    app.close().await;
}

#[tokio::test]
async fn a_rebuild_needs_no_other_process() {
    let mut app = TestApp::start().await;
    let shop = Shop::open(&app).await;
    shop.trade(&app, 6).await;
    app.agree().await;
    app.restart(&[orderflow::config::Role::Api]).await;
    // Nobody relays or projects any more, but for whoever rebuilds; this one is in the log and not published.
    let late = app.as_customer(&subject(&shop.customers[0])).place(&[(&shop.products[0], 1)]).await.id;
    run(&app, REBUILD).await.expect("rebuilt");
    assert_eq!(generations(&app).await, (2, Some(1), None));
    app.seen(&late, 1).await;
    app.restart(&[orderflow::config::Role::Api, orderflow::config::Role::Relay, orderflow::config::Role::Projector]).await;
    app.caught_up().await;
    app.close().await;
}

#[tokio::test]
async fn whoever_freezes_with_relays_held_holds_them_no_longer_than_postgresql_lets_them() {
    let app = TestApp::start().await;
    let shop = Shop::open(&app).await;
    shop.trade(&app, 3).await;
    app.agree().await;
    // What a switch does, by somebody of whom nothing is heard any more while the connection is there.
    let held = orderflow::command::pause(&app.app().database, app.config.work.relay_shards).await.expect("held");
    shop.trade(&app, 3).await;
    assert!(app.number("SELECT count(*) FROM outbox").await > 0, "they are held");
    assert_eq!(app.agree().await, 6);
    assert!(held.resume().await.is_err(), "the connection has been ended");
    app.close().await;
}
