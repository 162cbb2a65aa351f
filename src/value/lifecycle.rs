//! The life of an order: which status follows from what has happened, and which step is blocked by what.
//!
//! The write side refuses by these rules and the read side foretells by them (`Order.allowedActions`), so they cannot disagree.

use serde::{Deserialize, Serialize};

/// Where an order stands. It is never stored as a decision of its own: it follows from the facts, by [`status_of`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OrderStatus {
    Pending,
    Paid,
    PartiallyShipped,
    Shipped,
    Delivered,
    Cancelled,
    Refunded,
}

impl OrderStatus {
    /// An open order still needs somebody to do something: it is neither delivered, cancelled nor refunded.
    pub fn is_open(self) -> bool {
        !matches!(self, Self::Delivered | Self::Cancelled | Self::Refunded)
    }

    /// The name as the API spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Paid => "PAID",
            Self::PartiallyShipped => "PARTIALLY_SHIPPED",
            Self::Shipped => "SHIPPED",
            Self::Delivered => "DELIVERED",
            Self::Cancelled => "CANCELLED",
            Self::Refunded => "REFUNDED",
        }
    }
}

/// A step that somebody may want to take with an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OrderAction {
    Update,
    Pay,
    Ship,
    Deliver,
    Cancel,
    Refund,
}

impl OrderAction {
    /// Every step, in the order in which an order usually meets them.
    pub const ALL: [OrderAction; 6] = [Self::Update, Self::Pay, Self::Ship, Self::Deliver, Self::Cancel, Self::Refund];
}

/// How far one line has come. `shipped + refunded` may exceed `quantity`: goods that were sent can be paid back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LineProgress {
    pub quantity: i64,
    pub shipped: i64,
    pub refunded: i64,
}

impl LineProgress {
    /// Units that can still be sent: refunds of what was not sent yet take from these first.
    pub fn shippable(self) -> i64 {
        (self.quantity - self.shipped - self.refunded).max(0)
    }

    /// Units that can still be paid back.
    pub fn refundable(self) -> i64 {
        (self.quantity - self.refunded).max(0)
    }
}

/// The facts beside the lines that decide the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Milestones {
    pub paid: bool,
    pub delivered: bool,
    pub cancelled: bool,
}

/// The status that follows from the facts.
pub fn status_of(milestones: Milestones, lines: impl Iterator<Item = LineProgress>) -> OrderStatus {
    let (mut shippable, mut refundable, mut shipped) = (0, 0, 0);
    for line in lines {
        shippable += line.shippable();
        refundable += line.refundable();
        shipped += line.shipped;
    }
    match milestones {
        Milestones { cancelled: true, .. } => OrderStatus::Cancelled,
        Milestones { paid: false, .. } => OrderStatus::Pending,
        _ if refundable == 0 => OrderStatus::Refunded,
        Milestones { delivered: true, .. } => OrderStatus::Delivered,
        _ if shipped == 0 => OrderStatus::Paid,
        _ if shippable == 0 => OrderStatus::Shipped,
        _ => OrderStatus::PartiallyShipped,
    }
}

/// Why a step is not possible in this status, as a sentence for people, or nothing when it is.
pub fn blocked_by(action: OrderAction, status: OrderStatus) -> Option<&'static str> {
    use OrderAction as A;
    use OrderStatus as S;
    match (action, status) {
        (_, S::Cancelled) => Some("The order is cancelled."),
        (_, S::Refunded) => Some("The order is refunded in full."),
        (A::Update | A::Pay | A::Cancel, S::Pending) | (A::Cancel, S::Paid) => None,
        (A::Update, _) => Some("The order is paid; only an unpaid order can be changed."),
        (A::Pay, _) => Some("The order is already paid."),
        (A::Cancel, S::Delivered) => Some("The order is delivered; refund it instead."),
        (A::Cancel, _) => Some("Goods are on their way; refund the order instead."),
        (A::Ship | A::Deliver | A::Refund, S::Pending) => Some("The order is not paid yet."),
        (A::Ship, S::Paid | S::PartiallyShipped) | (A::Deliver, S::Shipped) | (A::Refund, _) => None,
        (A::Ship, S::Shipped) => Some("Everything has been shipped already."),
        (A::Ship | A::Deliver, S::Delivered) => Some("The order is delivered already."),
        (A::Deliver, S::Paid) => Some("Nothing has been shipped yet."),
        (A::Deliver, S::PartiallyShipped) => Some("Part of the order has not been shipped yet."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(quantity: i64, shipped: i64, refunded: i64) -> LineProgress {
        LineProgress { quantity, shipped, refunded }
    }

    const PAID: Milestones = Milestones { paid: true, delivered: false, cancelled: false };

    #[test]
    fn the_status_follows_from_what_has_happened() {
        let status = |m, lines: &[LineProgress]| status_of(m, lines.iter().copied());
        assert_eq!(status(Milestones::default(), &[line(2, 0, 0)]), OrderStatus::Pending);
        assert_eq!(status(PAID, &[line(2, 0, 0)]), OrderStatus::Paid);
        assert_eq!(status(PAID, &[line(2, 1, 0)]), OrderStatus::PartiallyShipped);
        assert_eq!(status(PAID, &[line(2, 2, 0), line(1, 0, 1)]), OrderStatus::Shipped, "what is paid back need not be sent");
        assert_eq!(status(PAID, &[line(2, 2, 2)]), OrderStatus::Refunded);
        assert_eq!(status(Milestones { delivered: true, ..PAID }, &[line(2, 2, 1)]), OrderStatus::Delivered);
        assert_eq!(status(Milestones { cancelled: true, ..PAID }, &[line(2, 0, 0)]), OrderStatus::Cancelled);
    }
}
