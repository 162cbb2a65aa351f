//! What one client may take: requests, and operations at the same time.

use super::{Caller, GRAPHQL, JSON, Told, healthy, long_question};
use crate::support::{Build, Client, Socket, TestApp, until};
use futures_util::future::join_all;
use orderflow::value::Role;
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::time::timeout;

const QUESTION: &str = "{ __typename }";

#[tokio::test]
async fn whoever_sends_too_many_requests_is_told_when_to_come_again() {
    let app = TestApp::build().with("--request-rate", "1").with("--request-burst", "5").start().await;
    let ada = Caller::new(&app, 1, Some("ada"));
    let told = join_all((0..12).map(|_| ada.ask(QUESTION))).await;
    let answered = told.iter().filter(|told| told.status == StatusCode::OK).count();
    // One more for each second that this may take.
    assert!((5..=10).contains(&answered), "{told:?}");
    let refused = told.iter().find(|told| told.status != StatusCode::OK).expect("a refusal");
    refused.assert_refused(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_REQUESTS");
    // In every form, by GET too, and whatever is wrong besides.
    for accept in [JSON, GRAPHQL] {
        let told = told_when_empty(&ada, || ada.post(accept, QUESTION)).await;
        assert!(told.kind.starts_with(accept), "{told:?}");
    }
    let get = format!("{}/graphql?query=%7B__typename%7D", ada.url);
    let token = ada.token.as_deref().expect("a token");
    told_when_empty(&ada, || ada.http.get(&get).bearer_auth(token)).await;
    told_when_empty(&ada, || ada.post(JSON, QUESTION).header("content-type", "text/plain")).await;
    // It is the subject that counts, wherever it comes from, and nobody else.
    told_when_empty(&ada, || Caller::new(&app, 5, Some("ada")).post(JSON, QUESTION)).await;
    assert_eq!(Caller::new(&app, 1, Some("alan")).ask(QUESTION).await.status, StatusCode::OK);
    assert_eq!(Caller::new(&app, 1, None).ask(QUESTION).await.status, StatusCode::OK);
    healthy(&app).await;
    app.close().await;
}

/// Asks until the bucket is empty, and gives what is told then.
async fn told_when_empty(caller: &Caller, request: impl Fn() -> reqwest::RequestBuilder) -> Told {
    loop {
        join_all((0..3).map(|_| caller.ask(QUESTION))).await;
        let told = Told::read(request().send().await.expect("the server answers")).await;
        if told.status == StatusCode::TOO_MANY_REQUESTS {
            told.assert_refused(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_REQUESTS");
            return told;
        }
    }
}

#[tokio::test]
async fn operations_on_a_socket_count_too_and_the_socket_stays() {
    let app = TestApp::build().with("--request-rate", "1").with("--request-burst", "3").start().await;
    let mut socket = Client::new(app.addr(), Some(app.token("ada", Role::Staff))).socket().await;
    let mut refused = 0;
    for id in 0..8 {
        socket.subscribe(&id.to_string(), QUESTION, json!({})).await;
        let message = socket.message().await;
        if message["type"] == "error" {
            let extensions = &message["payload"][0]["extensions"];
            assert_eq!((&message["id"], &extensions["code"]), (&json!(id.to_string()), &json!("TOO_MANY_REQUESTS")));
            assert!(extensions["retryAfter"].as_u64() >= Some(1), "{message:#}");
            refused += 1;
        } else {
            assert_eq!((&message["type"], &socket.message().await["type"]), (&json!("next"), &json!("complete")));
        }
    }
    assert!(refused > 0, "eight operations at once, of three that may be");
    let socket = tokio::sync::Mutex::new(socket);
    until("an operation that is let in", || async {
        let mut socket = socket.lock().await;
        socket.subscribe("again", QUESTION, json!({})).await;
        let message = socket.message().await;
        if message["type"] == "next" { Ok(socket.message().await) } else { Err(message) }
    })
    .await;
    healthy(&app).await;
    app.close().await;
}

#[tokio::test]
async fn behind_a_proxy_that_is_trusted_clients_are_told_apart_by_what_it_says() {
    let limits = |build: Build| build.with("--request-rate", "1").with("--request-burst", "3");
    let app = limits(TestApp::build()).with("--trusted-proxies", "127.0.0.1, 10.0.0.0/8").start().await;
    let ask = |from: u8, forwarded: String| {
        let caller = Caller::new(&app, from, None);
        async move {
            let request = caller.post(JSON, QUESTION).header("x-forwarded-for", forwarded);
            Told::read(request.send().await.expect("the server answers")).await.status
        }
    };
    let all =
        |from: u8, forwarded: fn(usize) -> String| join_all((0..8).map(move |n| (from, forwarded(n))).map(|(f, h)| ask(f, h)));
    let refused = |told: &[StatusCode]| told.iter().filter(|status| **status == StatusCode::TOO_MANY_REQUESTS).count();
    // Eight clients of the proxy, each by itself.
    assert_eq!(refused(&all(1, |n| format!("203.0.113.{n}")).await), 0);
    // One client of the proxy, which invents another address each time, and another proxy in between.
    assert!(refused(&all(1, |n| format!("198.51.100.{n}, 192.0.2.1, 10.1.1.1")).await) > 0);
    // The same without a proxy.
    assert!(refused(&all(7, |n| format!("198.51.100.{n}")).await) > 0);
    app.close().await;
}

/// A socket on which two long questions are asked, and what is told to a third one.
async fn busy(app: &TestApp, token: Option<String>) -> (Socket, Value) {
    let mut socket = Client::new(app.addr(), token).socket().await;
    let long = long_question();
    for (id, query) in [("1", long.as_str()), ("2", &long), ("3", QUESTION)] {
        socket.subscribe(id, query, json!({})).await;
    }
    let message = socket.message().await;
    assert_eq!((&message["id"], &message["type"]), (&json!("3"), &json!("error")), "{message:#}");
    (socket, message["payload"][0]["extensions"].clone())
}

/// Waits until a question is answered.
async fn let_in(caller: &Caller) {
    until("a place", || async {
        let told = caller.ask(QUESTION).await;
        if told.status == StatusCode::OK { Ok(()) } else { Err(told.status) }
    })
    .await;
}

#[tokio::test]
async fn a_client_may_have_so_many_operations_at_the_same_time() {
    let app = TestApp::build().with("--client-operations", "2").start().await;
    let ada = Caller::new(&app, 1, Some("ada"));
    let (socket, told) = busy(&app, ada.token.clone()).await;
    assert_eq!(told, json!({ "code": "TOO_MANY_OPERATIONS", "retryAfter": 1 }));
    // By whatever way it comes, it is the same client.
    ada.ask(QUESTION).await.assert_refused(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_OPERATIONS");
    healthy(&app).await;
    // Whoever goes away takes their questions with them.
    let began = Instant::now();
    drop(socket);
    let_in(&ada).await;
    let long = long_question();
    let asking = join_all((0..2).map(|_| ada.ask(&long)));
    timeout(Duration::from_secs(1), asking).await.expect_err("they were to take ten seconds");
    let_in(&ada).await;
    assert!(began.elapsed() < Duration::from_secs(9), "the questions went on without anybody who had asked them");
    app.close().await;
}

#[tokio::test]
async fn all_clients_together_may_have_so_many_operations_and_probes_are_none() {
    let app = TestApp::build().with("--operations", "2").start().await;
    let (socket, told) = busy(&app, Some(app.token("ada", Role::Staff))).await;
    assert_eq!(told, json!({ "code": "OVERLOADED", "retryAfter": 1 }));
    let grace = Caller::new(&app, 3, Some("grace"));
    grace.ask(QUESTION).await.assert_refused(StatusCode::SERVICE_UNAVAILABLE, "OVERLOADED");
    Told::read(grace.follow(QUESTION).await).await.assert_refused(StatusCode::SERVICE_UNAVAILABLE, "OVERLOADED");
    for path in ["/livez", "/metrics"] {
        assert_eq!(grace.status_of(path).await, StatusCode::OK, "{path}");
    }
    drop(socket);
    let_in(&grace).await;
    healthy(&app).await;
    app.close().await;
}

#[tokio::test]
async fn in_development_nobody_is_counted_and_elsewhere_the_bounds_are_generous() {
    let app = TestApp::start().await;
    let clients = &app.config.http.clients;
    assert!(clients.rate.is_none() && clients.client_operations.is_none() && clients.client_sockets.is_none());
    let ada = Caller::new(&app, 1, Some("ada"));
    assert_answered(&ada, 600).await;
    app.close().await;

    let app = TestApp::build().production().start().await;
    let clients = &app.config.http.clients;
    let rate = clients.rate.expect("a rate");
    assert_eq!((rate.per_second.get(), rate.burst.get()), (100, 500));
    assert_eq!((clients.client_operations, clients.client_sockets), (Some(200), Some(100)));
    let ada = Caller::new(&app, 1, Some("ada"));
    assert_answered(&ada, 400).await;
    app.close().await;
}

async fn assert_answered(caller: &Caller, requests: usize) {
    for _ in 0..requests / 50 {
        let told = join_all((0..50).map(|_| caller.ask(QUESTION))).await;
        assert!(told.iter().all(|told| told.status == StatusCode::OK), "{told:?}");
    }
}
