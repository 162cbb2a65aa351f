//! Another service, with a queue of its own that is bound to everything.

use super::TestApp;
use lapin::{
    message::BasicGetMessage,
    options::{BasicGetOptions, QueueBindOptions, QueueDeclareOptions},
    types::FieldTable,
};
use serde_json::Value;
use std::collections::BTreeMap;

pub struct Ear {
    channel: lapin::Channel,
    // Dropping a connection closes it.
    _connection: lapin::Connection,
}

const EAR: &str = "another.service";

impl Ear {
    pub async fn open(app: &TestApp) -> Self {
        // Somebody must have declared the exchange.
        app.publish(Vec::new()).await;
        let connection =
            lapin::Connection::connect(&app.bus().url, lapin::ConnectionProperties::default()).await.expect("a line");
        let channel = connection.create_channel().await.expect("a channel");
        channel.queue_declare(EAR.into(), QueueDeclareOptions::default(), FieldTable::default()).await.expect("declared");
        let bind = QueueBindOptions::default();
        channel.queue_bind(EAR.into(), "orderflow.events".into(), "#".into(), bind, FieldTable::default()).await.expect("bound");
        Self { channel, _connection: connection }
    }

    /// The next message that has come, as the broker hands it out.
    pub async fn next(&self) -> Option<BasicGetMessage> {
        self.channel.basic_get(EAR.into(), BasicGetOptions { no_ack: true }).await.expect("a look")
    }

    /// The versions of each stream in the order in which they were first heard, and how many were heard again.
    pub async fn heard(&self) -> (BTreeMap<String, Vec<i64>>, usize) {
        let (mut heard, mut again) = (BTreeMap::<String, Vec<i64>>::new(), 0);
        while let Some(message) = self.next().await {
            let event: Value = serde_json::from_slice(&message.data).expect("JSON");
            let versions = heard.entry(event["subject"].as_str().expect("a subject").to_owned()).or_default();
            let version = event["streamversion"].as_i64().expect("a version");
            if versions.contains(&version) {
                again += 1;
            } else {
                versions.push(version);
            }
        }
        (heard, again)
    }
}
