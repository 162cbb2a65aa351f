//! Consumes all partitions and hands out what has arrived in batches. Acknowledging is a step of its own, after the effect.

use super::{BusError, Settings, connection, topology};
use futures_util::{
    Stream, StreamExt,
    stream::{self, SelectAll},
};
use lapin::{
    Channel, Connection,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions},
    types::{AMQPValue, FieldTable},
};
use std::{collections::BTreeMap, pin::Pin};

/// A message of one partition.
#[derive(Debug)]
pub struct Received {
    pub partition: u16,
    pub body: Vec<u8>,
    /// Milliseconds since 1970.
    pub published_at: Option<i64>,
    /// Set when this is no event but a mark of [`super::Queues::mark`].
    pub mark: Option<String>,
    tag: u64,
}

impl Received {
    /// Whether it means nothing (see [`super::Queues::probe`]), and only has to be acknowledged.
    pub fn is_probe(&self) -> bool {
        self.mark.as_deref() == Some(topology::PROBE)
    }

    /// A message, or a mark, of a partition.
    #[cfg(test)]
    pub fn of(partition: u16, mark: Option<&str>) -> Self {
        Self { partition, body: Vec::new(), published_at: None, mark: mark.map(str::to_owned), tag: 0 }
    }
}

/// Messages to be worked on together; in order within each partition.
#[derive(Debug)]
pub struct Batch(pub Vec<Received>);

type Deliveries = Pin<Box<dyn Stream<Item = (u16, lapin::Result<Delivery>)> + Send>>;

/// A consumer of every partition of one generation, good until its first error. Of several the broker lets one work on each
/// queue.
pub struct Consumer {
    connection: Connection,
    /// One channel a partition: delivery tags count by channel, so one acknowledgement covers a partition's whole part of a
    /// batch.
    channels: BTreeMap<u16, Channel>,
    deliveries: stream::ReadyChunks<SelectAll<Deliveries>>,
}

impl Consumer {
    /// Takes at most `batch` messages at once, and has at most that many of each partition in hand.
    ///
    /// # Errors
    /// The broker is away, refuses, or does not answer in time.
    pub async fn connect(settings: &Settings, generation: i32, batch: u16) -> Result<Self, BusError> {
        let connection = connection::connect_with(settings, "projector", &[generation]).await?;
        // A queue without a leader keeps a new consumer waiting for a minute.
        let patience = connection::PATIENCE;
        let consuming = tokio::time::timeout(patience, consume(&connection, settings.partitions, generation, batch)).await;
        match consuming.map_err(|_| BusError::Timeout(patience)).flatten() {
            Ok((channels, all)) => {
                let deliveries = stream::select_all(all).ready_chunks(usize::from(batch.max(1)));
                Ok(Self { connection, channels, deliveries })
            }
            Err(error) => {
                // Those that consume already would keep what is theirs from whoever comes next.
                leave(connection).await;
                Err(error)
            }
        }
    }

    /// Waits for messages and takes all that are there.
    ///
    /// # Errors
    /// The link is lost; what was not acknowledged will come again, to whoever connects next.
    pub async fn next(&mut self) -> Result<Batch, BusError> {
        let chunk = self.deliveries.next().await.ok_or(BusError::Ended)?;
        let mut batch = Vec::with_capacity(chunk.len());
        for (partition, delivery) in chunk {
            let delivery = delivery?;
            let published_at =
                delivery.properties.headers().as_ref().and_then(|headers| match headers.inner().get("publishedat") {
                    Some(AMQPValue::LongLongInt(millis)) => Some(*millis),
                    _ => None,
                });
            let mark = mark(&delivery);
            batch.push(Received { partition, body: delivery.data, published_at, mark, tag: delivery.delivery_tag });
        }
        Ok(Batch(batch))
    }

    /// Tells the broker that a batch has had its effect.
    ///
    /// # Errors
    /// The link is lost; the batch will come again.
    pub async fn ack(&mut self, batch: &Batch) -> Result<(), BusError> {
        let mut last = BTreeMap::new();
        for message in &batch.0 {
            last.insert(message.partition, message.tag);
        }
        for (partition, tag) in last {
            if let Some(channel) = self.channels.get(&partition) {
                channel.basic_ack(tag, BasicAckOptions { multiple: true }).await?;
            }
        }
        Ok(())
    }

    /// Asks the broker whether it is there: a line on which nothing comes looks like one on which there is nothing to do.
    ///
    /// # Errors
    /// It is not; what was not acknowledged will come again, to whoever connects next.
    pub async fn ask(&mut self) -> Result<(), BusError> {
        match self.channels.values().next() {
            Some(channel) => connection::ask(channel).await,
            None => Ok(()),
        }
    }

    /// Gives everything in hand back to the broker and leaves, so that another consumer takes over at once.
    pub async fn leave(self) {
        leave(self.connection).await;
    }
}

/// A consumer on each partition of a generation, each on a channel of its own.
async fn consume(
    connection: &Connection,
    partitions: u16,
    generation: i32,
    batch: u16,
) -> Result<(BTreeMap<u16, Channel>, Vec<Deliveries>), BusError> {
    let mut channels = BTreeMap::new();
    let mut all = Vec::new();
    for partition in 0..partitions {
        let channel = connection.create_channel().await?;
        // Twice a batch, so that the next is here when the last is done. Not global: the limit is this consumer's.
        channel.basic_qos(batch.saturating_mul(2), BasicQosOptions { global: false }).await?;
        let options = BasicConsumeOptions { no_local: false, no_ack: false, exclusive: false, nowait: false };
        let queue = topology::queue(generation, partition);
        let consumer = channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await?;
        channels.insert(partition, channel);
        let tagged = consumer.map(move |delivery| (partition, delivery)).chain(stream::once(async move {
            // A cancelled consumer (its queue was deleted, its node went away) must not look like an idle one.
            (partition, Err(lapin::ErrorKind::InvalidChannelState(lapin::ChannelState::Closed, "consumer").into()))
        }));
        all.push(Box::pin(tagged) as Deliveries);
    }
    Ok((channels, all))
}

async fn leave(connection: Connection) {
    let goodbye = connection.close(200, "leaving".into());
    if tokio::time::timeout(std::time::Duration::from_secs(2), goodbye).await.is_err() {
        tracing::debug!("the broker did not say goodbye in time");
    }
}

fn mark(delivery: &Delivery) -> Option<String> {
    match delivery.properties.headers().as_ref()?.inner().get(topology::MARK_HEADER)? {
        AMQPValue::LongString(text) => Some(text.to_string()),
        _ => None,
    }
}
