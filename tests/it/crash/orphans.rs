//! What a dead projector has locked: its transaction stays open in MongoDB, and whoever comes after it must not wait for the
//! server's own limit, a minute here.

use super::{dies, start};
use crate::support::{Mongod, TestApp, until};
use mongodb::{
    Client,
    bson::{Document, doc},
    options::ClientOptions,
};
use orderflow::config::Role::{Api, Projector, Relay};

const POINT: &str = "before-view-commit";

#[tokio::test]
async fn what_a_dead_projector_has_locked_is_let_go_of_by_the_next() {
    let mongod = Mongod::start().await;
    let mut app = TestApp::build().roles(&[Api, Relay]).mongodb(mongod.uri()).start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 100).await;
    for _ in 0..3 {
        ada.place(&[(&tea, 1)]).await;
    }
    dies(start(&app, &["projector"], Some(POINT)), POINT).await;
    let died = std::time::Instant::now();
    app.join(&[Projector]).await;
    assert_eq!(app.agree().await, 3);
    // No bound here but the patience of all tests, which is a third of a minute.
    println!("recovered after {:?}", died.elapsed());
    app.close().await;
}

#[tokio::test]
async fn what_a_living_process_has_locked_is_waited_for() {
    let mongod = Mongod::start().await;
    let app = TestApp::build().mongodb(mongod.uri()).start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 100).await;
    app.caught_up().await;
    // Somebody of ours who is slow, and holds all guards meanwhile.
    let mut options = ClientOptions::parse(mongod.uri()).await.expect("an address");
    options.app_name = Some("orderflow".into());
    let slow = Client::with_options(options).expect("a client");
    let mongo = slow.default_database().expect("a database");
    let mut session = slow.start_session().await.expect("a session");
    session.start_transaction().await.expect("begun");
    let guards = mongo.collection::<Document>("guards");
    let touch = doc! { "$inc": { "batches": 1_i64 } };
    guards.update_many(doc! {}, touch).session(&mut session).await.expect("locked");

    let aborted = async || {
        let status = mongo.run_command(doc! { "serverStatus": 1 }).await.expect("a status");
        status.get_document("transactions").and_then(|seen| seen.get_i64("totalAborted")).expect("a number")
    };
    let before = aborted().await;
    let order = ada.place(&[(&tea, 1)]).await;
    // More than it tries before it looks who is in the way, more than once.
    until("the projector to have lost its race often enough", || async {
        let lost = aborted().await - before;
        if lost > 40 { Ok(()) } else { Err(lost) }
    })
    .await;
    session.commit_transaction().await.expect("it was left alone");
    app.seen(&order.id, 1).await;
    app.agree().await;
    app.close().await;
}
