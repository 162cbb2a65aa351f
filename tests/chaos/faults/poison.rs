//! Poison: a message that nobody can read, in the place of an event that is still to come, and one that belongs nowhere. The
//! order stands still and says so, an operator sees both, and all others notice nothing: for them the load goes on.

use super::Faults;
use crate::{
    Failure,
    client::{Answer, Client},
    lives::place,
    pause,
};
use lapin::{
    BasicProperties, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::{AMQPValue, FieldTable},
};
use rand::Rng;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long the read side may take to show what has happened.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where messages are listed that belong to no order, user or product.
const STRAYS: &str = "unreadable";

impl Faults<'_> {
    pub(super) async fn poison(&mut self) -> Result<(), Failure> {
        // A read model that is built meanwhile would not have the messages, since they are not in the log.
        let shop = self.shop;
        let _alone = shop.read_models.lock().await;
        let customer = shop.customers[self.chance.random_range(0..shop.customers.len())].clone();
        let Some(placed) = place(shop, &mut self.till, &customer).await else { return Ok(()) };
        let order = placed.aggregate;
        self.shows(&customer, &order, (1, "CURRENT")).await;
        let hex = order.trim_start_matches("order_");
        let damaged = json!({
            "specversion": "1.0", "id": format!("event_{hex}"), "source": "/chaos", "type": "orderflow.order.paid.v1",
            "subject": format!("order/{hex}"), "streamversion": 2, "data": "chaos",
        });
        let key = self.partition_key(hex).await?;
        let stray = format!("chaos {hex}");
        self.publish(&key, &[damaged.to_string(), stray.clone()]).await?;
        self.shows(&customer, &order, (1, "PARKED")).await;
        self.operate(&format!("order/{hex}")).await?;
        // The payment itself, which takes the place of what was damaged.
        self.till.send(shop, &customer, "payOrder", json!({ "orderId": order, "reference": "CARD" })).await;
        self.shows(&customer, &order, (2, "CURRENT")).await;
        Ok(())
    }

    /// Waits until any node shows an order in this version and this state.
    async fn shows(&mut self, customer: &Client, order: &str, expected: (i64, &str)) {
        const QUERY: &str = "query($id: ID!) { order(id: $id) { version projection { state } } }";
        let since = Instant::now();
        loop {
            let node = self.till.node(self.shop).await;
            let answer = customer.ask(node, QUERY, json!({ "id": order })).await;
            let seen = match &answer {
                Answer::Data(data) => &data["order"],
                Answer::Error(_) | Answer::Lost => &Value::Null,
            };
            if (seen["version"].as_i64(), seen["projection"]["state"].as_str()) == (Some(expected.0), Some(expected.1)) {
                return;
            }
            if since.elapsed() > PATIENCE {
                self.shop.book.finds(format!("{order} should be seen as {expected:?}, and is seen as {answer:?}"));
                return;
            }
            pause(Duration::from_millis(50)).await;
        }
    }

    async fn partition_key(&self, hex: &str) -> Result<String, Failure> {
        let database = sea_orm::Database::connect(&self.stack.database_url).await?;
        let sql = format!("SELECT replace(partition_key::text, '-', '') AS key FROM event_log WHERE stream_id = '{hex}' LIMIT 1");
        let row = database.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
        let key = row.ok_or("the log has the order")?.try_get("", "key")?;
        database.close().await?;
        Ok(key)
    }

    /// Sends messages past the relay.
    async fn publish(&self, key: &str, bodies: &[String]) -> Result<(), Failure> {
        let connection = Connection::connect(&self.stack.amqp_url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let mut headers = FieldTable::default();
        headers.insert("partitionkey".into(), AMQPValue::LongString(key.into()));
        for body in bodies {
            let properties = BasicProperties::default().with_delivery_mode(2).with_headers(headers.clone());
            let options = BasicPublishOptions { mandatory: true, immediate: false };
            let sent = channel.basic_publish("orderflow.events".into(), "chaos".into(), options, body.as_bytes(), properties);
            sent.await?.await?;
        }
        Ok(connection.close(200, "done".into()).await?)
    }

    /// What an operator does: looks, tries in vain to go on, and throws away what belongs nowhere.
    async fn operate(&mut self, stream: &str) -> Result<(), Failure> {
        let since = Instant::now();
        loop {
            let listed = self.parked(&["list", "--json"]).await?;
            if listed.1.contains(stream) && listed.1.contains(STRAYS) {
                break;
            }
            if since.elapsed() > PATIENCE {
                self.shop.book.finds(format!("{stream} and {STRAYS} are parked, and the list is {listed:?}"));
                break;
            }
        }
        let retried = self.parked(&["retry", stream]).await?;
        if retried.0 != Some(1) {
            self.shop.book.finds(format!("{stream} cannot go on, and its retry was {retried:?}"));
        }
        let strays = self.parked(&["show", STRAYS, "--json"]).await?;
        let told: Value = serde_json::from_str(&strays.1).unwrap_or_default();
        for event in told["events"].as_array().into_iter().flatten() {
            let name = event["event"].as_str().unwrap_or_default();
            let discarded = self.parked(&["discard", name, "--reason", "chaos", "--by", "chaos"]).await?;
            if discarded.0 != Some(0) {
                self.shop.book.finds(format!("{name} belongs nowhere, and its discard was {discarded:?}"));
            }
        }
        Ok(())
    }

    /// Runs `orderflow parked` with these words: its exit code, and what it printed.
    async fn parked(&mut self, words: &[&str]) -> Result<(Option<i32>, String), Failure> {
        self.operations += 1;
        let name = format!("parked-{}", self.operations);
        self.shop.processes.run(&name, &[&["parked"], words].concat()).await
    }
}
