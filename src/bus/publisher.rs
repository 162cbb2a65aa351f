//! Publishes with confirms: a message counts when the broker has it on disk and in a queue, not when it was sent.

use super::{BusError, Settings, connection, topology};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::{AMQPValue, FieldTable},
};
use std::borrow::Cow;
use uuid::Uuid;

/// A message to publish.
#[derive(Debug)]
pub struct Outgoing {
    pub id: String,
    /// The event's type; other services select by it.
    pub kind: Cow<'static, str>,
    pub partition_key: Uuid,
    pub traceparent: Option<String>,
    /// Milliseconds since 1970, for the pipeline times of the event.
    pub published_at: i64,
    pub body: Vec<u8>,
}

/// A channel in confirm mode, good until its first error.
#[derive(Debug)]
pub struct Publisher {
    // Dropping a connection closes it, so it lives beside its channel.
    _connection: Connection,
    channel: Channel,
}

impl Publisher {
    /// # Errors
    /// The broker is away, refuses, or does not answer in time.
    pub async fn connect(settings: &Settings) -> Result<Self, BusError> {
        let connection = connection::connect(settings, "relay").await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions { nowait: false }).await?;
        Ok(Self { _connection: connection, channel })
    }

    /// Asks the broker whether it is there: a line on which nothing is sent looks well for as long as nobody asks.
    ///
    /// # Errors
    /// It is not, and the publisher is of no more use.
    pub async fn ask(&self) -> Result<(), BusError> {
        connection::ask(&self.channel).await
    }

    /// Publishes all messages in order without waiting between them, then waits for the confirms. The answer says of each whether
    /// the broker has taken it; a message that no queue wanted, or that the broker refused, was not.
    ///
    /// # Errors
    /// The link is lost, or the broker did not confirm in time: nothing is known of any message, and the publisher is of no more
    /// use.
    pub async fn publish(&self, messages: Vec<Outgoing>) -> Result<Vec<bool>, BusError> {
        let all = async {
            let mut confirms = Vec::with_capacity(messages.len());
            for message in messages {
                // Unroutable messages come back instead of vanishing.
                let options = BasicPublishOptions { mandatory: true, immediate: false };
                let properties = properties(&message);
                let confirm = self
                    .channel
                    .basic_publish(topology::EVENTS.into(), message.kind.as_ref().into(), options, &message.body, properties)
                    .await?;
                confirms.push(confirm);
            }
            crate::crash::point("after-publish");
            let mut taken = Vec::with_capacity(confirms.len());
            for confirm in confirms {
                taken.push(matches!(confirm.await?, Confirmation::Ack(None)));
            }
            Ok(taken)
        };
        tokio::time::timeout(connection::PATIENCE, all).await.map_err(|_| BusError::Timeout(connection::PATIENCE))?
    }
}

fn properties(message: &Outgoing) -> BasicProperties {
    let text = |value: &str| AMQPValue::LongString(value.into());
    let mut headers = FieldTable::default();
    headers.insert(topology::PARTITION_HEADER.into(), text(&message.partition_key.simple().to_string()));
    headers.insert("publishedat".into(), AMQPValue::LongLongInt(message.published_at));
    if let Some(traceparent) = &message.traceparent {
        headers.insert("traceparent".into(), text(traceparent));
    }
    BasicProperties::default()
        // CloudEvents AMQP binding, structured mode.
        .with_content_type("application/cloudevents+json; charset=utf-8".into())
        .with_type(message.kind.as_ref().into())
        .with_message_id(message.id.as_str().into())
        // Persistent.
        .with_delivery_mode(2)
        .with_headers(headers)
}
