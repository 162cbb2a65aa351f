//! What deciding about an order needs to know.

use crate::value::{
    Currency, LineId, LineProgress, Milestones, Money, OrderStatus, ProductId, ProductName, Sku, Time, UserId, status_of,
};
use serde::{Deserialize, Serialize};

/// A line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub id: LineId,
    pub product_id: ProductId,
    /// As bought, like the price: a change of the order keeps both for what stays in it.
    pub sku: Sku,
    pub name: ProductName,
    pub unit_price: Money,
    pub progress: LineProgress,
}

/// An order as the write side keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub version: i64,
    pub number: i64,
    pub reference: Option<String>,
    pub customer_id: UserId,
    pub currency: Currency,
    pub lines: Vec<Line>,
    pub milestones: Milestones,
    pub total: Money,
    pub paid: Money,
    pub refunded: Money,
    #[serde(with = "time::serde::rfc3339")]
    pub placed_at: Time,
}

impl Order {
    pub fn status(&self) -> OrderStatus {
        status_of(self.milestones, self.lines.iter().map(|line| line.progress))
    }
}
