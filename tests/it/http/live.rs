//! What stays open: server-sent events, and the socket.

use super::{EVENTS, JSON, header, post, send, to};
use crate::support::{Client, PATIENCE, Socket, TestApp, until};
use orderflow::{
    config::Role as Part,
    value::{Role, Time, Viewer},
};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

/// A stream of events as a browser reads it.
pub(super) struct Events {
    response: Response,
    read: String,
    /// The last id, which a browser would send back. An id counts also without an event.
    pub(super) last_id: String,
    /// Comments that have come: signs of life.
    pub(super) comments: usize,
}

impl Events {
    pub(super) async fn open(client: &Client, query: &str, variables: Value) -> Self {
        Self::open_after("", client, query, variables).await
    }

    /// As a browser comes back: the same request, and the last id in a header of its own.
    pub(super) async fn open_after(last_id: &str, client: &Client, query: &str, variables: Value) -> Self {
        let response = Self::ask(last_id, client, query, variables).await;
        assert_eq!((response.status(), header(&response, "content-type")), (StatusCode::OK, EVENTS));
        Self { response, read: String::new(), last_id: last_id.to_owned(), comments: 0 }
    }

    pub(super) async fn ask(last_id: &str, client: &Client, query: &str, variables: Value) -> Response {
        let request = reqwest::Client::new().post(client.url("/graphql")).header("accept", EVENTS);
        let request = request.bearer_auth(client.token.as_deref().unwrap_or_default());
        let request = if last_id.is_empty() { request } else { request.header("last-event-id", last_id) };
        send(request.json(&json!({ "query": query, "variables": variables }))).await
    }

    /// The next event: its name and what it carries. Comments, which keep the line open, are passed over.
    pub(super) async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            while let Some(event) = self.block() {
                let field =
                    |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(|text| text.trim().to_owned());
                // Without any data, not even empty data, a browser passes an event over.
                if let (Some(name), Some(data)) = (field("event:"), field("data:")) {
                    return Some((name, serde_json::from_str(&data).unwrap_or_default()));
                }
            }
            self.read_more().await?;
        }
    }

    /// What stands before the next empty line, if that has come.
    fn block(&mut self) -> Option<String> {
        let (block, rest) = self.read.split_once("\n\n")?;
        let (block, rest) = (block.to_owned(), rest.to_owned());
        self.read = rest;
        self.comments += usize::from(block.starts_with(':'));
        if let Some(id) = block.lines().find_map(|line| line.strip_prefix("id: ")) {
            id.clone_into(&mut self.last_id);
        }
        Some(block)
    }

    async fn read_more(&mut self) -> Option<()> {
        let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await.expect("nothing came").expect("a chunk")?;
        self.read.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
        Some(())
    }

    /// Reads until there is something that is no event: an id alone, or a comment.
    pub(super) async fn until(&mut self, there: impl Fn(&Self) -> bool) {
        while !there(self) {
            if let Some(block) = self.block() {
                assert!(!block.contains("event:"), "an event came first: {block}");
                continue;
            }
            self.read_more().await.expect("the stream goes on");
        }
    }

    pub(super) async fn result(&mut self) -> Value {
        let (name, mut result) = self.next().await.expect("an event");
        assert_eq!((name.as_str(), result.get("errors")), ("next", None), "{result:#}");
        result["data"].take()
    }
}

#[tokio::test]
async fn an_order_can_be_followed_by_server_sent_events_until_the_server_goes_away() {
    let mut app = TestApp::start().await;
    let (_, ada) = app.customer("Ada").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let order = ada.place(&[(&tea, 2)]).await.id;
    let follow = "subscription($id: ID!) { orderChanged(id: $id) { kind order { status version } } }";
    let mut events = Events::open(&ada, follow, json!({ "id": order })).await;
    let told =
        |kind: &str, status: &str, version: i64| json!({ "kind": kind, "order": { "status": status, "version": version } });
    assert_eq!(events.result().await["orderChanged"], told("SNAPSHOT", "PENDING", 1));
    ada.pay(&order).await;
    assert_eq!(events.result().await["orderChanged"], told("CHANGE", "PAID", 2));
    ada.accepted("cancelOrder", json!({ "orderId": order })).await;
    assert_eq!(events.result().await["orderChanged"], told("CHANGE", "CANCELLED", 3));
    // The client is told that it is over, and comes back to another process.
    app.restart(&[Part::Api, Part::Relay, Part::Projector]).await;
    assert_eq!(events.next().await.map(|(name, _)| name).as_deref(), Some("complete"));
    assert!(events.next().await.is_none());
    app.close().await;
}

#[tokio::test]
async fn any_operation_may_be_sent_for_events_and_ends_when_it_is_done() {
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let place = "mutation($input: PlaceOrderInput!) { placeOrder(input: $input) { receipt { version } } }";
    let input = json!({ "input": { "lines": [{ "productId": tea, "quantity": 2 }] } });
    for (query, variables, expected) in [
        ("{ __typename }", json!({}), json!({ "__typename": "Query" })),
        (place, input, json!({ "placeOrder": { "receipt": { "version": 1 } } })),
    ] {
        let mut events = Events::open(&ada, query, variables).await;
        assert_eq!(events.result().await, expected);
        assert_eq!(events.next().await.map(|(name, _)| name).as_deref(), Some("complete"));
        assert!(events.next().await.is_none());
    }
    assert_eq!(app.orders().await, 1);
    app.close().await;
}

#[tokio::test]
async fn a_stream_of_events_that_cannot_begin_is_an_answer_that_a_client_can_read() {
    let app = TestApp::start().await;
    for (body, status) in [("{\"query\":", 400), ("{\"query\":\"subscription { nothing \"}", 400), ("{\"query\":\"\"}", 400)] {
        let response = send(post(&app, JSON, body).header("accept", EVENTS)).await;
        let kind = header(&response, "content-type").to_owned();
        assert!(!kind.starts_with(EVENTS), "JSON that is called a stream of events is read by nobody: {body}");
        assert_eq!((response.status().as_u16(), kind.as_str()), (status, "application/json; charset=utf-8"), "{body}");
        assert!(response.json::<Value>().await.expect("JSON")["errors"][0]["message"].is_string());
    }
    let request = to(&app, Method::GET, "/graphql").header("accept", EVENTS).bearer_auth("nonsense");
    let response = send(request.query(&[("query", "subscription { ordersChanged { kind } }")])).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(header(&response, "content-type"), "application/json; charset=utf-8");
    app.close().await;
}

#[tokio::test]
async fn everything_can_be_done_over_a_socket_too() {
    let app = TestApp::build().with("--payload-wait", "10s").start().await;
    let (ada_id, ada) = app.customer("Ada").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let mut socket = ada.socket().await;
    let place = "mutation($input: PlaceOrderInput!) { placeOrder(input: $input) {
        receipt { aggregateId version replayed } errors { code } order { status customer { id } } } }";
    let input = json!({ "commandId": "checkout-1", "lines": [{ "productId": tea, "quantity": 2 }] });
    socket.subscribe("place", place, json!({ "input": input })).await;
    let placed = socket.next().await["placeOrder"].take();
    assert_eq!((&placed["receipt"]["replayed"], &placed["errors"]), (&json!(false), &json!([])));
    assert_eq!(placed["order"], json!({ "status": "PENDING", "customer": { "id": ada_id } }));
    assert_eq!(socket.message().await, json!({ "type": "complete", "id": "place" }));
    // By whatever way it comes again, it is the same command.
    let again = ada.accepted("placeOrder", input).await;
    assert_eq!((&again["replayed"], &again["aggregateId"]), (&json!(true), &placed["receipt"]["aggregateId"]));
    socket.subscribe("ask", "query($id: ID!) { order(id: $id) { version } }", json!({ "id": again["aggregateId"] })).await;
    assert_eq!(socket.next().await["order"]["version"], 1);
    assert_eq!(socket.message().await["type"], "complete");
    app.close().await;
}

#[tokio::test]
async fn without_a_token_a_socket_may_be_opened_and_shows_nothing() {
    let app = TestApp::start().await;
    let tea = app.product("TEA-1", 650, 10).await;
    let mut socket = app.anonymous().socket().await;
    let before = app.state().await;
    for (at, query) in [
        "subscription { ordersChanged { kind } }".to_owned(),
        format!("subscription {{ productChanged(id: \"{tea}\") {{ sku }} }}"),
        "{ products { totalCount } }".to_owned(),
        format!("{{ product(id: \"{tea}\") {{ sku }} }}"),
        super::new_product("X-1"),
    ]
    .into_iter()
    .enumerate()
    {
        socket.subscribe(&at.to_string(), &query, json!({})).await;
        let message = socket.message().await;
        let errors = if message["type"] == "error" { &message["payload"] } else { &message["payload"]["errors"] };
        assert_eq!(errors[0]["extensions"]["code"], "UNAUTHENTICATED", "{message:#}");
        assert!(!message.to_string().contains("TEA-1"), "{message:#}");
        if message["type"] == "next" {
            assert_eq!(socket.message().await["type"], "complete");
        }
    }
    assert_eq!(app.state().await, before);
    app.close().await;
}

#[tokio::test]
async fn a_socket_lives_no_longer_than_its_token_and_not_at_all_without_a_good_one() {
    let app = TestApp::start().await;
    assert_eq!(Socket::begin(app.addr(), Some("nonsense")).await.closed().await, Some(4403));
    let staff = Viewer { subject: "staff".to_owned(), role: Role::Staff };
    let sign = |seconds| app.keys().sign(&staff, Time::now_utc(), Duration::from_secs(seconds));
    let mut lasting = Client::new(app.addr(), Some(sign(600).expect("a token"))).socket().await;
    let brief = Client::new(app.addr(), Some(sign(1).expect("a token"))).socket().await;
    assert_eq!(brief.closed().await, Some(4403));
    lasting.subscribe("1", "{ __typename }", json!({})).await;
    assert_eq!(lasting.next().await["__typename"], "Query");
    app.close().await;
}

#[tokio::test]
async fn a_stream_of_events_lives_no_longer_than_its_token_either() {
    let app = TestApp::start().await;
    let tea = app.product("TEA-1", 650, 10).await;
    until("the product", || async {
        let seen = app.staff().ask("query($id: ID!) { product(id: $id) { sku } }", json!({ "id": tea })).await["product"].take();
        if seen["sku"] == "TEA-1" { Ok(()) } else { Err(seen) }
    })
    .await;
    let staff = Viewer { subject: "staff".to_owned(), role: Role::Staff };
    let token = app.keys().sign(&staff, Time::now_utc(), Duration::from_secs(2));
    let brief = Client::new(app.addr(), Some(token.expect("a token")));
    let follow = "subscription($id: ID!) { productChanged(id: $id) { sku } }";
    let mut events = Events::open(&brief, follow, json!({ "id": tea })).await;
    let ending = async { while events.next().await.is_some() {} };
    tokio::time::timeout(PATIENCE, ending).await.expect("the stream goes on although the token has expired");
    app.close().await;
}
