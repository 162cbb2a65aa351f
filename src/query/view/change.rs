//! The change log: every change of every order, with the order as it was after it. It is what subscriptions are fed from, live
//! and after a reconnect, and it is kept for a bounded time.

use super::{EventView, OrderView, date};
use crate::value::{OrderStatus, ProductId, Time};
use serde::{Deserialize, Serialize};

/// A place in the change log. Within a partition numbers rise by one without gaps, in the order in which changes became visible,
/// because the transaction that writes them also writes the counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ChangeId {
    #[serde(rename = "p")]
    pub partition: i32,
    #[serde(rename = "s")]
    pub number: i64,
}

/// One change of one order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    #[serde(rename = "_id")]
    pub id: ChangeId,
    /// When it was projected; old changes are dropped by this.
    #[serde(with = "date")]
    pub at: Time,
    /// The order after the change.
    pub order: OrderView,
    pub event: EventView,
    /// What a filter could have seen before, where it differs from now; nothing for a new order.
    #[serde(default)]
    pub before: Option<Before>,
}

/// The parts of an order that filters look at and that can change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    pub status: OrderStatus,
    pub search: Vec<String>,
    pub products: Vec<ProductId>,
}

impl Before {
    pub fn of(order: &OrderView) -> Self {
        Self {
            status: order.status,
            search: order.search.clone(),
            products: order.lines.iter().map(|line| line.product_id).collect(),
        }
    }
}
