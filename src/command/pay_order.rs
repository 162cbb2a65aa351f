//! An order is paid, whole.

use super::{
    Command, Refusal,
    use_case::{Decide, May},
    work::{Needs, Work, Written},
};
use crate::{
    domain::order::OrderCommand,
    value::{Money, OrderId, Reference},
};
use serde::Serialize;
use uuid::Uuid;

#[derive(Debug, Clone, Serialize)]
pub struct PayOrder {
    pub order_id: OrderId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_version: Option<i64>,
    /// What the payer was shown; must be the total when given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// The payment provider's number.
    pub reference: Reference,
}

impl Decide for PayOrder {
    fn needs(&self, needs: &mut Needs) {
        needs.orders.insert(self.order_id);
    }

    fn who(&self) -> May {
        May::CustomerOf(self.order_id)
    }

    fn decide(&self, command: &Command, work: &mut Work) -> Result<Written, Refusal> {
        work.order_in_version(self.order_id, self.expected_version)?;
        work.change_order(command, self.order_id, OrderCommand::Pay { amount: self.amount, reference: self.reference.clone() })
    }

    fn lane(&self) -> Uuid {
        self.order_id.0
    }
}
