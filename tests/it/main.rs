//! All integration tests in one binary: one link.

mod architecture;
mod domain;
mod golden;
