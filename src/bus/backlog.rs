//! How many messages the projector's queues hold, for whoever must know whether something is still on its way.

use super::{BusError, Settings, connection, topology};
use lapin::{Channel, Connection, options::QueueDeclareOptions, types::FieldTable};

/// A look at the queues, good until its first error. It declares nothing: whoever only looks must not add queues to the hash
/// because they were told another number of partitions.
pub struct Backlog {
    connection: Connection,
    channel: Channel,
    partitions: u16,
}

impl Backlog {
    /// # Errors
    /// The broker is away, refuses, or does not answer in time.
    pub async fn connect(settings: &Settings) -> Result<Self, BusError> {
        let connecting = async {
            let connection = connection::open(settings, "backlog").await?;
            let channel = connection.create_channel().await?;
            Ok(Self { connection, channel, partitions: settings.partitions })
        };
        let patience = connection::PATIENCE;
        tokio::time::timeout(patience, connecting).await.map_err(|_| BusError::Timeout(patience))?
    }

    /// Messages that no consumer has been given yet, over all queues. What a consumer has in hand is not among them: the
    /// protocol does not tell.
    ///
    /// # Errors
    /// The link is lost, or a queue is not there.
    pub async fn ready(&self) -> Result<u64, BusError> {
        // Passive: it is asked about, not made.
        let look = QueueDeclareOptions { passive: true, durable: true, exclusive: false, auto_delete: false, nowait: false };
        let mut ready = 0;
        for partition in 0..self.partitions {
            let asking = self.channel.queue_declare(topology::queue(partition).into(), look, FieldTable::default());
            let asked = tokio::time::timeout(connection::PATIENCE, asking).await;
            ready += u64::from(asked.map_err(|_| BusError::Timeout(connection::PATIENCE))??.message_count());
        }
        Ok(ready)
    }

    /// Says goodbye; a broker that does not answer is not waited for.
    pub async fn close(self) {
        let goodbye = self.connection.close(200, "looked".into());
        let _ = tokio::time::timeout(std::time::Duration::from_secs(2), goodbye).await;
    }
}
