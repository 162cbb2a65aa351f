//! Sockets on which too much is said, and nothing is heard.

use super::{Wire, healthy};
use crate::support::{PATIENCE, TestApp};
use futures_util::future::join_all;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::time::timeout;

#[tokio::test]
async fn a_socket_that_never_reads_is_cut_off() {
    let app = TestApp::build().with("--write-timeout", "1s").start().await;
    let mut deaf = Wire::open(&app, 1, Some(4_096)).await;
    assert!(deaf.say(&json!({ "type": "connection_init" })).await);
    // Each is answered with as much.
    let ping = json!({ "type": "ping", "payload": { "padding": "x".repeat(100_000) } });
    let talking = async { while deaf.say(&ping).await {} };
    let (cut, ()) = tokio::join!(timeout(PATIENCE, talking), healthy(&app));
    cut.expect("the server waits for somebody who does not read");
    healthy(&app).await;
    app.close().await;
}

#[tokio::test]
async fn messages_are_read_only_so_fast_and_all_are_answered() {
    let app = TestApp::build().with("--request-rate", "5").with("--request-burst", "5").start().await;
    let mut eager = Wire::open(&app, 1, None).await;
    let began = Instant::now();
    assert!(eager.say(&json!({ "type": "connection_init" })).await);
    for n in 0..200 {
        assert!(eager.say(&json!({ "type": "ping", "payload": { "n": n } })).await);
    }
    healthy(&app).await;
    assert_eq!(eager.hear().await.expect("a message")["type"], "connection_ack");
    for n in 0..200 {
        assert_eq!(eager.hear().await.expect("a message"), json!({ "type": "pong", "payload": { "n": n } }));
    }
    // Ten messages for each request: of 201 fifty are read at once, and the others at fifty a second.
    assert!(began.elapsed() > Duration::from_millis(2_500), "{:?}", began.elapsed());
    app.close().await;
}

#[tokio::test]
async fn whoever_begins_again_and_again_is_turned_away_each_time() {
    let app = TestApp::start().await;
    let begin = || async {
        let mut wire = Wire::open(&app, 1, None).await;
        let init = json!({ "type": "connection_init" });
        let mut said = 0;
        while said < 1_000 && wire.say(&init).await {
            said += 1;
        }
        // The first is acknowledged and the second ends it; the close may be lost under what was still being said.
        let mut acks = 0;
        let code = loop {
            match wire.hear().await {
                Ok(message) => acks += i32::from(message["type"] == "connection_ack"),
                Err(code) => break code,
            }
        };
        assert!(acks <= 1 && matches!(code, Some(4429) | None), "{acks} acknowledged, closed with {code:?}");
    };
    for _ in 0..3 {
        let flood = join_all((0..50).map(|_| begin()));
        tokio::join!(timeout(PATIENCE, flood), healthy(&app)).0.expect("they are turned away");
    }
    healthy(&app).await;
    app.close().await;
}

#[tokio::test]
async fn sockets_on_which_nobody_signs_in_are_closed_and_nobody_else_notices() {
    let app = TestApp::start().await;
    let wires = join_all((0..300).map(|_| Wire::open(&app, 1, None))).await;
    let closing = join_all(wires.into_iter().map(|mut wire| async move { wire.hear().await.unwrap_err() }));
    let (codes, ()) = tokio::join!(timeout(PATIENCE, closing), healthy(&app));
    let codes = codes.expect("all are closed");
    assert!(codes.iter().all(|code| *code == Some(4408)), "{codes:?}");
    healthy(&app).await;
    app.close().await;
}
