//! Connections: slow ones, many of them, and those that take nothing of what they asked for.

use super::{Caller, GRAPHQL, JSON, Raw, connect, healthy};
use crate::support::{PATIENCE, TestApp, until};
use futures_util::future::{join_all, select_all};
use orderflow::value::Role;
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

/// The head of a POST but for its end.
fn head(accept: &str) -> String {
    format!("POST /graphql HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nAccept: {accept}\r\n")
}

fn whole(query: &str, more: &str) -> String {
    let body = json!({ "query": query }).to_string();
    format!("{}{more}Content-Length: {}\r\n\r\n{body}", head(JSON), body.len())
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_keep_its_connection() {
    let app =
        TestApp::build().with("--head-timeout", "1s").with("--body-timeout", "1s").with("--idle-timeout", "2s").start().await;
    let (head, question) = (head(JSON), whole("{ __typename }", ""));
    let cases = [
        ("nothing at all", String::new(), "", "", 1),
        ("half a head", head.clone(), "", "", 1),
        ("a head that grows by a byte at a time", format!("{head}X-More: "), "x", "", 1),
        ("half of the beginning of HTTP/2", "PRI * HTTP".to_owned(), "", "", 1),
        ("HTTP/2, and nothing after the beginning", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), "", "", 1),
        ("half a body", format!("{head}Content-Length: 1000\r\n\r\n{{"), "", "HTTP/1.1 408 ", 1),
        ("a body that grows by a byte at a time", format!("{head}Content-Length: 100000\r\n\r\n{{"), " ", "HTTP/1.1 408 ", 1),
        (
            "a body in chunks that never end",
            format!("{head}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n"),
            "1\r\n \r\n",
            "HTTP/1.1 408 ",
            1,
        ),
        ("a question, and nothing after it", question.clone(), "", "HTTP/1.1 200 ", 2),
        ("a question, and half a head after it", format!("{question}{head}"), "", "HTTP/1.1 200 ", 1),
    ];
    let trying = cases.map(|(what, first, more, answer, seconds)| {
        let app = &app;
        async move {
            let (said, took) = Raw::open(app, 1).await.say(&first).await.ended(more).await;
            assert!(said.starts_with(answer), "{what}: {said}");
            assert_eq!(said.contains("REQUEST_TIMEOUT"), answer.contains("408"), "{what}: {said}");
            let (least, most) = (Duration::from_millis(seconds * 1_000 - 200), Duration::from_secs(seconds + 6));
            assert!(took > least && took < most, "{what}: {took:?}");
        }
    });
    tokio::join!(join_all(trying), healthy(&app));
    healthy(&app).await;
    app.close().await;
}

#[tokio::test]
async fn a_body_that_comes_too_late_is_answered_in_the_form_that_was_asked_for() {
    let app = TestApp::build().with("--body-timeout", "1s").start().await;
    for (accept, kind) in
        [(JSON, "application/json"), (GRAPHQL, "application/graphql-response+json"), ("text/event-stream", JSON)]
    {
        let half = format!("{}Content-Length: 1000\r\n\r\n{{", head(accept));
        let (said, _) = Raw::open(&app, 1).await.say(&half).await.ended("").await;
        let (told, body) = said.split_once("\r\n\r\n").expect("an answer");
        let body = &body[body.find('{').expect("JSON")..=body.rfind('}').expect("JSON")];
        assert!(told.starts_with("HTTP/1.1 408 ") && told.to_lowercase().contains(&format!("content-type: {kind}")), "{said}");
        let answer: Value = serde_json::from_str(body).expect("JSON");
        assert_eq!((&answer["errors"][0]["extensions"]["code"], answer.get("data")), (&json!("REQUEST_TIMEOUT"), None));
    }
    app.close().await;
}

#[tokio::test]
async fn a_connection_may_rest_longer_than_a_head_may_take() {
    let app = TestApp::build().with("--head-timeout", "1s").with("--idle-timeout", "60s").start().await;
    let mut connection = Raw::open(&app, 1).await;
    for _ in 0..2 {
        connection = connection.say(&whole("{ __typename }", "")).await;
        let mut said = String::new();
        while !said.contains("\"Query\"") {
            let byte = timeout(PATIENCE, connection.0.read_u8()).await.expect("an answer").expect("an open connection");
            said.push(char::from(byte));
        }
        assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
        // What is left of the answer is read until nothing more comes for twice as long as a head may take.
        while let Ok(more) = timeout(Duration::from_secs(2), connection.0.read_u8()).await {
            more.expect("the connection is kept");
        }
    }
    app.close().await;
}

#[tokio::test]
async fn one_address_does_not_take_the_connections_of_all() {
    let app = TestApp::build().with("--client-connections", "20").start().await;
    let mut idle = join_all((0..20).map(|_| Raw::open(&app, 1))).await;
    let ada = || Caller::new(&app, 1, Some("ada"));
    ada().ask("{ __typename }").await.assert_refused(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_REQUESTS");
    assert_eq!(ada().status_of("/livez").await, StatusCode::OK, "whoever asks whether it lives is told");
    idle.extend(join_all((0..300).map(|_| Raw::open(&app, 1))).await);
    healthy(&app).await;
    drop(idle);
    until("a place", || async {
        let answer = ada().post(JSON, "{ __typename }").send().await.map(|response| response.status());
        if matches!(answer, Ok(StatusCode::OK)) { Ok(()) } else { Err(answer) }
    })
    .await;
    app.close().await;
}

#[tokio::test]
async fn when_all_connections_are_taken_probes_come_through_and_others_are_told() {
    let app = TestApp::build().with("--connections", "30").start().await;
    let idle = join_all((0..30).map(|_| Raw::open(&app, 1))).await;
    let ada = || Caller::new(&app, 9, Some("ada"));
    ada().ask("{ __typename }").await.assert_refused(StatusCode::SERVICE_UNAVAILABLE, "OVERLOADED");
    for path in ["/livez", "/metrics"] {
        assert_eq!(ada().status_of(path).await, StatusCode::OK, "{path}");
    }
    assert_eq!(ada().status_of("/graphiql").await, StatusCode::SERVICE_UNAVAILABLE);
    drop(idle);
    until("a place", || async {
        let status = ada().ask("{ __typename }").await.status;
        if status == StatusCode::OK { Ok(()) } else { Err(status) }
    })
    .await;
    healthy(&app).await;
    app.close().await;
}

#[tokio::test]
async fn bodies_on_their_way_in_have_room_together_and_no_more() {
    let app = TestApp::build().with("--body-limit", "2048").with("--bodies", "4096").with("--body-timeout", "60s").start().await;
    let half = format!("{}Content-Length: 2000\r\n\r\n{}", head(JSON), " ".repeat(1_500));
    let waiting = (0..4).map(|_| Box::pin(async { Raw::open(&app, 1).await.say(&half).await.ended("").await.0 }));
    // Two have room and wait for the rest; which two, is chance.
    let (told, _, waiting) = select_all(waiting).await;
    assert!(told.starts_with("HTTP/1.1 503 ") && told.contains("OVERLOADED"), "{told}");
    assert!(told.to_lowercase().contains("retry-after: 1"), "{told}");
    healthy(&app).await;
    drop(waiting);
    app.close().await;
}

#[tokio::test]
async fn whoever_takes_nothing_of_what_was_asked_for_is_cut_off() {
    let app = TestApp::build().with("--write-timeout", "1s").start().await;
    let mut greedy = connect(&app, 1, Some(4_096)).await;
    let query = "{ __schema { types { name description fields { name description args { name description } } } } }";
    let question = whole(query, &format!("Authorization: Bearer {}\r\n", app.token("ada", Role::Staff)));
    // One question after the other and no look at the answers, until the connection is gone.
    let asking = async { while greedy.write_all(question.as_bytes()).await.is_ok() {} };
    let (asked, ()) = tokio::join!(timeout(PATIENCE, asking), healthy(&app));
    asked.expect("the server waits for somebody who does not read");
    healthy(&app).await;
    app.close().await;
}
