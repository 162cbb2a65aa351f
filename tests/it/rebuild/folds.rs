//! A changed fold: the next version of the server beside the present one, each with a read model of its own.

use super::*;
use orderflow::{
    app::{self, App},
    config::Role::{Api, Projector},
};

/// As a next version may have it: every order is found by one more word.
pub const NEXT: Fold = Fold { version: 2, finish: |order| order.search.push("verdigris".to_owned()) };

async fn found(client: &Client) -> i64 {
    let query = "{ orders(first: 0, filter: { search: \"verdigris\" }) { totalCount } }";
    client.ask(query, json!({})).await["orders"]["totalCount"].as_i64().expect("a count")
}

pub async fn green(app: &TestApp) -> App {
    let started = app::start_folding(&app.config, &[Api, Projector], &Clock::system(), &Ids::system(), NEXT).await;
    started.expect("the next version starts")
}

#[tokio::test]
async fn a_changed_fold_is_deployed_beside_the_present_one_and_can_be_taken_back() {
    let app = TestApp::start().await;
    let shop = Shop::open(&app).await;
    shop.trade(&app, 6).await;
    app.agree().await;
    let green = green(&app).await;
    let nodes = [app.staff(), app.staff().at(green.addr.expect("an API"))];
    let all = async || [found(&nodes[0]).await, found(&nodes[1]).await];
    // The next version answers from what the present one writes, and does not touch it.
    shop.trade(&app, 3).await;
    assert_eq!(app.agree().await, 9);
    assert_eq!(all().await, [0, 0]);

    let comparison = rebuilder(&app, NEXT).run(REBUILD, &|_| {}).await.expect("rebuilt").comparison.expect("a comparison");
    assert_eq!(comparison.differing, 9, "every order differs, and nothing else: {comparison:?}");
    assert!(comparison.examples.iter().all(|one| one.fields == ["search"]), "{comparison:?}");
    let now = registry(&app).await;
    assert_eq!((now.live.id, now.live.fold), (2, 2));
    assert_eq!(now.previous.map(|previous| (previous.id, previous.fold)), Some((1, 1)));
    assert_eq!(all().await, [9, 9]);
    // New orders are folded by both, each into its own.
    shop.trade(&app, 3).await;
    assert_eq!(app.agree().await, 12);
    assert_eq!(all().await, [12, 12]);

    rebuilder(&app, NEXT).run(UNDO, &|_| {}).await.expect("undone");
    assert_eq!(all().await, [0, 0]);
    shop.trade(&app, 3).await;
    assert_eq!(app.agree().await, 15);
    rebuilder(&app, Fold::CURRENT).run(UNDO, &|_| {}).await.expect("and once more");
    assert_eq!(all().await, [15, 15]);
    green.shutdown.finish().await.expect("no task has died");
    app.close().await;
}
