//! What the clients were told against what the API shows: orders with their histories, stock, customers, sales.

use super::Ledger;
use crate::{
    Failure,
    book::{Outcome, count},
    client::Answer,
    load::Till,
    pause,
};
use orderflow::clock::Clock;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

/// Questions are asked again while processes come back.
const PATIENCE: Duration = Duration::from_secs(60);

/// An order as the read side shows it.
#[derive(Debug)]
pub struct Order {
    id: String,
    customer: String,
    version: i64,
    cancelled: bool,
    open: bool,
    total: i64,
    paid: i64,
    refunded: i64,
    /// Product, units, units paid back.
    lines: Vec<(String, i64, i64)>,
}

/// Pence of an amount of pounds.
fn pence(amount: &Value) -> i64 {
    amount["amount"].as_str().and_then(|text| text.replace('.', "").parse().ok()).unwrap_or_default()
}

fn n(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

impl Order {
    fn of(node: &Value) -> Self {
        let status = text(&node["status"]);
        let line = |line: &Value| (text(&line["productId"]), n(&line["quantity"]), n(&line["quantityRefunded"]));
        Self {
            id: text(&node["id"]),
            customer: text(&node["customer"]["id"]),
            version: n(&node["version"]),
            cancelled: status == "CANCELLED",
            open: !matches!(status.as_str(), "CANCELLED" | "DELIVERED" | "REFUNDED"),
            total: pence(&node["total"]),
            paid: pence(&node["totalPaid"]),
            refunded: pence(&node["totalRefunded"]),
            lines: list(&node["lines"]).iter().map(line).collect(),
        }
    }
}

impl Ledger<'_> {
    async fn ask(&self, query: &str, variables: Value) -> Result<Value, Failure> {
        let (mut till, since) = (Till::new(self.shop, "ledger", 0), Instant::now());
        loop {
            let node = till.node(self.shop).await;
            match self.shop.staff.ask(node, query, variables.clone()).await {
                Answer::Data(data) => return Ok(data),
                other if since.elapsed() > PATIENCE => return Err(format!("the ledger's question: {other:?}: {query}").into()),
                _ => pause(Duration::from_millis(200)).await,
            }
        }
    }

    /// Every order, each with every version once, and every acknowledged command in the place that its receipt names.
    pub(super) async fn check_orders(&self) -> Result<Vec<Order>, Failure> {
        const QUERY: &str = "query($after: String) {
            orders(first: 20, after: $after, sort: { field: NUMBER, direction: ASC }) { pageInfo { hasNextPage endCursor } nodes {
                id version status total { amount } totalPaid { amount } totalRefunded { amount } customer { id }
                lines { productId quantity quantityRefunded }
                history(first: 100) { totalCount nodes { version type commandId } } } } }";
        let mut orders = Vec::new();
        let mut places: HashMap<String, Vec<(String, i64)>> = HashMap::new();
        let mut after = Value::Null;
        loop {
            let page = self.ask(QUERY, json!({ "after": after })).await?["orders"].take();
            for node in list(&page["nodes"]) {
                let order = Order::of(node);
                self.check_history(&order, &node["history"], &mut places);
                orders.push(order);
            }
            if page["pageInfo"]["hasNextPage"] != true {
                break;
            }
            after = page["pageInfo"]["endCursor"].clone();
        }
        for sent in self.shop.book.commands() {
            let Some(Outcome::Done { aggregate, version }) = &sent.outcome else { continue };
            let found = places.get(&sent.id).map(Vec::as_slice).unwrap_or_default();
            if aggregate.starts_with("order_") && found != [(aggregate.clone(), *version)] {
                count(if found.is_empty() { &self.shop.book.lost } else { &self.shop.book.duplicated });
                let (name, id) = (sent.name, &sent.id);
                self.finds(format!("{name} {id} was said to be {aggregate} version {version}; the read side shows {found:?}"));
            }
        }
        Ok(orders)
    }

    fn check_history(&self, order: &Order, history: &Value, places: &mut HashMap<String, Vec<(String, i64)>>) {
        let mut versions = Vec::new();
        for event in list(&history["nodes"]).iter().filter(|event| event["type"] != "CUSTOMER_RENAMED") {
            versions.push(n(&event["version"]));
            places.entry(text(&event["commandId"])).or_default().push((order.id.clone(), n(&event["version"])));
        }
        // A page of a hundred has all of it, unless the customer was renamed very often.
        let whole = n(&history["totalCount"]) <= 100;
        if whole && versions != (1..=order.version).collect::<Vec<_>>() {
            self.finds(format!("{} is in version {} and its history has {versions:?}", order.id, order.version));
        }
    }

    /// What was put on each shelf, less what is in orders.
    pub(super) async fn check_products(&self, orders: &[Order]) -> Result<(), Failure> {
        let (mut reserved, mut sold): (BTreeMap<&str, i64>, BTreeMap<&str, i64>) = Default::default();
        for (product, units, refunded) in orders.iter().filter(|order| !order.cancelled).flat_map(|order| &order.lines) {
            // Only what has been delivered is paid back here, so nothing comes back to the shelf.
            *reserved.entry(product).or_default() += units;
            *sold.entry(product).or_default() += units - refunded;
        }
        for (id, put) in self.shop.products() {
            let data = self.ask("query($id: ID!) { product(id: $id) { available unitsSold } }", json!({ "id": id })).await?;
            let of = |sums: &BTreeMap<&str, i64>| sums.get(id.as_str()).copied().unwrap_or_default();
            let (expected, seen) =
                ((put - of(&reserved), of(&sold)), (n(&data["product"]["available"]), n(&data["product"]["unitsSold"])));
            if expected != seen {
                self.finds(format!("{id} should have {expected:?} units available and sold, and has {seen:?}"));
            }
        }
        Ok(())
    }

    /// The summary of every customer against their orders.
    pub(super) async fn check_customers(&self, orders: &[Order]) -> Result<(), Failure> {
        const QUERY: &str =
            "query($id: ID!) { user(id: $id) { orderSummary { orderCount openOrderCount totalSpent { amount } } } }";
        for customer in &self.shop.customers {
            let own: Vec<_> = orders.iter().filter(|order| order.customer == customer.subject).collect();
            let spent: i64 = own.iter().map(|order| order.paid - order.refunded).sum();
            let open = own.iter().filter(|order| order.open).count();
            let expected = (own.len() as i64, open as i64, spent);
            let summary = self.ask(QUERY, json!({ "id": customer.subject })).await?["user"]["orderSummary"].take();
            let told = list(&summary["totalSpent"]).iter().map(pence).sum();
            let seen = (n(&summary["orderCount"]), n(&summary["openOrderCount"]), told);
            if expected != seen {
                self.finds(format!(
                    "{} should have {expected:?} orders, open orders and pence, and has {seen:?}",
                    customer.subject
                ));
            }
        }
        Ok(())
    }

    /// The whole report against all orders.
    pub(super) async fn check_sales(&self, orders: &[Order]) -> Result<(), Failure> {
        const QUERY: &str = "query($from: DateTime!, $to: DateTime!) {
            salesReport(from: $from, to: $to) { buckets { orderCount itemCount revenue { amount } } } }";
        let now = Clock::system().now();
        let day = |days: i64| (now + time::Duration::days(days)).format(&time::format_description::well_known::Rfc3339);
        let report = self.ask(QUERY, json!({ "from": day(-2)?, "to": day(2)? })).await?["salesReport"].take();
        let mut seen = (0, 0, 0);
        for bucket in list(&report["buckets"]) {
            seen.0 += n(&bucket["orderCount"]);
            seen.1 += n(&bucket["itemCount"]);
            seen.2 += list(&bucket["revenue"]).iter().map(pence).sum::<i64>();
        }
        let mut expected = (0, 0, 0);
        for order in orders.iter().filter(|order| !order.cancelled) {
            expected.0 += 1;
            expected.1 += order.lines.iter().map(|(_, units, refunded)| units - refunded).sum::<i64>();
            expected.2 += order.total - order.refunded;
        }
        if expected != seen {
            self.finds(format!("the report should tell of {expected:?} orders, items and pence, and tells of {seen:?}"));
        }
        Ok(())
    }
}
