//! A read model that nobody projects: its queues must not fill for ever.

use super::{
    folds::{NEXT, green},
    *,
};
use orderflow::{
    bus::Queues,
    config::Role::{Api, Projector, Relay},
};

/// What waits for a generation; nothing when it has no queues.
pub async fn waits(app: &TestApp, generation: i32) -> Option<u64> {
    let queues = Queues::connect(&app.bus()).await.expect("connected");
    let backlog = queues.backlog(generation).await.expect("a look");
    queues.close().await;
    backlog.map(|backlog| backlog.messages)
}

#[tokio::test]
async fn a_previous_read_model_that_has_fallen_too_far_behind_is_given_up() {
    const MOST: u64 = 20;
    let mut app = TestApp::build().with("--max-behind", &MOST.to_string()).start().await;
    let shop = Shop::open(&app).await;
    shop.trade(&app, 3).await;
    app.agree().await;
    let next = green(&app).await;
    rebuilder(&app, NEXT).run(REBUILD, &|_| {}).await.expect("rebuilt");
    // All who project end, and nobody looks after the read model of the version before any more.
    next.shutdown.finish().await.expect("no task has died");
    app.restart(&[Api, Relay]).await;
    let shop = shop.at(&app);
    shop.trade(&app, 12).await;
    until("the queues to fill", || async {
        match waits(&app, 1).await {
            Some(messages) if messages > MOST => Ok(()),
            others => Err(others),
        }
    })
    .await;
    assert_eq!(generations(&app).await, (2, Some(1), None));

    // Whoever comes next gives it up at once.
    let next = green(&app).await;
    until("the end of its queues", || async {
        match (generations(&app).await, waits(&app, 1).await) {
            ((2, None, None), None) => Ok(()),
            others => Err(others),
        }
    })
    .await;
    assert_eq!(app.agree().await, 15);
    shop.trade(&app, 3).await;
    assert_eq!((app.agree().await, waits(&app, 1).await), (18, None));
    let undone = rebuilder(&app, NEXT).run(UNDO, &|_| {}).await;
    assert!(matches!(undone, Err(RebuildError::GivenUp(1))), "{undone:?}");
    // Its collections are removed by hand, or by the next rebuild.
    rebuilder(&app, NEXT).run(DROP, &|_| {}).await.expect("dropped");
    let names = app.mongo().await.list_collection_names().await.expect("names");
    assert!(!names.iter().any(|name| name == "orders") && names.iter().any(|name| name == "orders.generation.2"), "{names:?}");
    rebuilder(&app, NEXT).run(REBUILD, &|_| {}).await.expect("rebuilt");
    assert_eq!(generations(&app).await, (3, Some(2), None));
    assert_eq!(app.agree().await, 18);
    next.shutdown.finish().await.expect("no task has died");
    app.close().await;
}

/// Chaos, seeds 512 and 513: it was said to be different from the log.
#[tokio::test]
async fn a_live_read_model_that_has_not_been_sent_everything_is_not_called_wrong() {
    let mut app = TestApp::start().await;
    let shop = Shop::open(&app).await;
    shop.trade(&app, 3).await;
    app.agree().await;
    app.restart(&[Api, Projector]).await;
    let shop = shop.at(&app);
    shop.trade(&app, 3).await;

    let refused = run(&app, STRICTLY).await;
    assert!(matches!(refused, Err(RebuildError::Unpublished)), "{refused:?}");
    app.restart(&[Api, Projector, Relay]).await;
    assert_eq!(app.agree().await, 6);
    let done = run(&app, STRICTLY).await.expect("rebuilt");
    assert_eq!((done.comparison.map(|comparison| comparison.differing), generations(&app).await.0), (Some(0), 2));
    app.close().await;
}

#[tokio::test]
async fn a_live_read_model_that_nobody_projects_is_not_called_wrong() {
    let mut app = TestApp::start().await;
    let shop = Shop::open(&app).await;
    shop.trade(&app, 3).await;
    app.agree().await;
    app.restart(&[Api, Relay]).await;
    let shop = shop.at(&app);
    shop.trade(&app, 3).await;

    let refused = rebuilder(&app, NEXT).run(STRICTLY, &|_| {}).await;
    assert!(matches!(refused, Err(RebuildError::Behind(1))), "{refused:?}");
    assert_eq!(generations(&app).await.0, 1);
    app.close().await;
}
