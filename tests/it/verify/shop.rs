//! A shop in which everything has happened once.

use crate::support::{Client, TestApp};
use serde_json::{Value, json};

/// Ada has been renamed and has most of the orders, by what has become of them; Alan has one.
pub struct Shop {
    pub ada: String,
    pub alan: String,
    pub tea: String,
    pub cup: String,
    pub pot: String,
    /// Ada's ten in the order of `lives`, her early one, and Alan's.
    pub orders: Vec<String>,
}

struct Counter<'a> {
    app: &'a TestApp,
    ada: Client,
    staff: Client,
    orders: Vec<String>,
}

impl Counter<'_> {
    async fn place(&mut self, lines: &[(&str, i64)]) -> String {
        let order = self.ada.place(lines).await.id;
        self.orders.push(order.clone());
        order
    }

    async fn paid(&mut self, lines: &[(&str, i64)]) -> String {
        let order = self.place(lines).await;
        self.ada.pay(&order).await;
        order
    }

    /// The id of a line, as the read side has it.
    async fn line(&self, order: &str, index: usize) -> Value {
        self.app.seen(order, 1).await["lines"][index]["id"].clone()
    }
}

fn address(line1: &str) -> Value {
    json!({ "line1": line1, "city": "London", "postalCode": "W1J 7NF", "countryCode": "GB" })
}

impl Shop {
    pub async fn open(app: &TestApp) -> Self {
        let (ada, client) = app.customer("Ada Byron").await;
        let (alan, alans_client) = app.customer("Alan Turing").await;
        let tea = app.product("TEA-1", 650, 1_000).await;
        let cup = app.product("CUP-1", 1_250, 1_000).await;
        let pot = app.product("POT-1", 3_995, 0).await;
        let staff = app.staff();
        staff.accepted("adjustStock", json!({ "productId": tea, "delta": -3, "reason": "Broken." })).await;
        staff.accepted("adjustStock", json!({ "productId": pot, "delta": 7 })).await;
        let update = json!({ "productId": tea, "name": "Earl Grey", "description": "With bergamot.", "active": true });
        staff.accepted("updateProduct", update).await;

        let mut counter = Counter { app, ada: client.clone(), staff, orders: Vec::new() };
        Self::lives(&mut counter, &tea, &cup, &pot).await;
        client.accepted("updateUserProfile", json!({ "userId": ada, "displayName": "Ada Lovelace" })).await;
        // Placed after the renaming, and in an hour of long ago.
        let early = json!({ "customerId": ada, "placedAt": "2011-12-01T08:26:00Z", "reference": "536365", "note": "A gift.",
            "lines": [{ "productId": cup, "quantity": 6 }], "shippingAddress": address("St James's Square 12") });
        let receipt = counter.staff.accepted("placeOrder", early).await;
        counter.orders.push(receipt["aggregateId"].as_str().expect("an id").to_owned());
        let alans = alans_client.place(&[(&cup, 1)]).await.id;
        alans_client.pay(&alans).await;
        let mut orders = counter.orders;
        orders.push(alans);
        app.caught_up().await;
        Self { ada, alan, tea, cup, pot, orders }
    }

    /// One order for everything that can become of one.
    async fn lives(counter: &mut Counter<'_>, tea: &str, cup: &str, pot: &str) {
        counter.place(&[(tea, 1)]).await;

        let changed = counter.place(&[(tea, 2), (cup, 1)]).await;
        let lines = json!([{ "productId": cup, "quantity": 3 }]);
        let change = json!({ "orderId": changed, "lines": lines, "note": "Ring twice.", "shippingAddress": address("Bank 1") });
        counter.ada.accepted("updateOrder", change).await;

        counter.paid(&[(tea, 1), (pot, 1)]).await;

        let in_part = counter.paid(&[(tea, 4), (cup, 2)]).await;
        let line = counter.line(&in_part, 0).await;
        let parcel = json!({ "orderId": in_part, "carrier": "Royal Mail", "trackingNumber": "RM 1",
            "lines": [{ "lineId": line, "quantity": 3 }] });
        counter.staff.accepted("shipOrder", parcel).await;

        let shipped = counter.paid(&[(cup, 5)]).await;
        counter.staff.ship(&shipped).await;

        let delivered = counter.paid(&[(tea, 1)]).await;
        counter.staff.ship(&delivered).await;
        counter.staff.deliver(&delivered).await;

        let cancelled = counter.place(&[(tea, 9)]).await;
        counter.ada.accepted("cancelOrder", json!({ "orderId": cancelled, "reason": "Too much." })).await;

        let paid_back = counter.paid(&[(pot, 1)]).await;
        counter.ada.accepted("cancelOrder", json!({ "orderId": paid_back })).await;

        let refunded_in_part = counter.paid(&[(tea, 2), (cup, 2)]).await;
        let line = counter.line(&refunded_in_part, 1).await;
        let refund = json!({ "orderId": refunded_in_part, "lines": [{ "lineId": line, "quantity": 1 }], "reason": "Cracked." });
        counter.staff.accepted("refundOrder", refund).await;

        let refunded = counter.paid(&[(cup, 1)]).await;
        counter.staff.ship(&refunded).await;
        counter.staff.accepted("refundOrder", json!({ "orderId": refunded })).await;
    }
}
