//! Sockets and streams of events: how many, and how long what is done on them may take.

use super::{Caller, Told, Wire, healthy, long_question};
use crate::support::{Client, Socket, TestApp, until};
use orderflow::value::Role;
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const FOLLOW: &str = "subscription { ordersChanged { kind } }";

#[tokio::test]
async fn a_client_may_have_so_many_sockets_and_comes_again_later() {
    let app = TestApp::build().with("--client-sockets", "3").start().await;
    let token = app.token("ada", Role::Staff);
    let mut open = Vec::new();
    for _ in 0..2 {
        open.push(Socket::open(app.addr(), Some(&token)).await);
    }
    // A stream of events is one of them.
    let ada = Caller::new(&app, 1, Some("ada"));
    let events = ada.follow(FOLLOW).await;
    assert_eq!(events.status(), StatusCode::OK);
    let told = Told::read(ada.follow(FOLLOW).await).await;
    told.assert_refused(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_SOCKETS");
    // 1013 is what clients of the protocol try again after a while.
    assert_eq!(Socket::begin(app.addr(), Some(&token)).await.closed().await, Some(1013));
    // Others have sockets of their own, from the same address too.
    let mut alan = Socket::open(app.addr(), Some(&app.token("alan", Role::Staff))).await;
    alan.subscribe("1", "{ __typename }", json!({})).await;
    assert_eq!(alan.next().await["__typename"], "Query");
    healthy(&app).await;
    drop((open.pop(), events));
    until("places", || async {
        let told = ada.follow(FOLLOW).await.status();
        if told == StatusCode::OK { Ok(()) } else { Err(told) }
    })
    .await;
    app.close().await;
}

#[tokio::test]
async fn until_they_sign_in_all_from_one_address_are_one_client() {
    let app = TestApp::build().with("--client-sockets", "3").start().await;
    let init = json!({ "type": "connection_init" });
    let mut nobody = Vec::new();
    for _ in 0..2 {
        nobody.push(signed_in(Wire::open(&app, 1, None).await, &init).await);
    }
    let silent = Wire::open(&app, 1, None).await;
    assert_eq!(Wire::open(&app, 1, None).await.hear().await.unwrap_err(), Some(1013));
    // Whoever says who they are makes room for the next.
    let authorization = format!("Bearer {}", app.token("ada", Role::Staff));
    let payload = json!({ "authorization": authorization });
    let _ada = signed_in(silent, &json!({ "type": "connection_init", "payload": payload })).await;
    nobody.push(signed_in(Wire::open(&app, 1, None).await, &init).await);
    assert_eq!(Wire::open(&app, 1, None).await.hear().await.unwrap_err(), Some(1013));
    // Another address is somebody else.
    nobody.push(signed_in(Wire::open(&app, 5, None).await, &init).await);
    healthy(&app).await;
    app.close().await;
}

async fn signed_in(mut wire: Wire, init: &Value) -> Wire {
    assert!(wire.say(init).await);
    assert_eq!(wire.hear().await.expect("a message")["type"], "connection_ack");
    wire
}

#[tokio::test]
async fn all_clients_together_may_have_so_many_sockets() {
    let app = TestApp::build().with("--sockets", "2").start().await;
    let _one = Socket::open(app.addr(), Some(&app.token("ada", Role::Staff))).await;
    let _two = Socket::open(app.addr(), Some(&app.token("alan", Role::Staff))).await;
    assert_eq!(Wire::open(&app, 5, None).await.hear().await.unwrap_err(), Some(1013));
    let told = Told::read(Caller::new(&app, 5, Some("grace")).follow(FOLLOW).await).await;
    told.assert_refused(StatusCode::SERVICE_UNAVAILABLE, "OVERLOADED");
    healthy(&app).await;
    app.close().await;
}

#[tokio::test]
async fn a_socket_may_have_so_many_operations() {
    let app = TestApp::build().with("--socket-operations", "2").start().await;
    let mut socket = Socket::open(app.addr(), Some(&app.token("ada", Role::Staff))).await;
    let long = long_question();
    for id in ["1", "2", "3"] {
        socket.subscribe(id, &long, json!({})).await;
    }
    let message = socket.message().await;
    assert_eq!((&message["id"], &message["type"]), (&json!("3"), &json!("error")), "{message:#}");
    assert_eq!(message["payload"][0]["extensions"]["code"], "TOO_MANY_OPERATIONS");
    app.close().await;
}

#[tokio::test]
async fn a_question_takes_no_longer_on_a_socket_or_a_stream_than_elsewhere() {
    let app = TestApp::build().with("--operation-timeout", "2s").start().await;
    let (_, customer) = app.customer("Ada").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let mut socket = Client::new(app.addr(), Some(app.token("ada", Role::Staff))).socket().await;
    socket.subscribe("follow", FOLLOW, json!({})).await;
    let began = Instant::now();
    socket.subscribe("slow", &long_question(), json!({})).await;
    let message = socket.message().await;
    assert_eq!((&message["id"], &message["type"]), (&json!("slow"), &json!("error")), "{message:#}");
    assert_eq!(message["payload"][0]["extensions"]["code"], "TIMEOUT");
    assert!(began.elapsed() > Duration::from_millis(1_900) && began.elapsed() < Duration::from_secs(8));

    let began = Instant::now();
    let events = Caller::new(&app, 1, Some("ada")).follow(&long_question()).await;
    assert_eq!(events.status(), StatusCode::OK);
    let told = events.text().await.expect("a text");
    assert!(told.contains("TIMEOUT") && told.contains("event: complete"), "{told}");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());

    // What is followed is followed on, however long.
    customer.place(&[(&tea, 1)]).await;
    let message = socket.message().await;
    assert_eq!((&message["id"], &message["type"]), (&json!("follow"), &json!("next")), "{message:#}");
    healthy(&app).await;
    app.close().await;
}
