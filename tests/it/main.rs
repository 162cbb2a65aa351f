//! All integration tests in one binary: one link.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test says by a panic what it did not find")]

mod architecture;
mod domain;
mod golden;
mod life_of_an_order;
mod support;
