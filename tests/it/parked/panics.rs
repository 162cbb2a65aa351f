//! A fold with a bug in it: it panics over one order, and takes neither the process nor anybody else's order down.

use super::*;
use orderflow::{
    app,
    clock::{Clock, Ids},
    query::projector::Fold,
};

const FRAGILE: Fold = Fold {
    version: Fold::CURRENT.version,
    finish: |order| assert!(order.paid == 0 || order.note.as_deref() != Some("fragile"), "a bug of this release"),
};

#[tokio::test]
async fn a_fold_that_panics_parks_its_own_order_and_the_projector_lives_on() {
    let mut app = TestApp::build().roles(&[Api, Relay]).start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10_000).await;
    let line = json!([{ "productId": tea, "quantity": 1 }]);
    let receipt = ada.accepted("placeOrder", json!({ "lines": line, "note": "fragile" })).await;
    let broken = Placed { id: receipt["aggregateId"].as_str().expect("an id").to_owned(), token: String::new() };
    let buggy = app::start_folding(&app.config, &[Projector], &Clock::system(), &Ids::system(), FRAGILE).await;
    let buggy = buggy.expect("it starts");
    app.seen(&broken.id, 1).await;
    paid_among_others(&app, &ada, &tea, &broken).await;
    let head = standing(&app, &stream(&broken), "UNWRITABLE", 1).await;
    assert!(head["detail"].as_str().is_some_and(|detail| detail.contains("panicked")), "{head:#}");
    assert_eq!(seen(&ada, &broken).await["projection"]["state"], "PARKED");
    // It hears what comes next, and ends in order when the mended release takes over.
    let fresh = ada.place(&[(&tea, 1)]).await;
    app.seen(&fresh.id, 1).await;
    buggy.shutdown.finish().await.expect("no task has died");
    app.join(&[Projector]).await;
    let mended = parked(&app, &["retry", "--cause", "UNWRITABLE"]).await;
    assert_eq!(mended.code, Some(0), "{}{}", mended.out, mended.err);
    assert_eq!(app.agree().await, 21);
    app.close().await;
}
