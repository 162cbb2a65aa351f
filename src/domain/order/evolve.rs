//! The next state of an order. Total, and without rules: an event is a fact, however the rules read today.

use super::{Line, Order};
use crate::{
    event::{OrderEvent, OrderLine},
    value::{LineProgress, Milestones, Money},
};

/// The state after an event. Only a placing makes an order; anything else without one leaves nothing.
pub fn evolve(state: Option<Order>, event: &OrderEvent) -> Option<Order> {
    let mut order = match (state, event) {
        (_, OrderEvent::Placed(placed)) => {
            return Some(Order {
                version: 1,
                number: placed.number,
                reference: placed.reference.as_ref().map(|r| r.as_str().to_owned()),
                customer_id: placed.customer.id,
                currency: placed.currency,
                lines: fresh(&placed.lines),
                milestones: Milestones::default(),
                total: placed.total,
                paid: Money::zero(placed.currency),
                refunded: Money::zero(placed.currency),
                placed_at: placed.placed_at,
            });
        }
        (state, _) => state?,
    };
    order.version += 1;
    match event {
        OrderEvent::Placed(_) => {}
        OrderEvent::Updated { lines, total, .. } => {
            if let Some(lines) = lines {
                order.lines = fresh(lines);
            }
            order.total = *total;
        }
        OrderEvent::Paid { amount, .. } => {
            order.milestones.paid = true;
            order.paid = *amount;
        }
        OrderEvent::Shipped { lines, .. } => {
            for part in lines {
                progress(&mut order, part.line_id, |line| line.shipped += part.quantity.get());
            }
        }
        OrderEvent::Delivered { .. } => order.milestones.delivered = true,
        OrderEvent::Cancelled { refunded, .. } => {
            order.milestones.cancelled = true;
            order.refunded.minor = order.refunded.minor.saturating_add(refunded.minor);
        }
        OrderEvent::Refunded { lines, amount, .. } => {
            for part in lines {
                progress(&mut order, part.line_id, |line| line.refunded += part.quantity.get());
            }
            order.refunded.minor = order.refunded.minor.saturating_add(amount.minor);
        }
    }
    Some(order)
}

fn fresh(lines: &[OrderLine]) -> Vec<Line> {
    lines
        .iter()
        .map(|line| Line {
            id: line.id,
            product_id: line.product_id,
            sku: line.sku.clone(),
            name: line.name.clone(),
            unit_price: line.unit_price,
            progress: LineProgress { quantity: line.quantity.get(), ..LineProgress::default() },
        })
        .collect()
}

fn progress(order: &mut Order, id: crate::value::LineId, change: impl Fn(&mut LineProgress)) {
    if let Some(line) = order.lines.iter_mut().find(|line| line.id == id) {
        change(&mut line.progress);
    }
}
