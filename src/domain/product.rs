//! A product: what it is and what it costs. How many there are is `stock`.

use super::{Refusal, expect_version};
use crate::{
    event::ProductEvent,
    value::{Money, Note, ProductName, Sku},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    pub version: i64,
    pub sku: Sku,
    pub name: ProductName,
    pub description: Option<Note>,
    pub price: Money,
    /// Only active products can be ordered.
    pub active: bool,
}

#[derive(Debug, Clone)]
pub enum ProductCommand {
    Create {
        sku: Sku,
        name: ProductName,
        description: Option<Note>,
        price: Money,
    },
    Update {
        expected_version: Option<i64>,
        name: Option<ProductName>,
        description: Option<Note>,
        price: Option<Money>,
        active: Option<bool>,
    },
    AdjustStock {
        delta: i64,
        reason: Option<Note>,
    },
}

/// # Errors
/// The refusal, when the rules say no. That a SKU is taken is for the store to know; that stock suffices, for `stock`.
pub fn decide(state: Option<&Product>, command: ProductCommand) -> Result<ProductEvent, Refusal> {
    match (state, command) {
        (None, ProductCommand::Create { sku, name, description, price }) => {
            Ok(ProductEvent::Created { sku, name, description, price })
        }
        (Some(_), ProductCommand::Create { .. }) => Err(Refusal::invalid("This product exists already.")),
        (None, _) => Err(Refusal::not_found("product").at("productId")),
        (Some(product), ProductCommand::Update { expected_version, name, description, price, active }) => {
            expect_version(expected_version, product.version)?;
            if name.is_none() && description.is_none() && price.is_none() && active.is_none() {
                return Err(Refusal::invalid("Nothing to change: give a name, description, price or active."));
            }
            Ok(ProductEvent::Updated { name, description, price, active })
        }
        (Some(_), ProductCommand::AdjustStock { delta: 0, .. }) => {
            Err(Refusal::invalid("A change of zero changes nothing.").at("delta"))
        }
        (Some(_), ProductCommand::AdjustStock { delta, reason }) => Ok(ProductEvent::StockAdjusted { delta, reason }),
    }
}

/// The next state. Events that cannot follow leave the state as it is.
pub fn evolve(state: Option<Product>, event: &ProductEvent) -> Option<Product> {
    match (state, event) {
        (_, ProductEvent::Created { sku, name, description, price }) => Some(Product {
            version: 1,
            sku: sku.clone(),
            name: name.clone(),
            description: description.clone(),
            price: *price,
            active: true,
        }),
        (Some(product), ProductEvent::Updated { name, description, price, active }) => Some(Product {
            version: product.version + 1,
            name: name.clone().unwrap_or(product.name),
            description: description.clone().or(product.description),
            price: price.unwrap_or(product.price),
            active: active.unwrap_or(product.active),
            sku: product.sku,
        }),
        (Some(product), ProductEvent::StockAdjusted { .. }) => Some(Product { version: product.version + 1, ..product }),
        (None, _) => None,
    }
}
