//! The rules of the shop, told as stories: given an order with a past, when somebody asks for something, then this is the answer.
//!
//! No store, no clock, no runtime: what is tested here is plain functions, thousands of times a second.

mod orders;
mod products;
mod properties;
mod shop;
mod stock;
mod texts;
mod users;
