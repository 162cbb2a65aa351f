//! A product gets another name, description or price, or is taken off or put back on sale. Orders keep what they were bought as.

use super::{
    Command, Refusal,
    use_case::{Decide, May},
    work::{Needs, Work, Written},
};
use crate::{
    domain::product::{self, ProductCommand},
    value::{Money, Note, ProductId, ProductName},
};
use serde::Serialize;
use uuid::Uuid;

#[derive(Debug, Clone, Serialize)]
pub struct UpdateProduct {
    pub product_id: ProductId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_version: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<ProductName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Note>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
}

impl Decide for UpdateProduct {
    fn needs(&self, needs: &mut Needs) {
        needs.products_to_change.insert(self.product_id);
    }

    fn who(&self) -> May {
        May::Staff("Only staff change products.")
    }

    fn decide(&self, command: &Command, work: &mut Work) -> Result<Written, Refusal> {
        let event = product::decide(
            work.products.get(&self.product_id),
            ProductCommand::Update {
                expected_version: self.expected_version,
                name: self.name.clone(),
                description: self.description.clone(),
                price: self.price,
                active: self.active,
            },
        )?;
        work.record_product(command, self.product_id, event, None)
    }

    fn lane(&self) -> Uuid {
        self.product_id.0
    }
}
