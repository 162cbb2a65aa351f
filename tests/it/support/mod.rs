//! The rig: a whole Orderflow of its own for every test, on the real servers, and clients that speak the language of the shop.

mod agreement;
mod app;
pub mod backstage;
mod client;
mod ear;
mod ledger;
mod mongod;
mod proxy;
mod shop;
mod socket;
mod stack;

pub use app::{Build, TestApp};
pub use client::Client;
pub use ear::Ear;
pub use ledger::uuid_of;
pub use mongod::Mongod;
pub use proxy::Proxy;
pub use shop::Placed;
pub use socket::Socket;
pub use stack::Parts;

use std::{future::Future, time::Duration};

/// No wait in a test is longer. What takes longer is broken.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Looks until something is there; says what was seen last when it never comes.
pub async fn until<T, S: std::fmt::Debug, F: Future<Output = Result<T, S>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let started = std::time::Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) => assert!(started.elapsed() < PATIENCE, "{what} did not come; last seen: {seen:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await; // bounded poll
    }
}
