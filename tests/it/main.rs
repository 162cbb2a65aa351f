//! All integration tests in one binary: one link.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test says by a panic what it did not find")]
#![allow(clippy::pedantic, reason = "the pedantic lints are for code that is shipped")]

mod architecture;
mod auth;
mod command_line;
mod consistency;
mod crash;
mod domain;
mod golden;
mod http;
mod idempotency;
mod import;
mod indexes;
mod life_of_an_order;
mod limits;
mod parked;
mod pipeline;
mod read_model;
mod rebuild;
mod refusals;
mod schema;
mod stock;
mod subscriptions;
mod support;
mod trace;
mod verify;
mod who_may;
