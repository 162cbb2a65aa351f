//! Everything that was shipped has arrived.

use super::{
    Command, Refusal,
    use_case::{Decide, May},
    work::{Needs, Work, Written},
};
use crate::{domain::order::OrderCommand, value::OrderId};
use serde::Serialize;
use uuid::Uuid;

#[derive(Debug, Clone, Serialize)]
pub struct DeliverOrder {
    pub order_id: OrderId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_version: Option<i64>,
}

impl Decide for DeliverOrder {
    fn needs(&self, needs: &mut Needs) {
        needs.orders.insert(self.order_id);
    }

    fn who(&self) -> May {
        May::Staff("Only staff take this step.")
    }

    fn decide(&self, command: &Command, work: &mut Work) -> Result<Written, Refusal> {
        work.order_in_version(self.order_id, self.expected_version)?;
        work.change_order(command, self.order_id, OrderCommand::Deliver { at: command.at })
    }

    fn lane(&self) -> Uuid {
        self.order_id.0
    }
}
