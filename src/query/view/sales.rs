//! What one order adds to the sales report and to its customer's summary. Projecting an event applies the difference between what
//! the order added before and what it adds after.

use super::{OrderView, Summary};
use crate::value::{Currency, OrderStatus, Time};

/// What an order adds to the bucket of the hour in which it was placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Contribution {
    pub orders: i64,
    pub items: i64,
    pub revenue: i64,
}

impl Contribution {
    /// Cancelled orders do not count; items and revenue are net of refunds.
    pub fn of(order: &OrderView) -> Self {
        if order.status == OrderStatus::Cancelled {
            return Self::default();
        }
        Self { orders: 1, items: order.net_items(), revenue: order.total - order.refunded }
    }

    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self { orders: self.orders - other.orders, items: self.items - other.items, revenue: self.revenue - other.revenue }
    }
}

impl Summary {
    /// Replaces what an order added before (nothing, when it is new) by what it adds now.
    pub fn replace(&mut self, before: Option<&OrderView>, after: &OrderView) {
        let spent = |order: &OrderView| order.paid - order.refunded;
        let open = |order: &OrderView| i64::from(order.status.is_open());
        self.order_count += i64::from(before.is_none());
        self.open_order_count += open(after) - before.map_or(0, open);
        self.add(after.currency, spent(after) - before.map_or(0, spent));
        self.last_order_at = self.last_order_at.max(Some(after.placed_at));
    }

    fn add(&mut self, currency: Currency, minor: i64) {
        match self.spent.binary_search_by(|(known, _)| known.cmp(&currency)) {
            Ok(index) => self.spent[index].1 += minor,
            Err(_) if minor == 0 => {}
            Err(index) => self.spent.insert(index, (currency, minor)),
        }
    }
}

/// The beginning of the hour of a moment, in UTC.
pub fn hour_of(at: Time) -> Time {
    at.to_offset(time::UtcOffset::UTC)
        .replace_minute(0)
        .and_then(|t| t.replace_second(0))
        .and_then(|t| t.replace_nanosecond(0))
        .unwrap_or(at)
}
