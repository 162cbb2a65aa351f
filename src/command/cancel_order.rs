//! An order is called off before anything was shipped. Its stock is free again; what was paid is paid back.

use super::{
    Command, Refusal,
    use_case::{Decide, May},
    work::{Needs, Work, Written},
};
use crate::{
    domain::order::OrderCommand,
    value::{Note, OrderId},
};
use serde::Serialize;
use uuid::Uuid;

#[derive(Debug, Clone, Serialize)]
pub struct CancelOrder {
    pub order_id: OrderId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_version: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Note>,
}

impl Decide for CancelOrder {
    fn needs(&self, needs: &mut Needs) {
        needs.orders.insert(self.order_id);
        needs.stock_of_orders.insert(self.order_id);
    }

    fn who(&self) -> May {
        May::CustomerOf(self.order_id)
    }

    fn decide(&self, command: &Command, work: &mut Work) -> Result<Written, Refusal> {
        work.order_in_version(self.order_id, self.expected_version)?;
        work.change_order(command, self.order_id, OrderCommand::Cancel { reason: self.reason.clone() })
    }

    fn lane(&self) -> Uuid {
        self.order_id.0
    }
}
