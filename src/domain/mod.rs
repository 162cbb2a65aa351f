//! The rules of the shop: pure and synchronous, no clock, no I/O, no driver.
//!
//! Every aggregate reads alike: a state, `decide` (all the rules: a command becomes events or a [`Refusal`]) and `evolve` (no
//! rules at all: an event becomes the next state, always). What a decision needs to know is looked up before and handed in.
//!
//! The domain speaks in the events of `crate::event`; they are plain data, and a second set of the same structs with a
//! mapping between them would say nothing new.

pub mod order;
pub mod product;
mod refusal;
pub mod stock;
pub mod user;

pub use refusal::{Code, Refusal};

/// Refuses when the client has seen another version than the present one.
pub fn expect_version(expected: Option<i64>, current: i64) -> Result<(), Refusal> {
    match expected {
        Some(expected) if expected != current => Err(Refusal::conflict(current)),
        _ => Ok(()),
    }
}
