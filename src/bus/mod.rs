//! RabbitMQ: how events travel. It knows bytes, envelopes and partitions, and nothing of orders.
//!
//! lapin's own recovery is not used: it is off by default and reported not to work in 4.x (amqp-rs/lapin#450). A link here is
//! used until its first error and then thrown away; whoever used it connects anew, after [`Backoff`].

mod connection;
mod consumer;
mod generations;
mod publisher;
mod queues;
mod topology;

pub use connection::{Backoff, Settings, check};
pub use consumer::{Batch, Consumer, Received};
pub use generations::Generations;
pub use publisher::{Outgoing, Publisher};
pub use queues::{Backlog, Probe, Queues};

/// What went wrong with the broker, for the log.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    #[error("the broker: {0}")]
    Broker(#[from] lapin::Error),
    #[error("the address of the broker is not one: {0}")]
    Address(String),
    #[error("the broker did not answer within {0:?}")]
    Timeout(std::time::Duration),
    #[error("the broker ended the consumer")]
    Ended,
    #[error("the broker did not take a mark: the queue {0} is full or missing")]
    Refused(String),
}
