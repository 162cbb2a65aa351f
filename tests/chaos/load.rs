//! The load: clients that send commands, one after the other, and each again under its id until it is answered.

use crate::{
    Failure,
    book::{Book, Outcome, add, count},
    client::{Answer, Client},
    pause,
    processes::Processes,
};
use orderflow::value::Role;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A command that is not answered for so long, with everything up for a part of it, will not be.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is put on a shelf at the beginning: more than is ever bought, and for the last product less.
pub const PLENTY: i64 = 1_000_000;
pub const FEW: i64 = 200;

#[derive(Debug)]
pub struct Product {
    pub id: String,
    /// Units that were put on the shelf by commands that were answered.
    pub put: i64,
}

/// The shop that everybody trades in.
pub struct Shop {
    pub seed: u64,
    pub book: Arc<Book>,
    pub processes: Arc<Processes>,
    pub staff: Client,
    pub customers: Vec<Client>,
    products: Mutex<Vec<Product>>,
    /// Whoever works on read models as a whole is alone with them.
    pub read_models: tokio::sync::Mutex<()>,
}

/// A receipt as a reader needs it.
#[derive(Debug, Clone)]
pub struct Receipt {
    pub aggregate: String,
    pub version: i64,
    pub token: String,
}

/// What became of a command.
pub enum Ended {
    Done(Receipt),
    Refused,
    /// The client has gone away, and does not know.
    Unknown,
}

impl Shop {
    /// Customers and products, made by commands like all others.
    pub async fn open(seed: u64, book: &Arc<Book>, processes: &Arc<Processes>) -> Result<Self, Failure> {
        let http = Client::http()?;
        let mut shop = Self {
            seed,
            book: Arc::clone(book),
            processes: Arc::clone(processes),
            staff: Client::new(&http, "staff", Role::Admin)?,
            customers: Vec::new(),
            products: Mutex::default(),
            read_models: tokio::sync::Mutex::default(),
        };
        let mut till = Till::new(&shop, "opening", 0);
        till.patient = true;
        for number in 0..24 {
            let input = json!({ "email": format!("customer-{number}@example.com"), "displayName": format!("Customer {number}") });
            let Ended::Done(made) = till.send(&shop, &shop.staff, "createUser", input).await else { continue };
            shop.customers.push(Client::new(&http, &made.aggregate, Role::Customer)?);
        }
        for number in 0..8 {
            let stock = if number == 7 { FEW } else { PLENTY };
            let price = json!({ "amount": format!("{}.50", number + 1), "currencyCode": "GBP" });
            let input =
                json!({ "sku": format!("SKU-{number}"), "name": format!("Product {number}"), "price": price, "stock": stock });
            if let Ended::Done(made) = till.send(&shop, &shop.staff, "createProduct", input).await {
                shop.stocked(&made.aggregate, stock);
            }
        }
        if shop.customers.len() < 24 || shop.products().len() < 8 {
            return Err("the shop could not be opened".into());
        }
        Ok(shop)
    }

    pub fn products(&self) -> Vec<(String, i64)> {
        let products = self.products.lock().unwrap_or_else(PoisonError::into_inner);
        products.iter().map(|product| (product.id.clone(), product.put)).collect()
    }

    /// So many units were put on the shelf of a product, which may be new.
    pub fn stocked(&self, id: &str, units: i64) {
        let mut products = self.products.lock().unwrap_or_else(PoisonError::into_inner);
        match products.iter_mut().find(|product| product.id == id) {
            Some(product) => product.put += units,
            None => products.push(Product { id: id.to_owned(), put: units }),
        }
    }
}

/// One client's way of sending: its own chance, its own ids.
pub struct Till {
    pub chance: StdRng,
    name: String,
    sent: u64,
    /// Never goes away before it knows.
    pub patient: bool,
}

impl Till {
    pub fn new(shop: &Shop, kind: &str, number: u64) -> Self {
        let name = format!("{kind}-{number}");
        let own = kind.bytes().fold(number, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
        Self { chance: StdRng::seed_from_u64(shop.seed.wrapping_mul(1_000_003) ^ own), name, sent: 0, patient: false }
    }

    /// Any node that is there; waits until there is one.
    pub async fn node(&mut self, shop: &Shop) -> SocketAddr {
        loop {
            let nodes = shop.processes.apis();
            if !nodes.is_empty() {
                return nodes[self.chance.random_range(0..nodes.len())];
            }
            pause(Duration::from_millis(50)).await;
        }
    }

    /// Sends a command until it is answered. Some clients go away after the first sending, some send twice all the same.
    pub async fn send(&mut self, shop: &Shop, client: &Client, name: &'static str, mut input: Value) -> Ended {
        self.sent += 1;
        let id = format!("{}-{}", self.name, self.sent);
        input["commandId"] = json!(id);
        let line = shop.book.sends(&id, name);
        let goes_away = !self.patient && self.chance.random_bool(0.02);
        let (twice, at_once) = (self.chance.random_bool(0.06), self.chance.random_bool(0.03));
        let since = Instant::now();
        loop {
            let node = self.node(shop).await;
            let answer = if at_once {
                let other = self.node(shop).await;
                let (one, same) = tokio::join!(send_once(client, node, name, &input), send_once(client, other, name, &input));
                let _ = understood(shop, line, name, &same);
                one
            } else {
                send_once(client, node, name, &input).await
            };
            if let Some(ended) = understood(shop, line, name, &answer) {
                if twice {
                    let node = self.node(shop).await;
                    let _ = understood(shop, line, name, &send_once(client, node, name, &input).await);
                }
                return ended;
            }
            if goes_away {
                return Ended::Unknown;
            }
            if since.elapsed() > PATIENCE {
                shop.book.finds(format!("{name} {id} was not answered in {PATIENCE:?}"));
                return Ended::Unknown;
            }
            count(&shop.book.retries);
            pause(Duration::from_millis(self.chance.random_range(20..300))).await;
        }
    }

    /// Asks for what a receipt proves, on any node: it may be told that it is not there yet, but never something older.
    pub async fn read_back(&mut self, shop: &Shop, client: &Client, receipt: &Receipt) {
        const QUERY: &str = "query($id: ID!, $token: String!) {
            order(id: $id, consistency: { token: $token, timeoutMs: 2000, onTimeout: FAIL }) { version } }";
        let node = self.node(shop).await;
        let variables = json!({ "id": receipt.aggregate, "token": receipt.token });
        if let Answer::Data(data) = client.ask(node, QUERY, variables).await {
            add(&shop.book.reads, 1);
            let seen = data["order"]["version"].as_i64();
            if seen < Some(receipt.version) {
                shop.book
                    .finds(format!("{} was promised in version {} and seen in {seen:?}", receipt.aggregate, receipt.version));
            }
        }
    }
}

impl Till {
    /// Whether any node shows what a receipt of a product proves.
    pub async fn sees(&mut self, shop: &Shop, receipt: &Receipt) -> bool {
        const QUERY: &str = "query($id: ID!, $token: String!) {
            product(id: $id, consistency: { token: $token, timeoutMs: 2000, onTimeout: FAIL }) { version } }";
        let node = self.node(shop).await;
        let variables = json!({ "id": receipt.aggregate, "token": receipt.token });
        match shop.staff.ask(node, QUERY, variables).await {
            Answer::Data(data) => data["product"]["version"].as_i64() >= Some(receipt.version),
            Answer::Error(_) | Answer::Lost => false,
        }
    }
}

async fn send_once(client: &Client, node: SocketAddr, name: &str, input: &Value) -> Answer {
    let kind = format!("{}{}Input", name[..1].to_uppercase(), &name[1..]);
    let query = format!(
        "mutation($input: {kind}!) {{ {name}(input: $input) {{
            receipt {{ aggregateId version token }} errors {{ code message }} }} }}"
    );
    client.ask(node, &query, json!({ "input": input })).await
}

/// Writes an answer down, if it is one.
fn understood(shop: &Shop, line: usize, name: &str, answer: &Answer) -> Option<Ended> {
    let data = match answer {
        Answer::Data(data) => &data[name],
        Answer::Lost => return None,
        Answer::Error(code) => {
            count(&shop.book.faulty);
            if code == "INTERNAL" {
                // A bug, but one that sending again may resolve: counted, and the next answer decides.
                count(&shop.book.internal);
            } else if !matches!(code.as_str(), "UNAVAILABLE" | "BUSY" | "TIMEOUT") {
                shop.book.finds(format!("{name} was answered with {code}, which no retry resolves"));
            }
            return None;
        }
    };
    let receipt = &data["receipt"];
    if let (Some(aggregate), Some(version), Some(token)) =
        (receipt["aggregateId"].as_str(), receipt["version"].as_i64(), receipt["token"].as_str())
    {
        shop.book.answered(line, Outcome::Done { aggregate: aggregate.to_owned(), version });
        return Some(Ended::Done(Receipt { aggregate: aggregate.to_owned(), version, token: token.to_owned() }));
    }
    let code = data["errors"][0]["code"].as_str()?;
    shop.book.answered(line, Outcome::Refused(code.to_owned()));
    // Everybody does only what should be possible; the shelf with few units is the exception.
    if code != "INSUFFICIENT_STOCK" {
        shop.book.finds(format!("{name} was refused: {}", data["errors"]));
    }
    Some(Ended::Refused)
}
