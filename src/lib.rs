//! Orderflow: a GraphQL order server whose writes and reads are two different systems.
//!
//! Read it in this order:
//!
//! - [`value`], [`domain`], [`event`]: what an order is, the rules, and what can happen. Pure.
//! - `command`: the write side. A command becomes events, in PostgreSQL, in one transaction; the relay publishes them.
//! - [`bus`]: how they travel, over RabbitMQ.
//! - `query`: the read side. The projector folds events into MongoDB; queries and subscriptions read there.
//! - `graphql`, `http`: the API over both faces.
//! - `verify`: folds the log anew and compares it with what both sides hold.
//! - `app`: puts it all together; the only place that sees both sides.
//!
//! What must hold, always (the tests of each are named after it):
//!
//! 1. State, events and outcome of a command commit together or not at all.
//! 2. What was acknowledged is never lost, and nothing happens twice.
//! 3. No event is skipped, and each aggregate's events are applied in order.
//! 4. An event that cannot be applied holds up its own aggregate and nothing else.
//! 5. A receipt is visible when its own append has been applied, never because some position has been passed.
//! 6. Subscribers miss nothing silently.
//! 7. Everything is bounded, and nobody sees what is not theirs.
//!
//! The wall between the sides is held by the compiler: `command` and `query` are features, each compiles without the other, and
//! neither can name the other's store.

pub mod bus;
pub mod clock;
#[cfg(feature = "command")]
pub mod command;
pub mod crash;
pub mod difference;
pub mod domain;
pub mod event;
pub mod health;
#[cfg(feature = "query")]
pub mod query;
pub mod shutdown;
pub mod value;

#[cfg(all(feature = "command", feature = "query"))]
pub mod app;
#[cfg(all(feature = "command", feature = "query"))]
pub mod auth;
#[cfg(all(feature = "command", feature = "query"))]
pub mod cli;
#[cfg(all(feature = "command", feature = "query"))]
pub mod config;
#[cfg(feature = "command")]
pub mod demo;
#[cfg(all(feature = "command", feature = "query"))]
pub mod graphql;
#[cfg(all(feature = "command", feature = "query"))]
pub mod http;
#[cfg(feature = "command")]
pub mod import;
#[cfg(all(feature = "command", feature = "query"))]
pub mod telemetry;
#[cfg(all(feature = "command", feature = "query"))]
pub mod verify;
