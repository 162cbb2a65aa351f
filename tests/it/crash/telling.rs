//! A death between telling people that something is missing in the change log, and the switch for which it is. They are told once
//! more than needed.

use super::{
    deaths, dies,
    rebuild::{begin, succeeds, taken_for_dead},
};
use crate::{
    rebuild::{Shop, generations},
    support::TestApp,
};
use orderflow::config::Role::{Api, Projector, Relay};
use serde_json::json;

deaths!(TELLING of a_teller_dies_at {
    told_of_what_is_missing_and_not_switched_the_old_one_is_live: "switch-told",
});

async fn a_teller_dies_at(point: &str) {
    let mut app = TestApp::start().await;
    let shop = Shop::open(&app).await;
    shop.trade(&app, 6).await;
    app.agree().await;
    // Nobody publishes: the new read model has from the log what the old one cannot tell.
    app.restart(&[Api]).await;
    let shop = shop.at(&app);
    let mut list = app.staff().socket().await;
    list.subscribe("1", "subscription { ordersChanged { kind } }", json!({})).await;
    app.listening(1..).await;
    shop.trade(&app, 3).await;

    dies(begin(&app, &[], Some(point)), point).await;
    assert_eq!(generations(&app).await, (1, None, Some(2)));
    taken_for_dead(&app).await;
    succeeds(&app, &[]).await;
    assert_eq!(generations(&app).await, (2, Some(1), None), "it was whole");
    app.join(&[Relay, Projector]).await;
    assert_eq!(app.agree_with_gaps().await, 9);
    shop.trade(&app, 3).await;
    assert_eq!(app.agree_with_gaps().await, 12);
    assert_eq!(list.change().await["kind"], "RESYNC", "nothing else came before");
    app.close().await;
}
