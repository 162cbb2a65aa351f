//! A customer thinks again, before paying.

use super::{
    Command, LineWish, Refusal,
    use_case::{Decide, May},
    work::{Needs, Work, Written},
};
use crate::{
    domain::order::OrderCommand,
    value::{Address, Note, OrderId},
};
use serde::Serialize;
use uuid::Uuid;

#[derive(Debug, Clone, Serialize)]
pub struct UpdateOrder {
    pub order_id: OrderId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_version: Option<i64>,
    /// All lines anew, when given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines: Option<Vec<LineWish>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shipping_address: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<Note>,
}

impl Decide for UpdateOrder {
    fn needs(&self, needs: &mut Needs) {
        needs.orders.insert(self.order_id);
        for line in self.lines.iter().flatten() {
            needs.products.insert(line.product_id);
            needs.stock.insert(line.product_id);
        }
        if self.lines.is_some() {
            needs.stock_of_orders.insert(self.order_id);
        }
    }

    fn who(&self) -> May {
        May::CustomerOf(self.order_id)
    }

    fn decide(&self, command: &Command, work: &mut Work) -> Result<Written, Refusal> {
        work.order_in_version(self.order_id, self.expected_version)?;
        let lines = self.lines.as_ref().map(|lines| LineWish::resolve(lines, command, work)).transpose()?;
        let change = OrderCommand::Update { lines, shipping_address: self.shipping_address.clone(), note: self.note.clone() };
        work.change_order(command, self.order_id, change)
    }

    fn lane(&self) -> Uuid {
        self.order_id.0
    }
}
