//! One connection to the broker, and when to try again after losing it.

use super::{BusError, Generations, topology};
use lapin::{Channel, Connection, ConnectionProperties, uri::AMQPUri};
use std::time::Duration;

/// Where the broker is, and how work is divided.
#[derive(Debug, Clone)]
pub struct Settings {
    pub url: String,
    /// Queues, and so consumers that can work in parallel. Fixed for the life of a deployment: with another number, keys move to
    /// other queues, and their order is only kept if the old ones are empty first.
    pub partitions: u16,
    /// The generations of the read model whose queues must be there before anything is published.
    pub generations: Generations,
}

/// How long the broker may take to accept a connection, and how long a confirm may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Connects and declares the topology, which is idempotent: whoever comes first makes it.
pub(super) async fn connect(settings: &Settings, name: &str) -> Result<Connection, BusError> {
    connect_with(settings, name, &settings.generations.ids()).await
}

/// The same, with the queues of these generations.
pub(super) async fn connect_with(settings: &Settings, name: &str, generations: &[i32]) -> Result<Connection, BusError> {
    let connecting = async {
        let connection = open(settings, name).await?;
        topology::declare(&connection, settings.partitions, generations).await?;
        Ok(connection)
    };
    tokio::time::timeout(PATIENCE, connecting).await.map_err(|_| BusError::Timeout(PATIENCE))?
}

/// Connects and makes nothing. Without a bound of its own: see [`PATIENCE`].
pub(super) async fn open(settings: &Settings, name: &str) -> Result<Connection, BusError> {
    let mut uri: AMQPUri = settings.url.parse().map_err(BusError::Address)?;
    // A dead peer is noticed after two missed heartbeats; the broker's default of 60 seconds is too long to be blind.
    uri.query.heartbeat.get_or_insert(10);
    uri.query.connection_timeout.get_or_insert(5_000);
    let properties = ConnectionProperties::default().with_connection_name(format!("orderflow {name}").into());
    Ok(Connection::connect_uri(uri, properties).await?)
}

/// How long the broker may take to answer a question that costs it nothing. A heartbeat would take four times as long to say that
/// a line is dead, and would say nothing of a broker that is up and does no work.
pub(super) const ANSWER: Duration = Duration::from_secs(5);

/// Asks the broker whether it is there, and whether it still has what events are published to.
pub(super) async fn ask(channel: &Channel) -> Result<(), BusError> {
    tokio::time::timeout(ANSWER, topology::look(channel)).await.map_err(|_| BusError::Timeout(ANSWER))?
}

/// Waits between attempts: 100 ms doubling to 5 s, each spread over half of itself so that processes do not come back in step.
#[derive(Debug, Default)]
pub struct Backoff {
    attempts: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(5);

    /// The wait before the next attempt.
    pub fn pause(&mut self) -> Duration {
        let whole = (Self::FIRST * 2_u32.pow(self.attempts.min(10))).min(Self::LONGEST);
        self.attempts = self.attempts.saturating_add(1);
        whole.mul_f64(rand::random_range(0.5..=1.0))
    }

    /// Call it when something worked.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

/// Connects and declares what all generations share, and for a moment an exchange like a projector's: everything that relay and
/// projector need of the broker. Nobody here knows which generations there are, and queues of one that is gone would only fill.
/// (lapin does not tell the broker's version.)
///
/// # Errors
/// The broker is away, refuses, or does not answer in time.
pub async fn check(settings: &Settings) -> Result<(), BusError> {
    let connection = connect_with(settings, "doctor", &[]).await?;
    let channel = connection.create_channel().await?;
    topology::check(&channel).await?;
    connection.close(200, "checked".into()).await?;
    Ok(())
}
