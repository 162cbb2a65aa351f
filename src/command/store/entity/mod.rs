//! The tables of the write model, one entity each.

pub mod command;
pub mod event_log;
pub mod order;
pub mod product;
pub mod stock;
pub mod user;
