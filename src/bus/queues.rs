//! The queues of generations from outside: made, looked at, marked and removed by whoever rebuilds a read model, and looked at by
//! whoever must know whether something is still on its way.

use super::{BusError, Settings, connection, topology};
use futures_util::future::join_all;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, PublisherConfirm,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};

/// How far behind a generation's queues are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Messages that wait to be delivered, in all partitions.
    pub messages: u64,
    /// Whether every queue has somebody to work on it.
    pub consumed: bool,
}

/// What the queues of a generation did with a message that means nothing.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Those that refused it or said nothing within the wait: full, or without a leader. While there is one, nothing that is
    /// published is confirmed.
    pub deaf: Vec<String>,
    /// Those that are not there. Nobody waits for them, and what should be in them is lost to the generation.
    pub missing: Vec<String>,
}

impl Probe {
    /// Whether all queues took it.
    pub fn is_well(&self) -> bool {
        self.deaf.is_empty() && self.missing.is_empty()
    }
}

/// A link to the broker, good until its first error. It declares nothing by itself: whoever only looks must not add queues to the
/// hash because they were told another number of partitions.
#[derive(Debug)]
pub struct Queues {
    connection: Connection,
    partitions: u16,
}

impl Queues {
    /// # Errors
    /// The broker is away, refuses, or does not answer in time.
    pub async fn connect(settings: &Settings) -> Result<Self, BusError> {
        let connection = in_time(connection::open(settings, "generations")).await?;
        Ok(Self { connection, partitions: settings.partitions })
    }

    /// Makes the queues of a generation, and binds them: from now on everything that is published is there too.
    ///
    /// # Errors
    /// The link is lost.
    pub async fn open(&self, generation: i32) -> Result<(), BusError> {
        topology::declare(&self.connection, self.partitions, &[generation]).await
    }

    /// Removes the queues of a generation with all that is in them. Removing twice is removing once. False when one could not be
    /// deleted: it gets nothing any more and is in nobody's way, and should be removed again later.
    ///
    /// # Errors
    /// The link is lost, or the broker does not answer in time: events may still go there.
    pub async fn remove(&self, generation: i32) -> Result<bool, BusError> {
        in_time(self.unbind(generation)).await?;
        let mut all = true;
        for partition in 0..self.partitions {
            // One without a leader takes RabbitMQ 3.10 five seconds.
            if let Err(error) = in_time(self.delete(generation, partition)).await {
                if !self.connection.status().connected() {
                    return Err(error);
                }
                tracing::warn!(%error, generation, partition, "a queue that nobody needs could not be deleted yet");
                all = false;
            }
        }
        Ok(all)
    }

    async fn unbind(&self, generation: i32) -> Result<(), BusError> {
        let channel = self.connection.create_channel().await?;
        topology::unbind(&channel, generation).await?;
        Ok(channel.close(200, "unbound".into()).await?)
    }

    async fn delete(&self, generation: i32, partition: u16) -> Result<(), BusError> {
        let channel = self.connection.create_channel().await?;
        topology::delete(&channel, generation, partition).await?;
        Ok(channel.close(200, "deleted".into()).await?)
    }

    /// What waits in the queues of a generation, and has not been given to a consumer; nothing when it has no queues. What a
    /// consumer has in hand is not among it: the protocol does not tell.
    ///
    /// # Errors
    /// The link is lost, or the broker does not answer in time.
    pub async fn backlog(&self, generation: i32) -> Result<Option<Backlog>, BusError> {
        in_time(self.look(generation)).await
    }

    async fn look(&self, generation: i32) -> Result<Option<Backlog>, BusError> {
        let channel = self.connection.create_channel().await?;
        // Passive: it is asked about, not made.
        let passive = QueueDeclareOptions { passive: true, durable: true, exclusive: false, auto_delete: false, nowait: false };
        let mut backlog = Backlog { messages: 0, consumed: true };
        for partition in 0..self.partitions {
            let name = topology::queue(generation, partition);
            match channel.queue_declare(name.into(), passive, FieldTable::default()).await {
                Ok(queue) => {
                    backlog.messages += u64::from(queue.message_count());
                    backlog.consumed &= queue.consumer_count() > 0;
                }
                // The broker answers a look at a queue that is not there by closing the channel, and nothing more.
                Err(_) if self.connection.status().connected() => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        channel.close(200, "looked".into()).await?;
        Ok(Some(backlog))
    }

    /// Puts a mark at the end of every queue of a generation. Whoever comes to it has worked on everything before it.
    ///
    /// # Errors
    /// The link is lost, or a queue does not take the mark.
    pub async fn mark(&self, generation: i32, mark: &str) -> Result<(), BusError> {
        let marking = async {
            let channel = self.confirming().await?;
            let mut sent = Vec::with_capacity(usize::from(self.partitions));
            for partition in 0..self.partitions {
                let queue = topology::queue(generation, partition);
                let confirm = send(&channel, &queue, mark).await?;
                sent.push((queue, confirm));
            }
            for (queue, confirm) in sent {
                if !matches!(confirm.await?, Confirmation::Ack(None)) {
                    return Err(BusError::Refused(queue));
                }
            }
            Ok(channel.close(200, "marked".into()).await?)
        };
        in_time(marking).await
    }

    /// Tries every queue of a generation with a message that means nothing to whoever gets it. It stays where nobody does.
    ///
    /// # Errors
    /// The link is lost.
    pub async fn probe(&self, generation: i32) -> Result<Probe, BusError> {
        let queues = (0..self.partitions).map(|partition| self.try_one(topology::queue(generation, partition)));
        let mut probe = Probe::default();
        for tried in join_all(queues).await {
            match tried? {
                (_, Some(Confirmation::Ack(None))) => {}
                (queue, Some(Confirmation::Ack(Some(_)))) => probe.missing.push(queue),
                (queue, Some(_) | None) => probe.deaf.push(queue),
            }
        }
        Ok(probe)
    }

    /// On a channel of its own: a queue without a leader holds up whatever comes after it, and the broker does not even close
    /// such a channel. It goes with its connection.
    async fn try_one(&self, queue: String) -> Result<(String, Option<Confirmation>), BusError> {
        let trying = async {
            let channel = self.confirming().await?;
            let confirm = send(&channel, &queue, topology::PROBE).await?.await?;
            channel.close(200, "tried".into()).await?;
            Ok::<_, BusError>(confirm)
        };
        let answer = tokio::time::timeout(connection::ANSWER, trying).await.ok().transpose()?;
        Ok((queue, answer))
    }

    async fn confirming(&self) -> Result<Channel, BusError> {
        let channel = self.connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions { nowait: false }).await?;
        Ok(channel)
    }

    /// Leaves in order.
    pub async fn close(self) {
        // Whoever is not heard is gone all the same.
        let _ = tokio::time::timeout(std::time::Duration::from_secs(2), self.connection.close(200, "done".into())).await;
    }
}

/// Sends a mark to a queue; what becomes of it the broker will say.
async fn send(channel: &Channel, queue: &str, mark: &str) -> Result<PublisherConfirm, BusError> {
    let mut headers = FieldTable::default();
    headers.insert(topology::MARK_HEADER.into(), AMQPValue::LongString(mark.into()));
    // Without an expiration, also where it means nothing: what expires is put with what queues gave up on.
    let properties = BasicProperties::default().with_delivery_mode(2).with_headers(headers);
    let options = BasicPublishOptions { mandatory: true, immediate: false };
    // The nameless exchange leads straight to the queue of that name.
    Ok(channel.basic_publish("".into(), queue.into(), options, b"", properties).await?)
}

async fn in_time<T>(asking: impl Future<Output = Result<T, BusError>>) -> Result<T, BusError> {
    let patience = connection::PATIENCE;
    tokio::time::timeout(patience, asking).await.map_err(|_| BusError::Timeout(patience))?
}
