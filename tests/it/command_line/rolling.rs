//! Upgrades: every process is replaced while people shop, and the schema is migrated under them. Nobody notices but by trying
//! again.

use super::{at, process::Process};
use crate::support::{Client, Parts, Socket, TestApp};
use futures_util::future::join_all;
use orderflow::config::Role::Api;
use serde_json::{Value, json};
use std::{cell::Cell, collections::BTreeMap, net::SocketAddr};
use tokio::sync::watch;

/// A process of one role, and where its API is if it has one.
struct Running {
    role: &'static str,
    process: Process,
    api: Option<SocketAddr>,
}

impl Running {
    async fn start(parts: &Parts, role: &'static str) -> Self {
        let args = ["serve", "--dev", "--http-addr", "127.0.0.1:0", "--partitions", "2", "--database-connections", "4"];
        let process = Process::start(&[&args[..], &["--role", role]].concat(), &at(parts));
        let api = if role == "api" {
            Some(process.prints("Orderflow listens on http://").await.parse().expect("an address"))
        } else {
            process.prints("Orderflow works; ").await;
            None
        };
        Self { role, process, api }
    }
}

/// Where the shop may be reached just now.
type Doors = watch::Receiver<Vec<SocketAddr>>;

/// Sends a command at one door after the other until it is answered. Nothing but a fault that says to try again is no answer.
async fn insist(client: &Client, doors: &Doors, name: &str, mut input: Value) -> String {
    const TRIES: usize = 2_000;
    input["commandId"] = json!(uuid::Uuid::now_v7().to_string());
    let kind = format!("{}{}Input", name[..1].to_uppercase(), &name[1..]);
    let query =
        format!("mutation($input: {kind}!) {{ {name}(input: $input) {{ receipt {{ aggregateId }} errors {{ code }} }} }}");
    for attempt in 0..TRIES {
        let door = doors.borrow()[attempt % 2];
        let body = json!({ "query": query, "variables": { "input": input } });
        let request = reqwest::Client::new().post(client.at(door).url("/graphql")).json(&body);
        let answer = match request.bearer_auth(client.token.as_deref().expect("a token")).send().await {
            Ok(answer) => answer.json::<Value>().await.ok(),
            Err(_) => None,
        };
        if let Some(answer) = answer {
            let Some(error) = answer["errors"].get(0) else {
                assert_eq!(answer["data"][name]["errors"], json!([]), "{name}: {answer:#}");
                return answer["data"][name]["receipt"]["aggregateId"].as_str().expect("an id").to_owned();
            };
            let code = error["extensions"]["code"].as_str().unwrap_or_default();
            assert!(["UNAVAILABLE", "BUSY"].contains(&code), "{name}: {answer:#}");
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await; // bounded poll
    }
    panic!("{name} was not answered by {:?}", doors.borrow());
}

const FOLLOW: &str = "subscription($after: String) { change: ordersChanged(after: $after, startCursor: true) {
    kind cursor order { id version } } }";

/// Follows all orders through whatever door is open, from its last cursor, until as much has been told as there is.
struct Follower {
    token: String,
    doors: Doors,
    after: Value,
    told: BTreeMap<String, Vec<i64>>,
}

impl Follower {
    async fn connect(&mut self) -> Socket {
        for attempt in 0..2_000 {
            let door = self.doors.borrow()[attempt % 2];
            if let Some(mut socket) = Socket::attempt(door, &self.token).await {
                socket.subscribe("1", FOLLOW, json!({ "after": self.after })).await;
                return socket;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await; // bounded poll
        }
        panic!("no door is open: {:?}", self.doors.borrow());
    }

    /// Takes the next thing that is told; false when the line is lost.
    async fn hear(&mut self, socket: &mut Socket) -> bool {
        let Some(message) = socket.heard().await else { return false };
        if message["type"] != "next" {
            // The node says good-bye.
            return false;
        }
        let change = &message["payload"]["data"]["change"];
        self.after = change["cursor"].clone();
        match change["kind"].as_str() {
            Some("SNAPSHOT") => {}
            Some("CHANGE") => {
                let id = change["order"]["id"].as_str().expect("an id").to_owned();
                self.told.entry(id).or_default().push(change["order"]["version"].as_i64().expect("a version"));
            }
            _ => panic!("{message:#}"),
        }
        true
    }

    /// Follows until so many changes were told; the number becomes known when the shop has closed.
    async fn follow(&mut self, mut all: watch::Receiver<Option<usize>>) {
        let mut socket = self.connect().await;
        loop {
            let told: usize = self.told.values().map(Vec::len).sum();
            let target = *all.borrow_and_update();
            if target.is_some_and(|target| told >= target) {
                return;
            }
            let alive = tokio::select! {
                alive = self.hear(&mut socket) => alive,
                changed = all.changed() => changed.is_ok(),
            };
            if !alive {
                socket = self.connect().await;
            }
        }
    }
}

/// People shop until it is over; says how many orders that made.
async fn shop(customers: &[Client], doors: &Doors, tea: &str, over: &Cell<bool>) -> usize {
    let lives = customers.iter().map(|customer| async move {
        let mut orders = 0;
        while !over.get() {
            let line = json!([{ "productId": tea, "quantity": 1 }]);
            let order = insist(customer, doors, "placeOrder", json!({ "lines": line })).await;
            insist(customer, doors, "updateOrder", json!({ "orderId": order, "note": "Ring twice" })).await;
            insist(customer, doors, "payOrder", json!({ "orderId": order, "reference": "PAY-1" })).await;
            orders += 1;
        }
        orders
    });
    join_all(lives).await.into_iter().sum()
}

#[tokio::test]
async fn every_process_is_replaced_under_load_and_nothing_is_lost_or_told_twice() {
    // Looks on, and answers nobody: everything goes through the processes.
    let app = TestApp::build().roles(&[Api]).start().await;
    let tea = app.product("TEA-1", 650, 1_000_000).await;
    let mut customers = Vec::new();
    for name in ["Ada Lovelace", "Alan Turing", "Grace Hopper", "Mary Shelley"] {
        customers.push(app.customer(name).await.1);
    }
    let mut running = Vec::new();
    for role in ["api", "api", "relay", "relay", "projector", "projector"] {
        running.push(Running::start(app.parts(), role).await);
    }
    let (open, doors) = watch::channel(running.iter().filter_map(|running| running.api).collect::<Vec<_>>());
    let token = app.staff().token.expect("a token");
    let mut follower = Follower { token, doors: doors.clone(), after: Value::Null, told: BTreeMap::new() };
    // From before the first order.
    let mut socket = follower.connect().await;
    assert!(follower.hear(&mut socket).await && follower.after.is_string());
    drop(socket);

    let (over, (closed, all)) = (Cell::new(false), watch::channel(None));
    let shopping = async {
        let orders = shop(&customers, &doors, &tea, &over).await;
        closed.send_replace(Some(3 * orders));
        orders
    };
    let replacing = async {
        for place in 0..running.len() {
            let old = std::mem::replace(&mut running[place], Running::start(app.parts(), running_role(place)).await);
            old.process.signal("TERM");
            let ended = old.process.end().await;
            assert_eq!(ended.code, Some(0), "{}: {}", old.role, ended.err);
            assert!(!ended.err.contains("did not finish"), "{}: {}", old.role, ended.err);
            open.send_replace(running.iter().filter_map(|running| running.api).collect());
        }
        over.set(true);
    };
    let (orders, (), ()) = tokio::join!(shopping, replacing, follower.follow(all));
    assert!(orders > 0);
    assert_eq!(app.agree().await, orders);
    assert_eq!(follower.told.len(), orders);
    for (order, versions) in &follower.told {
        assert_eq!(*versions, [1, 2, 3], "{order}");
    }
    drop(running);
    app.close().await;
}

fn running_role(place: usize) -> &'static str {
    ["api", "api", "relay", "relay", "projector", "projector"][place]
}

#[tokio::test]
async fn migrating_while_people_shop_disturbs_nobody() {
    let app = TestApp::start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10_000).await;
    let over = Cell::new(false);
    let shopping = async {
        let mut orders = 0;
        while !over.get() {
            // Each is taken at once: nobody waits behind a lock of the migration for long.
            let order = ada.place(&[(&tea, 1)]).await;
            ada.pay(&order.id).await;
            orders += 1;
        }
        orders
    };
    let migrating = async {
        for _ in 0..3 {
            let variables = at(app.parts());
            let run = || Process::run(&["migrate"], &variables);
            let (one, other) = tokio::join!(run(), run());
            for ended in [one, other] {
                assert_eq!(
                    (ended.code, ended.out.as_str()),
                    (Some(0), "PostgreSQL and MongoDB are up to date.\n"),
                    "{}",
                    ended.err
                );
            }
        }
        over.set(true);
    };
    let (orders, ()) = tokio::join!(shopping, migrating);
    assert_eq!(app.agree().await, orders);
    app.close().await;
}
