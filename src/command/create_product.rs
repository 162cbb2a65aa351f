//! A new product, with what is on the shelf already.

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
    value::{Money, Note, ProductId, ProductName, Sku},
};
use serde::Serialize;
use uuid::Uuid;

#[derive(Debug, Clone, Serialize)]
pub struct CreateProduct {
    #[serde(skip)]
    pub product_id: ProductId,
    pub sku: Sku,
    pub name: ProductName,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Note>,
    pub price: Money,
    /// Units on the shelf, zero or more.
    pub stock: i64,
}

impl Decide for CreateProduct {
    fn needs(&self, needs: &mut Needs) {
        needs.skus.insert(self.sku.as_str().to_owned());
    }

    fn who(&self) -> May {
        May::Staff("Only staff create products.")
    }

    fn decide(&self, command: &Command, work: &mut Work) -> Result<Written, Refusal> {
        if self.stock < 0 {
            return Err(Refusal::invalid("Stock cannot be negative.").at("stock"));
        }
        let event = product::decide(
            work.products.get(&self.product_id),
            ProductCommand::Create {
                sku: self.sku.clone(),
                name: self.name.clone(),
                description: self.description.clone(),
                price: self.price,
            },
        )?;
        let movement = Movement { product_id: self.product_id, available: self.stock, units_sold: 0, path: "stock".into() };
        work.take_sku(&self.sku, self.product_id)?;
        work.record_product(command, self.product_id, event, Some(movement)).inspect_err(|_| {
            work.skus.remove(self.sku.as_str());
        })
    }

    fn lane(&self) -> Uuid {
        self.product_id.0
    }
}
