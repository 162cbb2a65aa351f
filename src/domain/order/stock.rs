//! What an order's event does to stock: placing reserves, changing moves the difference, cancelling releases.
//!
//! A refund releases what was never sent: those units are still on the shelf, and nothing will send them any more. It puts
//! nothing back that was sent: returned goods are looked at first, and staff book them in by `adjustStock`.

use super::Order;
use crate::{
    domain::stock::Movement,
    event::OrderEvent,
    value::{LineId, ProductId},
};
use std::collections::BTreeMap;

/// The movements that must happen in the same transaction as `event`, at most one a product, in the order of product ids.
pub fn movements(before: Option<&Order>, event: &OrderEvent) -> Vec<Movement> {
    let mut by_product = Movements::default();
    match (before, event) {
        (_, OrderEvent::Placed(placed)) => {
            for (index, line) in placed.lines.iter().enumerate() {
                by_product.add(line.product_id, -line.quantity.get(), line.quantity.get(), Some(index));
            }
        }
        (Some(order), OrderEvent::Updated { lines: Some(lines), .. }) => {
            for (index, line) in lines.iter().enumerate() {
                by_product.add(line.product_id, -line.quantity.get(), line.quantity.get(), Some(index));
            }
            for line in &order.lines {
                by_product.add(line.product_id, line.progress.quantity, -line.progress.quantity, None);
            }
        }
        (Some(order), OrderEvent::Cancelled { .. }) => {
            for line in &order.lines {
                // Nothing was sent, so what was refunded before has been released then.
                by_product.add(line.product_id, line.progress.refundable(), -line.progress.refundable(), None);
            }
        }
        (Some(order), OrderEvent::Refunded { lines, .. }) => {
            let mut left: BTreeMap<LineId, i64> = order.lines.iter().map(|line| (line.id, line.progress.shippable())).collect();
            for part in lines {
                let Some(line) = order.lines.iter().find(|line| line.id == part.line_id) else { continue };
                let unsent = left.entry(line.id).or_default();
                let released = part.quantity.get().min(*unsent);
                *unsent -= released;
                by_product.add(line.product_id, released, -part.quantity.get(), None);
            }
        }
        _ => {}
    }
    by_product.0.into_values().filter(|m| m.available != 0 || m.units_sold != 0).collect()
}

#[derive(Default)]
struct Movements(BTreeMap<ProductId, Movement>);

impl Movements {
    fn add(&mut self, product_id: ProductId, available: i64, units_sold: i64, line: Option<usize>) {
        let movement = self.0.entry(product_id).or_insert_with(|| Movement {
            product_id,
            available: 0,
            units_sold: 0,
            path: line.map_or_else(|| "lines".to_owned(), |index| format!("lines.{index}.quantity")),
        });
        movement.available += available;
        movement.units_sold += units_sold;
    }
}
