//! Live updates: whoever follows orders hears every version once and in order, whatever happens to the line. What happens when
//! the change log itself has holes, and what one line carries, is told in files of their own.

mod holes;
mod lines;
mod reopened;

use crate::support::{Client, Socket, TestApp, uuid_of};
use futures_util::future::join_all;
use orderflow::config::Role::{Api, Projector, Relay};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const ONE: &str = "subscription($id: ID!, $after: String) { change: orderChanged(id: $id, after: $after) {
    kind cursor skippedVersions order { id version status } event { type version } } }";
const LIST: &str = "subscription($filter: OrderFilter, $after: String) { change: ordersChanged(filter: $filter, after: $after) {
    kind cursor skippedVersions order { id version status } event { type version } } }";

/// Somebody on a bad line: hears some changes, is cut off, and comes back to any node with the last cursor.
struct Traveller {
    nodes: Vec<Client>,
    query: &'static str,
    variables: Value,
    /// Which node, and for how many changes: the same again with the same seed.
    chance: StdRng,
    /// The versions of each order in the order in which they were told.
    told: BTreeMap<String, Vec<i64>>,
}

impl Traveller {
    fn new(nodes: &[&Client], query: &'static str, variables: Value, seed: u64) -> Self {
        let nodes = nodes.iter().map(|node| (*node).clone()).collect();
        Self { nodes, query, variables, chance: StdRng::seed_from_u64(seed), told: BTreeMap::new() }
    }

    fn heard(&self) -> usize {
        self.told.values().map(Vec::len).sum()
    }

    async fn connect(&mut self) -> Socket {
        let node = self.chance.random_range(0..self.nodes.len());
        let mut socket = self.nodes[node].socket().await;
        socket.subscribe("1", self.query, self.variables.clone()).await;
        socket
    }

    async fn hear(&mut self, socket: &mut Socket, kind: &str) {
        let change = socket.change().await;
        assert_eq!(change["kind"], kind, "{change:#}");
        let (id, version) = (change["order"]["id"].as_str().expect("an id"), change["order"]["version"].as_i64());
        self.told.entry(id.to_owned()).or_default().push(version.expect("a version"));
        self.variables["after"] = change["cursor"].clone();
    }

    /// Listens until so many changes have been heard.
    async fn listen(&mut self, mut socket: Socket, until: usize) {
        loop {
            for _ in 0..self.chance.random_range(1..12) {
                self.hear(&mut socket, "CHANGE").await;
                if self.heard() == until {
                    return;
                }
            }
            socket = self.connect().await;
        }
    }

    /// What comes next, after everything that has been heard.
    async fn next(&mut self) -> Value {
        self.connect().await.change().await
    }
}

#[tokio::test]
async fn whoever_comes_back_to_any_node_hears_every_change_of_all_orders_once() {
    const ORDERS: usize = 40;
    let mut app = TestApp::start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 1_000).await;
    let staff = app.staff();
    let other = staff.at(app.join(&[Api]).await.expect("an API"));
    let mut traveller = Traveller::new(&[&staff], LIST, json!({}), 7);
    let socket = traveller.connect().await;
    app.listening(1..=1).await;
    traveller.nodes.push(other);

    let lives = join_all((0..ORDERS).map(|number| {
        let (ada, staff, tea) = (&ada, &staff, &tea);
        async move {
            let order = ada.place(&[(tea, 1)]).await;
            ada.pay(&order.id).await;
            if number % 2 == 0 {
                staff.ship(&order.id).await;
                staff.deliver(&order.id).await;
            }
        }
    }));
    tokio::join!(lives, traveller.listen(socket, ORDERS * 3));
    assert_eq!(traveller.told.len(), ORDERS);
    for (order, versions) in &traveller.told {
        assert_eq!(*versions, (1..=versions.len() as i64).collect::<Vec<_>>(), "{order}");
        assert!([2, 4].contains(&versions.len()), "{order}: {versions:?}");
    }
    // That was all: the next is one that happens now.
    let last = ada.place(&[(&tea, 1)]).await;
    assert_eq!(traveller.next().await["order"]["id"], last.id.as_str());
    app.close().await;
}

#[tokio::test]
async fn whoever_comes_back_to_any_node_hears_every_version_of_an_order_once() {
    const CHANGES: usize = 60;
    let mut app = TestApp::start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 1_000).await;
    let other = ada.at(app.join(&[Api]).await.expect("an API"));
    let order = ada.place(&[(&tea, 1)]).await;
    let mut traveller = Traveller::new(&[&ada, &other], ONE, json!({ "id": order.id }), 11);
    let mut socket = traveller.connect().await;
    traveller.hear(&mut socket, "SNAPSHOT").await;
    let thinking_again = async {
        for number in 0..CHANGES {
            let note = format!("Ring {number} times");
            ada.accepted("updateOrder", json!({ "orderId": order.id, "note": note })).await;
        }
    };
    tokio::join!(thinking_again, traveller.listen(socket, 1 + CHANGES));
    assert_eq!(traveller.told[&order.id], (1..=1 + CHANGES as i64).collect::<Vec<_>>());
    ada.pay(&order.id).await;
    assert_eq!(traveller.next().await["event"]["type"], "ORDER_PAID");
    app.close().await;
}

#[tokio::test]
async fn a_node_that_has_only_just_started_tells_what_came_since_the_cursor() {
    let mut app = TestApp::start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 1_000).await;
    let mut traveller = Traveller::new(&[&ada], LIST, json!({}), 13);
    let mut socket = traveller.connect().await;
    app.listening(1..=1).await;
    ada.place(&[(&tea, 1)]).await;
    traveller.variables["after"] = socket.change().await["cursor"].take();
    for _ in 0..4 {
        let missed = ada.place(&[(&tea, 1)]).await;
        app.caught_up().await;
        traveller.nodes = vec![ada.at(app.join(&[Api]).await.expect("an API"))];
        let mut socket = traveller.connect().await;
        let change = socket.change().await;
        assert_eq!(change["order"]["id"], missed.id.as_str());
        let fresh = ada.place(&[(&tea, 1)]).await;
        let change = socket.change().await;
        assert_eq!(change["order"]["id"], fresh.id.as_str());
        traveller.variables["after"] = change["cursor"].clone();
    }
    app.close().await;
}

/// Asserts that a subscription ends with an error of this code and nothing else.
async fn expect_end(client: &Client, query: &str, variables: Value, code: &str) {
    let mut socket = client.socket().await;
    socket.subscribe("1", query, variables.clone()).await;
    let message = socket.message().await;
    let errors = if message["type"] == "error" { &message["payload"] } else { &message["payload"]["errors"] };
    assert_eq!(errors[0]["extensions"]["code"], code, "{variables} {message:#}");
    if message["type"] == "next" {
        assert_eq!(socket.message().await["type"], "complete", "{variables}");
    }
}

#[tokio::test]
async fn what_is_not_there_or_not_yours_or_no_cursor_ends_the_subscription() {
    let app = TestApp::start().await;
    let (ada_id, ada) = app.customer("Ada Lovelace").await;
    let (_, alan) = app.customer("Alan Turing").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let order = ada.place(&[(&tea, 1)]).await;
    app.seen(&order.id, 1).await;
    let mut socket = ada.socket().await;
    socket.subscribe("1", ONE, json!({ "id": order.id })).await;
    let cursor = socket.change().await["cursor"].take();

    let nowhere = format!("order_{}", uuid::Uuid::now_v7().simple());
    let product = "subscription($id: ID!) { productChanged(id: $id) { name } }";
    tokio::join!(
        expect_end(&ada, ONE, json!({ "id": nowhere }), "NOT_FOUND"),
        expect_end(&alan, ONE, json!({ "id": order.id }), "NOT_FOUND"),
        expect_end(&alan, ONE, json!({ "id": order.id, "after": cursor }), "NOT_FOUND"),
        expect_end(&alan, LIST, json!({ "filter": { "customerId": ada_id } }), "NOT_FOUND"),
        expect_end(&ada, product, json!({ "id": format!("product_{}", uuid_of(&nowhere)) }), "NOT_FOUND"),
        expect_end(&ada, ONE, json!({ "id": tea }), "BAD_USER_INPUT"),
        // The cursor of one order is none of a list.
        expect_end(&ada, LIST, json!({ "after": cursor }), "BAD_USER_INPUT"),
    );
    for garbage in ["", "garbage", "bCAwOng", "bCAw", "byAxIDI", "é", &"A".repeat(10_000)] {
        expect_end(&ada, ONE, json!({ "id": order.id, "after": garbage }), "BAD_USER_INPUT").await;
        expect_end(&ada, LIST, json!({ "after": garbage }), "BAD_USER_INPUT").await;
    }
    app.close().await;
}

#[tokio::test]
async fn an_order_can_be_followed_before_the_read_side_has_it() {
    let mut app = TestApp::build().roles(&[Api]).with("--relay-sweep", "50ms").start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let order = ada.place(&[(&tea, 1)]).await;
    let late = app.hold(&format!("e.stream_id = '{}'", uuid_of(&order.id))).await;
    app.join(&[Relay, Projector]).await;
    let mut socket = ada.socket().await;
    socket.subscribe("1", ONE, json!({ "id": order.id })).await;
    app.listening(1..=1).await;
    app.release(late).await;
    let snapshot = socket.change().await;
    assert_eq!((snapshot["kind"].as_str(), snapshot["order"]["version"].as_i64()), (Some("SNAPSHOT"), Some(1)));
    app.close().await;
}

#[tokio::test]
async fn an_order_leaves_every_list_that_it_no_longer_fits() {
    let app = TestApp::start().await;
    let (ada_id, ada) = app.customer("Ada Lovelace").await;
    let (tea, cup) = (app.product("TEA-1", 650, 10).await, app.product("CUP-1", 1250, 10).await);
    let first = ada.place(&[(&tea, 1)]).await;
    app.seen(&first.id, 1).await;
    let staff = app.staff();
    let mut socket = staff.socket().await;
    for (id, filter) in [
        ("pending", json!({ "status": ["PENDING"] })),
        ("lovelace", json!({ "search": "love" })),
        ("tea", json!({ "productId": tea })),
    ] {
        socket.subscribe(id, LIST, json!({ "filter": filter })).await;
    }
    app.listening(3..=3).await;
    ada.pay(&first.id).await;
    ada.accepted("updateUserProfile", json!({ "userId": ada_id, "displayName": "Ada King", "email": "ada@king.example" })).await;
    let second = ada.place(&[(&tea, 1)]).await;
    let instead = json!([{ "productId": cup, "quantity": 1 }]);
    ada.accepted("updateOrder", json!({ "orderId": second.id, "lines": instead })).await;
    staff.ship(&first.id).await;
    ada.accepted("cancelOrder", json!({ "orderId": second.id })).await;

    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for _ in 0..11 {
        let message = socket.message().await;
        let change = &message["payload"]["data"]["change"];
        let text = format!("{} {}", change["kind"], change["event"]["type"]).replace('"', "");
        told.entry(message["id"].as_str().expect("an id").to_owned()).or_default().push(text);
    }
    assert_eq!(told["pending"], ["LEFT ORDER_PAID", "CHANGE ORDER_PLACED", "CHANGE ORDER_UPDATED", "LEFT ORDER_CANCELLED"]);
    assert_eq!(told["lovelace"], ["CHANGE ORDER_PAID", "LEFT CUSTOMER_RENAMED"]);
    let tea =
        ["CHANGE ORDER_PAID", "CHANGE CUSTOMER_RENAMED", "CHANGE ORDER_PLACED", "LEFT ORDER_UPDATED", "CHANGE ORDER_SHIPPED"];
    assert_eq!(told["tea"], tea);
    app.close().await;
}
