//! Subscribers on bad lines: they hear some changes, are gone in the middle, and come back to any node with their last cursor.

mod track;

use crate::{
    book::{add, count},
    client::Client,
    load::{Shop, Till},
    pause,
    socket::{Heard, Socket},
};
use rand::Rng;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::watch, time::Instant};
use track::Track;

/// How long a subscriber may take, once everything is still, until it has heard the end.
const PATIENCE: Duration = Duration::from_secs(45);

const ONE: &str = "subscription($id: ID!, $after: String) { change: orderChanged(id: $id, after: $after) {
    kind cursor skippedVersions order { id version } event { id type version } } }";
const LIST: &str = "subscription($after: String) { change: ordersChanged(after: $after) {
    kind cursor skippedVersions order { id version } event { id type version } } }";

/// How far every order has come in the end, with its customer.
pub type Ends = BTreeMap<String, (String, i64)>;

/// Whom a subscriber follows.
#[derive(Clone)]
pub enum Follows {
    /// One order after the other.
    Orders,
    /// All that this customer has.
    Customer(Client),
    /// All there are.
    All,
}

/// One subscriber. `ready` says that it has a cursor, so that from then on it must miss nothing.
pub struct Subscriber {
    pub shop: Arc<Shop>,
    pub number: u64,
    pub follows: Follows,
    pub ready: Arc<AtomicBool>,
    /// The end, when there is one.
    pub ends: watch::Receiver<Option<Arc<Ends>>>,
}

impl Subscriber {
    /// Listens until the end has been heard.
    pub async fn run(self) {
        let mut till = Till::new(&self.shop, "subscriber", self.number);
        match &self.follows {
            Follows::Orders => self.one_after_the_other(&mut till).await,
            Follows::Customer(client) => self.list(&mut till, client).await,
            Follows::All => self.list(&mut till, &self.shop.staff).await,
        }
    }

    async fn list(&self, till: &mut Till, client: &Client) {
        let mut track = Track::of_a_list(format!("subscriber {}", self.number));
        let mut variables = json!({ "after": null });
        self.follow(till, client, LIST, &mut variables, &mut track, None).await;
    }

    async fn one_after_the_other(&self, till: &mut Till) {
        self.ready.store(true, Ordering::Relaxed);
        loop {
            let Some(order) = self.shop.book.newest_order(till.chance.random_range(0..20)) else {
                pause(Duration::from_millis(200)).await;
                continue;
            };
            let mut track = Track::of_one(format!("subscriber {} of {order}", self.number));
            let mut variables = json!({ "id": order, "after": null });
            let enough = Instant::now() + Duration::from_millis(till.chance.random_range(5_000..20_000));
            self.follow(till, &self.shop.staff, ONE, &mut variables, &mut track, Some(enough)).await;
            if self.ends.borrow().is_some() {
                return;
            }
        }
    }

    /// Follows one thing over many lines, until enough has been heard, or the end.
    async fn follow(
        &self,
        till: &mut Till,
        client: &Client,
        query: &str,
        variables: &mut Value,
        track: &mut Track,
        enough: Option<Instant>,
    ) {
        let mut end_by = None;
        loop {
            let ends = self.ends.borrow().clone();
            if let Some(ends) = &ends {
                let by = *end_by.get_or_insert(Instant::now() + PATIENCE);
                if track.at_the_end(ends, self.customer()) {
                    return;
                }
                if Instant::now() > by {
                    let missing = track.missing(ends, self.customer());
                    add(&self.shop.book.lost, missing.len() as u64);
                    missing.into_iter().for_each(|what| self.shop.book.finds(what));
                    return;
                }
            } else if enough.is_some_and(|enough| Instant::now() > enough) {
                return;
            }
            let node = till.node(&self.shop).await;
            let Some(mut socket) = Socket::subscribe(node, client, query, variables).await else {
                pause(Duration::from_millis(100)).await;
                continue;
            };
            if !variables["after"].is_null() {
                count(&self.shop.book.resumes);
            }
            // Short lines, and rarely a long one. At the end there is time to hear everything.
            let long = till.chance.random_bool(0.1);
            let line = till.chance.random_range(if long { 5_000..15_000 } else { 200..4_000 });
            let until = Instant::now() + Duration::from_millis(line);
            if self.listen(&mut socket, until, variables, track).await && till.chance.random_bool(0.5) {
                socket.leave().await;
            }
        }
    }

    /// Hears what comes over one line; whether the line is still good.
    async fn listen(&self, socket: &mut Socket, until: Instant, variables: &mut Value, track: &mut Track) -> bool {
        loop {
            match socket.listen(until).await {
                Heard::Next(change) => {
                    count(&self.shop.book.deliveries);
                    if let Some(cursor) = change["cursor"].as_str() {
                        variables["after"] = json!(cursor);
                        self.ready.store(true, Ordering::Relaxed);
                    }
                    track.hear(&change, &self.shop.book);
                }
                Heard::Silence => return true,
                Heard::Over(code) => {
                    if code.as_deref() == Some("BAD_USER_INPUT") {
                        self.shop.book.finds(format!("subscriber {}: its own cursor was refused", self.number));
                        variables["after"] = Value::Null;
                    }
                    pause(Duration::from_millis(50)).await;
                    return false;
                }
            }
        }
    }

    fn customer(&self) -> Option<&str> {
        match &self.follows {
            Follows::Customer(client) => Some(&client.subject),
            Follows::Orders | Follows::All => None,
        }
    }
}
