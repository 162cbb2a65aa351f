//! What people do in the shop, in one line each.

use super::{Client, TestApp, until};
use serde_json::{Value, json};

/// An order that has been placed.
#[derive(Debug, Clone)]
pub struct Placed {
    pub id: String,
    pub token: String,
}

/// A wished line: product and units.
pub type Line<'a> = (&'a str, i64);

impl TestApp {
    /// A new customer, and their client.
    pub async fn customer(&self, name: &str) -> (String, Client) {
        let email = format!("{}@example.com", name.to_lowercase().replace(' ', "."));
        let receipt = self.admin().accepted("createUser", json!({ "email": email, "displayName": name })).await;
        let id = receipt["aggregateId"].as_str().expect("an id").to_owned();
        let client = self.as_customer(&id);
        (id, client)
    }

    /// A new product at so many pence.
    pub async fn product(&self, sku: &str, pence: i64, stock: i64) -> String {
        let price = json!({ "amount": format!("{}.{:02}", pence / 100, pence % 100), "currencyCode": "GBP" });
        let input = json!({ "sku": sku, "name": format!("Product {sku}"), "price": price, "stock": stock });
        let receipt = self.admin().accepted("createProduct", input).await;
        receipt["aggregateId"].as_str().expect("an id").to_owned()
    }

    /// Waits until the read side has an order in this version.
    pub async fn seen(&self, order: &str, version: i64) -> Value {
        let admin = self.admin();
        let query =
            "query($id: ID!) { order(id: $id) { id version status number reference total { amount } totalRefunded { amount }
            customer { id displayName email } lines { id sku quantity quantityShipped quantityRefunded } } }";
        until(&format!("{order} in version {version}"), || async {
            let found = admin.ask(query, json!({ "id": order })).await["order"].take();
            if found["version"].as_i64() >= Some(version) { Ok(found) } else { Err(found) }
        })
        .await
    }
}

impl Client {
    /// Places an order for oneself.
    pub async fn place(&self, lines: &[Line<'_>]) -> Placed {
        let lines: Vec<Value> = lines.iter().map(|(id, quantity)| json!({ "productId": id, "quantity": quantity })).collect();
        let receipt = self.accepted("placeOrder", json!({ "lines": lines })).await;
        Placed {
            id: receipt["aggregateId"].as_str().expect("an id").to_owned(),
            token: receipt["token"].as_str().expect("a token").to_owned(),
        }
    }

    pub async fn pay(&self, order: &str) -> Value {
        self.accepted("payOrder", json!({ "orderId": order, "reference": "PAY-1" })).await
    }

    pub async fn ship(&self, order: &str) -> Value {
        self.accepted("shipOrder", json!({ "orderId": order })).await
    }

    pub async fn deliver(&self, order: &str) -> Value {
        self.accepted("deliverOrder", json!({ "orderId": order })).await
    }
}
