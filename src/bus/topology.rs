//! Exchanges and queues, every option with its reason.
//!
//! ```text
//! orderflow.events (topic) ──#──▶ orderflow.partitions (consistent hash by header "partitionkey")
//!        └── other services bind                    ├──▶ orderflow.projector.0 ┐ quorum, single active consumer
//!            queues of their own                    └──▶ orderflow.projector.n ┘   └── over the delivery limit ──▶
//orderflow.dead
//! ```
//!
//! A consistent hash keeps everything of one key in one queue, and a single active consumer keeps a queue in order while
//! consumers come and go: order and parallelism together (recommended by a maintainer in rabbitmq/rabbitmq-server#4974).

use super::BusError;
use lapin::{
    Channel, Connection, ExchangeKind,
    options::{ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};

/// Where events are published, by type: other services may bind queues of their own with patterns such as `orderflow.order.#`.
pub(super) const EVENTS: &str = "orderflow.events";
/// Spreads events over the projector's queues.
const PARTITIONS: &str = "orderflow.partitions";
/// Takes what a queue gave up on; empty in a healthy system, and an operator's concern otherwise.
const DEAD: &str = "orderflow.dead";
/// The header by which partitions are chosen.
pub(super) const PARTITION_HEADER: &str = "partitionkey";

pub(super) fn queue(partition: u16) -> String {
    format!("orderflow.projector.{partition}")
}

pub(super) async fn declare(connection: &Connection, partitions: u16) -> Result<(), BusError> {
    let channel = connection.create_channel().await?;
    // Everything survives a restart of the broker, and nothing goes away because nobody uses it for a while.
    let exchange = ExchangeDeclareOptions { passive: false, durable: true, auto_delete: false, internal: false, nowait: false };
    // Nobody publishes to the inner exchanges directly.
    let inner = ExchangeDeclareOptions { internal: true, ..exchange };
    let queue_options =
        QueueDeclareOptions { passive: false, durable: true, exclusive: false, auto_delete: false, nowait: false };
    let none = FieldTable::default;

    channel.exchange_declare(DEAD.into(), ExchangeKind::Fanout, inner, none()).await?;
    let mut dead = none();
    dead.insert("x-queue-type".into(), text("quorum"));
    channel.queue_declare(DEAD.into(), queue_options, dead).await?;
    channel.queue_bind(DEAD.into(), DEAD.into(), "".into(), QueueBindOptions::default(), none()).await?;

    channel.exchange_declare(EVENTS.into(), ExchangeKind::Topic, exchange, none()).await?;
    let mut hash = none();
    hash.insert("hash-header".into(), text(PARTITION_HEADER));
    channel.exchange_declare(PARTITIONS.into(), ExchangeKind::Custom("x-consistent-hash".into()), inner, hash).await?;
    channel.exchange_bind(PARTITIONS.into(), EVENTS.into(), "#".into(), ExchangeBindOptions::default(), none()).await?;

    for partition in 0..partitions {
        let name = queue(partition);
        channel.queue_declare(name.as_str().into(), queue_options, arguments()).await?;
        // With this exchange the binding key is a weight: every queue gets an equal share.
        channel.queue_bind(name.into(), PARTITIONS.into(), "1".into(), QueueBindOptions::default(), none()).await?;
    }
    channel.close(200, "declared".into()).await?;
    Ok(())
}

/// Looks whether the exchange for events is there; the broker answers from memory.
pub(super) async fn look(channel: &Channel) -> Result<(), BusError> {
    let look = ExchangeDeclareOptions { passive: true, durable: true, auto_delete: false, internal: false, nowait: false };
    Ok(channel.exchange_declare(EVENTS.into(), ExchangeKind::Topic, look, FieldTable::default()).await?)
}

fn arguments() -> FieldTable {
    let mut arguments = FieldTable::default();
    // Replicated and written to disk before it is confirmed.
    arguments.insert("x-queue-type".into(), text("quorum"));
    // Order: one consumer at a time, and the next takes over by itself.
    arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    // A consumer that crashes or loses its connection returns what it held, which counts as a delivery. RabbitMQ 4 would drop a
    // message after 20 of those; here a message is never to blame for them, since what cannot be projected is parked and
    // acknowledged.
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(100_000));
    arguments.insert("x-dead-letter-exchange".into(), text(DEAD));
    // A bound, so that a dead projector cannot fill the broker's disk: past it publishing is refused and events wait in the
    // outbox.
    arguments.insert("x-max-length-bytes".into(), AMQPValue::LongLongInt(2 * 1024 * 1024 * 1024));
    arguments.insert("x-overflow".into(), text("reject-publish"));
    arguments
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}
