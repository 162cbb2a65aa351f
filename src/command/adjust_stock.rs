//! Goods came in, were counted again or written off.

use super::{
    Command, Refusal,
    use_case::{Decide, May},
    work::{Needs, Work, Written},
};
use crate::{
    domain::{
        product::{self, ProductCommand},
        stock::Movement,
    },
    value::{Note, ProductId},
};
use serde::Serialize;
use uuid::Uuid;

#[derive(Debug, Clone, Serialize)]
pub struct AdjustStock {
    pub product_id: ProductId,
    /// Units to add, or with a minus to take away.
    pub delta: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Note>,
}

impl Decide for AdjustStock {
    fn needs(&self, needs: &mut Needs) {
        needs.products_to_change.insert(self.product_id);
        needs.stock.insert(self.product_id);
    }

    fn who(&self) -> May {
        May::Staff("Only staff adjust stock.")
    }

    fn decide(&self, command: &Command, work: &mut Work) -> Result<Written, Refusal> {
        let event = product::decide(
            work.products.get(&self.product_id),
            ProductCommand::AdjustStock { delta: self.delta, reason: self.reason.clone() },
        )?;
        let movement = Movement { product_id: self.product_id, available: self.delta, units_sold: 0, path: "delta".into() };
        work.record_product(command, self.product_id, event, Some(movement))
    }

    fn lane(&self) -> Uuid {
        self.product_id.0
    }
}
