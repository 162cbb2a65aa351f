//! One trace from the request to the socket: what a client says of it in a header is in the log, on the broker, in the history,
//! and in what subscribers hear, whoever has relayed and projected it.

use crate::support::{Client, Ear, TestApp};
use lapin::types::AMQPValue;
use orderflow::config::Role::{Api, Projector, Relay};
use serde_json::{Value, json};

/// A trace of the client's, by its number.
fn parent(trace: u8) -> String {
    format!("00-{}-00f067aa0ba902b7-01", id(trace))
}

fn id(trace: u8) -> String {
    format!("4bf92f3577b34da6a3ce929d0e0e47{trace:02x}")
}

/// Sends a command as part of a trace; gives what it is about.
async fn traced(client: &Client, trace: u8, name: &str, input: Value) -> String {
    let kind = format!("{}{}Input", name[..1].to_uppercase(), &name[1..]);
    let query =
        format!("mutation($input: {kind}!) {{ {name}(input: $input) {{ receipt {{ aggregateId }} errors {{ code }} }} }}");
    let request = reqwest::Client::new().post(client.url("/graphql")).header("traceparent", parent(trace));
    let request = request.bearer_auth(client.token.as_deref().expect("a token"));
    let answer = request.json(&json!({ "query": query, "variables": { "input": input } })).send().await.expect("an answer");
    let answer: Value = answer.json().await.expect("JSON");
    assert_eq!(answer["data"][name]["errors"], json!([]), "{answer:#}");
    answer["data"][name]["receipt"]["aggregateId"].as_str().expect("an id").to_owned()
}

/// What another service hears of a trace: the types of its events.
async fn heard(ear: &Ear, trace: u8) -> Vec<String> {
    let mut kinds = Vec::new();
    while let Some(message) = ear.next().await {
        let event: Value = serde_json::from_slice(&message.data).expect("JSON");
        let headers = message.properties.headers().as_ref().expect("headers");
        let header = match headers.inner().get("traceparent") {
            Some(AMQPValue::LongString(text)) => text.to_string(),
            other => panic!("{other:?} is no trace: {event:#}"),
        };
        assert_eq!(event["traceparent"], header.as_str(), "message and event tell the same trace");
        if header == parent(trace) {
            kinds.push(event["type"].as_str().expect("a type").to_owned());
        }
    }
    kinds.sort();
    kinds
}

#[tokio::test]
async fn a_trace_runs_from_the_request_through_log_and_broker_to_the_history_and_the_socket() {
    let mut app = TestApp::build().roles(&[Api]).start().await;
    let ear = Ear::open(&app).await;
    let (ada_id, ada) = app.customer("Ada Byron").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let order = traced(&ada, 1, "placeOrder", json!({ "lines": [{ "productId": tea, "quantity": 2 }] })).await;
    let logged = format!("SELECT count(*) FROM event_log WHERE traceparent = '{}'", parent(1));
    assert_eq!(app.number(&logged).await, 2, "the order and what it took from the shelf");
    // Whoever publishes and projects it has not seen the request.
    app.join(&[Relay, Projector]).await;
    app.seen(&order, 1).await;
    assert_eq!(heard(&ear, 1).await, ["orderflow.order.placed.v1", "orderflow.stock.level_changed.v1"]);

    let follow = "subscription($id: ID!) { orderChanged(id: $id) { kind event { type pipeline { traceId } } } }";
    let mut socket = ada.socket().await;
    socket.subscribe("1", follow, json!({ "id": order })).await;
    assert_eq!(socket.change().await["kind"], "SNAPSHOT");
    traced(&ada, 2, "payOrder", json!({ "orderId": order, "reference": "PAY-1" })).await;
    traced(&ada, 3, "updateUserProfile", json!({ "userId": ada_id, "displayName": "Ada Lovelace" })).await;
    let mut told = vec![socket.change().await["event"].take(), socket.change().await["event"].take()];
    told.sort_by_key(|event| event["pipeline"]["traceId"].to_string());
    let step = |kind: &str, trace| json!({ "type": kind, "pipeline": { "traceId": id(trace) } });
    assert_eq!(told, [step("ORDER_PAID", 2), step("CUSTOMER_RENAMED", 3)]);

    let history = "query($id: ID!) { order(id: $id) { history { nodes { type pipeline { traceId } } } } }";
    let mut seen = ada.ask(history, json!({ "id": order })).await["order"]["history"]["nodes"].take();
    seen.as_array_mut().expect("events").sort_by_key(|event| event["pipeline"]["traceId"].to_string());
    assert_eq!(seen, json!([step("ORDER_PLACED", 1), step("ORDER_PAID", 2), step("CUSTOMER_RENAMED", 3)]));
    app.close().await;
}
