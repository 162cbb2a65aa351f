//! An administrator asks for it, and follows it.

use super::*;

const ASK: &str = "mutation($input: RebuildReadModelInput!) { rebuildReadModel(input: $input) {
    receipt { commandId replayed } errors { code } } }";

const FOLLOW: &str = "subscription { rebuildProgress {
    kind generation step done total estimatedSecondsLeft finished alive failure compared differing } }";

#[tokio::test]
async fn an_administrator_asks_for_a_rebuild_and_follows_it_to_its_end() {
    let app = TestApp::start().await;
    let shop = Shop::open(&app).await;
    shop.trade(&app, 6).await;
    let admin = app.admin();
    let mut socket = admin.socket().await;
    socket.subscribe("1", FOLLOW, json!({})).await;
    app.listening(1..).await;
    let ask = async |input: serde_json::Value| admin.ask(ASK, json!({ "input": input })).await["rebuildReadModel"].take();
    let kept = |replayed| json!({ "receipt": { "commandId": "by-hand-1", "replayed": replayed }, "errors": [] });
    assert_eq!(ask(json!({ "commandId": "by-hand-1" })).await, kept(false));
    assert_eq!(ask(json!({ "commandId": "by-hand-1" })).await, kept(true));
    let reused = ask(json!({ "commandId": "by-hand-1", "undo": true })).await;
    assert_eq!(reused, json!({ "receipt": null, "errors": [{ "code": "COMMAND_ID_REUSED" }] }));
    let busy = ask(json!({ "commandId": "by-hand-2" })).await;
    assert_eq!(busy, json!({ "receipt": null, "errors": [{ "code": "CONFLICT" }] }));

    let last = loop {
        let progress = socket.change().await;
        assert_eq!((&progress["kind"], &progress["alive"]), (&json!("REBUILD"), &json!(true)));
        if progress["finished"] == true {
            break progress;
        }
    };
    assert_eq!((&last["step"], &last["generation"], &last["differing"]), (&json!("DONE"), &json!(2), &json!(0)), "{last:#}");
    assert_eq!(socket.message().await["type"], "complete");
    assert_eq!(generations(&app).await, (2, Some(1), None));
    // The same wish is not fulfilled twice, and another one can be asked for now.
    assert_eq!(ask(json!({ "commandId": "by-hand-1" })).await, kept(true));
    let asked = until("the first wish to be closed", || async {
        let asked = ask(json!({ "commandId": "by-hand-3", "undo": true })).await;
        if asked["receipt"].is_object() { Ok(asked) } else { Err(asked) }
    });
    assert_eq!(asked.await["receipt"]["replayed"], false);
    until("the undoing", || async {
        let now = generations(&app).await;
        if now == (1, Some(2), None) { Ok(()) } else { Err(now) }
    })
    .await;
    assert_eq!(app.agree().await, 6);
    app.close().await;
}

#[tokio::test]
async fn a_wish_that_cannot_be_fulfilled_is_closed_with_the_reason() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let answer = admin.ask(ASK, json!({ "input": { "undo": true } })).await;
    assert!(answer["rebuildReadModel"]["receipt"].is_object(), "{answer:#}");
    let closed = "SELECT count(*) FROM rebuild_requests WHERE finished_at IS NOT NULL AND failure LIKE 'there is no previous%'";
    until("the end of it", || async {
        match app.number(closed).await {
            1 => Ok(()),
            others => Err(others),
        }
    })
    .await;
    let mut socket = admin.socket().await;
    socket.subscribe("1", FOLLOW, json!({})).await;
    let told = socket.change().await;
    assert_eq!((&told["kind"], &told["finished"]), (&json!("UNDO"), &json!(true)));
    assert!(told["failure"].as_str().expect("a failure").starts_with("there is no previous"), "{told:#}");
    app.close().await;
}
