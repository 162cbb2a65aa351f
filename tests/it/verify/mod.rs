//! `orderflow verify`: whatever the shop has been through, both sides are the fold of the log; and where somebody's hand has
//! been, it says where.

mod damage;
mod shop;
mod while_working;

use crate::support::TestApp;
use indicatif::ProgressBar;
use orderflow::{
    clock::Clock,
    difference::Difference,
    verify::{Findings, Options, Report, Verifier},
};
use shop::Shop;
use std::{collections::BTreeSet, time::Duration};

impl TestApp {
    /// Compares, patiently.
    async fn verify(&self) -> Report {
        self.verify_with(None, Duration::from_secs(12)).await
    }

    async fn verify_with(&self, sample: Option<(u32, u64)>, wait: Duration) -> Report {
        let app = self.app();
        let mut verifier = Verifier::new(&app.database, &app.store, &self.bus(), &Clock::system());
        verifier.run(&Options { sample, wait }, &ProgressBar::hidden()).await.expect("a report")
    }

    /// Compares, and asserts that nothing differs and nothing is left open.
    pub async fn verified(&self) -> Report {
        let report = self.verify().await;
        expect_nothing(&report);
        report
    }
}

fn expect_nothing(report: &Report) {
    assert_eq!((report.differences.total, report.unsettled.total), (0, 0), "{report}");
}

/// Where the findings lie: place, id and path.
fn places(findings: &Findings) -> BTreeSet<(String, String, String)> {
    assert_eq!(findings.total, findings.first.len() as u64, "few enough to be told");
    findings.first.iter().map(|Difference { place, id, path, .. }| ((*place).to_owned(), id.clone(), path.clone())).collect()
}

fn place(place: &str, id: &str, path: &str) -> (String, String, String) {
    (place.to_owned(), id.to_owned(), path.to_owned())
}

#[tokio::test]
async fn a_shop_with_every_kind_of_order_is_the_fold_of_its_log() {
    let app = TestApp::start().await;
    let shop = Shop::open(&app).await;
    let report = app.verified().await;
    let compared = |place: &str| report.compared.get(place).copied().unwrap_or(0);
    let orders = shop.orders.len() as u64;
    assert!(orders >= 10);
    for (place, many) in [
        ("mongodb.orders", orders),
        ("mongodb.users", 2),
        ("mongodb.products", 3),
        ("postgresql.orders", orders),
        ("postgresql.users", 2),
        ("postgresql.products", 3),
        ("postgresql.stock", 3),
        ("postgresql.stock (balance)", 3),
    ] {
        assert_eq!(compared(place), many, "{place}\n{report}");
    }
    assert!(compared("mongodb.sales") >= 2, "an hour of today and one of long ago\n{report}");
    assert!(report.events >= app.number("SELECT count(*) FROM event_log WHERE stream_kind <> 'stock'").await as u64);
    assert_eq!((report.parked.len(), report.outbox_waiting, report.seed), (0, 0, None));
    app.close().await;
}

#[tokio::test]
async fn an_empty_shop_has_nothing_wrong() {
    let app = TestApp::start().await;
    let report = app.verified().await;
    assert_eq!(report.events, 0);
    let sample = app.verify_with(Some((5, 1)), Duration::ZERO).await;
    expect_nothing(&sample);
    app.close().await;
}

#[tokio::test]
async fn a_sample_looks_at_some_and_can_be_chosen_again() {
    let app = TestApp::start().await;
    Shop::open(&app).await;
    app.verified().await;
    let damaged = mongodb::bson::doc! { "$inc": { "total": 1 } };
    let orders = app.mongo().await.collection::<mongodb::bson::Document>("orders");
    orders.update_many(mongodb::bson::doc! {}, damaged).await.expect("damage");
    let look = |seed| app.verify_with(Some((1, seed)), Duration::from_secs(5));
    let (one, again) = (look(7).await, look(7).await);
    for report in [&one, &again] {
        assert_eq!(report.seed, Some(7));
        assert_eq!((report.compared["mongodb.users"], report.compared["mongodb.products"]), (1, 1), "{report}");
        assert!(!report.compared.contains_key("mongodb.sales"), "the counters of the whole shop are left out");
        assert!(report.to_string().contains("--seed 7"));
    }
    assert_eq!(one.compared, again.compared);
    assert_eq!(places(&one.differences), places(&again.differences), "the same is chosen");
    // Ada has most orders, Alan has one: whoever is chosen, all of theirs are wrong.
    assert_eq!(one.differences.total, one.compared["mongodb.orders"]);
    app.close().await;
}
