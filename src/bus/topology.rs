//! Exchanges and queues, every option with its reason.
//!
//! ```text
//! orderflow.events (topic) ──#──▶ orderflow.partitions (consistent hash by header "partitionkey"), one a generation
//!        └── other services bind                    ├──▶ orderflow.projector.0 ┐ quorum, single active consumer
//!            queues of their own                    └──▶ orderflow.projector.n ┘   └── over the delivery limit ─▶ orderflow.dead
//! ```
//!
//! A consistent hash keeps everything of one key in one queue, and a single active consumer keeps a queue in order while
//! consumers come and go: order and parallelism together (recommended by a maintainer in rabbitmq/rabbitmq-server#4974).
//!
//! Every generation of the read model has a hash exchange and queues of its own, so that each gets every event and none takes
//! another's. The first has the names from before there were several; the third has `orderflow.partitions.3` and
//! `orderflow.projector.3.0`.

use super::BusError;
use lapin::{
    Channel, Connection, ExchangeKind,
    options::{
        ExchangeBindOptions, ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions,
        QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable},
};

/// Where events are published, by type: other services may bind queues of their own with patterns such as `orderflow.order.#`.
pub(super) const EVENTS: &str = "orderflow.events";
/// The generation from before there were several.
const FIRST: i32 = 1;
/// Spreads events over the queues of a projector.
const PARTITIONS: &str = "orderflow.partitions";
/// Takes what a queue gave up on; empty in a healthy system, and an operator's concern otherwise.
const DEAD: &str = "orderflow.dead";
/// The header by which partitions are chosen.
pub(super) const PARTITION_HEADER: &str = "partitionkey";
/// The header of a message that is no event: whoever works on the queue has come to this place.
pub(super) const MARK_HEADER: &str = "orderflowmark";
/// The mark that means nothing: whoever sent it only wanted to know whether the queue takes it.
pub(super) const PROBE: &str = "probe";

pub(super) fn queue(generation: i32, partition: u16) -> String {
    match generation {
        FIRST => format!("orderflow.projector.{partition}"),
        later => format!("orderflow.projector.{later}.{partition}"),
    }
}

/// The hash exchange of a generation.
fn hash(generation: i32) -> String {
    match generation {
        FIRST => PARTITIONS.to_owned(),
        later => format!("{PARTITIONS}.{later}"),
    }
}

// Everything survives a restart of the broker, and nothing goes away because nobody uses it for a while.
const EXCHANGE: ExchangeDeclareOptions =
    ExchangeDeclareOptions { passive: false, durable: true, auto_delete: false, internal: false, nowait: false };
// Nobody publishes to the inner exchanges directly.
const INNER: ExchangeDeclareOptions = ExchangeDeclareOptions { internal: true, ..EXCHANGE };
const QUEUE: QueueDeclareOptions =
    QueueDeclareOptions { passive: false, durable: true, exclusive: false, auto_delete: false, nowait: false };

/// Declares what everybody shares, and the queues of these generations.
pub(super) async fn declare(connection: &Connection, partitions: u16, generations: &[i32]) -> Result<(), BusError> {
    let channel = connection.create_channel().await?;
    let none = FieldTable::default;
    channel.exchange_declare(DEAD.into(), ExchangeKind::Fanout, INNER, none()).await?;
    let mut dead = none();
    dead.insert("x-queue-type".into(), text("quorum"));
    channel.queue_declare(DEAD.into(), QUEUE, dead).await?;
    channel.queue_bind(DEAD.into(), DEAD.into(), "".into(), QueueBindOptions::default(), none()).await?;
    channel.exchange_declare(EVENTS.into(), ExchangeKind::Topic, EXCHANGE, none()).await?;
    for generation in generations {
        declare_generation(&channel, partitions, *generation).await?;
    }
    channel.close(200, "declared".into()).await?;
    Ok(())
}

async fn declare_generation(channel: &Channel, partitions: u16, generation: i32) -> Result<(), BusError> {
    let none = FieldTable::default;
    let exchange = hash(generation);
    let mut header = none();
    header.insert("hash-header".into(), text(PARTITION_HEADER));
    let kind = ExchangeKind::Custom("x-consistent-hash".into());
    channel.exchange_declare(exchange.as_str().into(), kind, INNER, header).await?;
    for partition in 0..partitions {
        let name = queue(generation, partition);
        channel.queue_declare(name.as_str().into(), QUEUE, arguments()).await?;
        // With this exchange the binding key is a weight: every queue gets an equal share.
        channel.queue_bind(name.into(), exchange.as_str().into(), "1".into(), QueueBindOptions::default(), none()).await?;
    }
    // Last, so that the first event finds every queue in its place.
    channel.exchange_bind(exchange.into(), EVENTS.into(), "#".into(), ExchangeBindOptions::default(), none()).await?;
    Ok(())
}

/// From now on nothing comes to the queues of a generation. Twice is once.
pub(super) async fn unbind(channel: &Channel, generation: i32) -> Result<(), BusError> {
    Ok(channel.exchange_delete(hash(generation).into(), ExchangeDeleteOptions { if_unused: false, nowait: false }).await?)
}

/// Deletes a queue with all that is in it. Twice is once.
pub(super) async fn delete(channel: &Channel, generation: i32, partition: u16) -> Result<(), BusError> {
    let options = QueueDeleteOptions { if_unused: false, if_empty: false, nowait: false };
    channel.queue_delete(queue(generation, partition).into(), options).await?;
    Ok(())
}

/// Whether the broker knows the kind of exchange that spreads events.
pub(super) async fn check(channel: &Channel) -> Result<(), BusError> {
    let kind = ExchangeKind::Custom("x-consistent-hash".into());
    let options = ExchangeDeclareOptions { durable: false, auto_delete: true, ..INNER };
    channel.exchange_declare("orderflow.check".into(), kind, options, FieldTable::default()).await?;
    let gone = ExchangeDeleteOptions { if_unused: false, nowait: false };
    Ok(channel.exchange_delete("orderflow.check".into(), gone).await?)
}

/// Looks whether the exchange for events is there; the broker answers from memory.
pub(super) async fn look(channel: &Channel) -> Result<(), BusError> {
    let look = ExchangeDeclareOptions { passive: true, ..EXCHANGE };
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
