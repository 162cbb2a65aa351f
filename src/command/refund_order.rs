//! Money goes back, for the whole order or for some of its units, at the price they were bought for.

use super::{
    Command, Refusal,
    use_case::{Decide, May},
    work::{Needs, Work, Written},
};
use crate::{
    domain::order::OrderCommand,
    event::LineQuantity,
    value::{Note, OrderId},
};
use serde::Serialize;
use uuid::Uuid;

#[derive(Debug, Clone, Serialize)]
pub struct RefundOrder {
    pub order_id: OrderId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_version: Option<i64>,
    /// Without lines, all that has not been refunded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lines: Option<Vec<LineQuantity>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Note>,
}

impl Decide for RefundOrder {
    fn needs(&self, needs: &mut Needs) {
        needs.orders.insert(self.order_id);
        needs.stock_of_orders.insert(self.order_id);
    }

    fn who(&self) -> May {
        May::Staff("Only staff take this step.")
    }

    fn decide(&self, command: &Command, work: &mut Work) -> Result<Written, Refusal> {
        work.order_in_version(self.order_id, self.expected_version)?;
        let refund = OrderCommand::Refund { lines: self.lines.clone(), reason: self.reason.clone() };
        work.change_order(command, self.order_id, refund)
    }

    fn lane(&self) -> Uuid {
        self.order_id.0
    }
}
