//! A customer orders. Prices are the products' own, and stock is reserved, in the transaction that records the order.

use super::{
    Command, Refusal,
    use_case::{Decide, May},
    work::{Needs, Work, Written},
};
use crate::{
    domain::order::{self, Wanted},
    event::OrderCustomer,
    value::{Address, LineId, Money, Note, OrderId, ProductId, Quantity, Reference, Time, UserId},
};
use serde::Serialize;
use uuid::Uuid;

/// One wished line, also of a change of an order.
#[derive(Debug, Clone, Serialize)]
pub struct LineWish {
    #[serde(skip)]
    pub line_id: LineId,
    pub product_id: ProductId,
    pub quantity: Quantity,
    /// A price agreed by staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit_price: Option<Money>,
}

impl LineWish {
    /// Looks the products up in the loaded state. Agreed prices are for staff to make.
    pub(super) fn resolve(wishes: &[LineWish], command: &Command, work: &Work) -> Result<Vec<Wanted>, Refusal> {
        let priced = wishes.iter().position(|wish| wish.unit_price.is_some());
        if let (Some(index), false) = (priced, command.actor.runs_the_shop()) {
            return Err(Refusal::forbidden("Only staff agree prices.").at(&format!("lines.{index}.unitPrice")));
        }
        Ok(wishes
            .iter()
            .map(|wish| Wanted {
                line_id: wish.line_id,
                product_id: wish.product_id,
                product: work.products.get(&wish.product_id).cloned(),
                quantity: wish.quantity,
                agreed_price: wish.unit_price,
            })
            .collect())
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct PlaceOrder {
    #[serde(skip)]
    pub order_id: OrderId,
    pub customer_id: UserId,
    pub lines: Vec<LineWish>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shipping_address: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<Note>,
    /// The caller's own number for the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// For orders that were taken elsewhere, earlier.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub placed_at: Option<Time>,
}

impl Decide for PlaceOrder {
    fn needs(&self, needs: &mut Needs) {
        needs.users.insert(self.customer_id);
        for line in &self.lines {
            needs.products.insert(line.product_id);
            needs.stock.insert(line.product_id);
        }
        needs.order_numbers += 1;
    }

    fn who(&self) -> May {
        May::User(self.customer_id, "customerId", "You can only order for yourself.")
    }

    fn decide(&self, command: &Command, work: &mut Work) -> Result<Written, Refusal> {
        if let Some(placed_at) = self.placed_at {
            if !command.actor.runs_the_shop() {
                return Err(Refusal::forbidden("Only staff enter orders that were taken earlier.").at("placedAt"));
            }
            if placed_at > command.at {
                return Err(Refusal::invalid("An order cannot have been placed in the future.").at("placedAt"));
            }
        }
        let Some(customer) = work.users.get(&self.customer_id) else {
            return Err(Refusal::not_found("user").at("customerId"));
        };
        let customer = OrderCustomer {
            id: self.customer_id,
            version: customer.version,
            display_name: customer.display_name.clone(),
            email: customer.email.clone(),
        };
        let event = order::place(order::PlaceOrder {
            order_id: self.order_id,
            // Numbers were drawn for every placing of the group; a refusal leaves a gap, which nobody minds.
            number: work.order_numbers.pop_front().unwrap_or_default(),
            reference: self.reference.clone(),
            customer,
            lines: LineWish::resolve(&self.lines, command, work)?,
            shipping_address: self.shipping_address.clone(),
            note: self.note.clone(),
            placed_at: self.placed_at.unwrap_or(command.at),
        })?;
        work.record_order(command, self.order_id, event)
    }

    fn lane(&self) -> Uuid {
        self.order_id.0
    }
}
