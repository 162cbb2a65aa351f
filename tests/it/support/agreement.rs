//! Whether both sides tell the same story, and each of them only one.

use super::{TestApp, backstage::get};
use serde_json::{Value, json};
use std::collections::BTreeMap;

impl TestApp {
    /// Waits until the read model has everything, and asserts that it is what the write side says: every order with a whole
    /// history, and every counter the sum of the orders. Gives how many orders there are.
    pub async fn agree(&self) -> usize {
        let orders = self.agree_with_gaps().await;
        let model = self.read_model().await;
        expect_whole_log(&model["changes"], &model["positions"]);
        orders
    }

    /// The same where numbers were left out in the change log on purpose, to tell those who follow it that something is missing.
    pub async fn agree_with_gaps(&self) -> usize {
        self.caught_up().await;
        assert_eq!(self.broken_streams().await, 0, "the log has every version of every stream once");
        let model = self.read_model().await;
        assert_eq!(model["waiting"], Vec::<Value>::new(), "nothing waits");
        assert_eq!(model["parked"], Vec::<Value>::new(), "nothing stands still");
        let orders = &model["orders"];
        self.expect_the_same_orders(orders).await;
        for order in orders {
            expect_whole_history(order);
        }
        self.expect_the_same_stock(&model["products"]).await;
        for user in &model["users"] {
            let own: Vec<_> = orders.iter().filter(|order| order["customer"]["id"] == user["_id"]).collect();
            expect_summary(&user["summary"], &own);
        }
        expect_sales(&model["sales"], orders);
        orders.len()
    }

    async fn expect_the_same_orders(&self, orders: &[Value]) {
        let rows = self.rows("SELECT replace(id::text, '-', '') AS id, version, number, status FROM orders ORDER BY id").await;
        let row = |row| {
            json!([
                format!("order_{}", get::<String>(row, "id")),
                get::<i64>(row, "version"),
                get::<i64>(row, "number"),
                get::<String>(row, "status")
            ])
        };
        let written: Vec<_> = rows.iter().map(row).collect();
        let seen: Vec<_> = orders.iter().map(|o| json!([o["_id"], o["version"], o["number"], o["status"]])).collect();
        assert_eq!(seen, written);
    }

    async fn expect_the_same_stock(&self, products: &[Value]) {
        let sql =
            "SELECT replace(product_id::text, '-', '') AS id, version, available, units_sold FROM stock ORDER BY product_id";
        let rows = self.rows(sql).await;
        let row = |row| {
            json!([
                format!("product_{}", get::<String>(row, "id")),
                get::<i64>(row, "version"),
                get::<i64>(row, "available"),
                get::<i64>(row, "units_sold")
            ])
        };
        let written: Vec<_> = rows.iter().map(row).collect();
        let seen: Vec<_> =
            products.iter().map(|p| json!([p["_id"], p["stockVersion"], p["available"], p["unitsSold"]])).collect();
        assert_eq!(seen, written);
    }
}

/// A number in a document.
fn n(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("{value} is no whole number"))
}

/// Every version once and in order; a new name of the customer is no version.
fn expect_whole_history(order: &Value) {
    let history = order["history"].as_array().expect("a history").iter();
    let versions: Vec<_> = history.filter(|e| e["kind"] != "CUSTOMER_RENAMED").map(|e| n(&e["version"])).collect();
    assert_eq!(versions, (1..=n(&order["version"])).collect::<Vec<_>>(), "{}", order["_id"]);
}

fn expect_summary(summary: &Value, own: &[&Value]) {
    let closed = ["DELIVERED", "CANCELLED", "REFUNDED"];
    let open = own.iter().filter(|order| !closed.iter().any(|status| order["status"] == *status)).count();
    let spent: i64 = own.iter().map(|order| n(&order["paid"]) - n(&order["refunded"])).sum();
    let told: i64 = summary["spent"].as_array().expect("amounts").iter().map(|amount| n(&amount[1])).sum();
    assert_eq!((n(&summary["orderCount"]), n(&summary["openOrderCount"]), told), (own.len() as i64, open as i64, spent));
}

/// Orders, items and revenue of the whole report against those of all orders that were not cancelled.
fn expect_sales(buckets: &[Value], orders: &[Value]) {
    let sum = |field: &str| buckets.iter().map(|bucket| n(&bucket[field])).sum::<i64>();
    let counted: Vec<_> = orders.iter().filter(|order| order["status"] != "CANCELLED").collect();
    let lines = counted.iter().flat_map(|order| order["lines"].as_array().expect("lines"));
    let items: i64 = lines.map(|line| n(&line["quantity"]) - n(&line["refunded"])).sum();
    let revenue: i64 = counted.iter().map(|order| n(&order["total"]) - n(&order["refunded"])).sum();
    assert_eq!((sum("orderCount"), sum("itemCount"), sum("revenue")), (counted.len() as i64, items, revenue));
}

/// The changes of each partition are numbered without a gap, up to its counter.
fn expect_whole_log(changes: &[Value], positions: &[Value]) {
    let mut numbers: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for change in changes {
        numbers.entry(n(&change["_id"]["p"])).or_default().push(n(&change["_id"]["s"]));
    }
    for position in positions {
        let told = numbers.remove(&n(&position["_id"])).unwrap_or_default();
        assert_eq!(told, (1..=n(&position["number"])).collect::<Vec<_>>(), "partition {}", position["_id"]);
    }
    assert!(numbers.is_empty(), "{numbers:?} have no counter");
}
