//! Facts about products, and about their stock, which is a stream of its own: it moves with every order, and orders must not
//! queue on the product's version.

use super::kinds;
use crate::value::{Money, Note, ProductName, Sku};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum ProductEvent {
    #[serde(rename = "orderflow.product.created.v1")]
    Created {
        sku: Sku,
        name: ProductName,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        description: Option<Note>,
        price: Money,
    },
    /// Only what changed is present.
    #[serde(rename = "orderflow.product.updated.v1")]
    Updated {
        #[serde(skip_serializing_if = "Option::is_none", default)]
        name: Option<ProductName>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        description: Option<Note>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        price: Option<Money>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        active: Option<bool>,
    },
    /// Somebody counted, received or wrote off goods. The level that results is in the stock stream.
    #[serde(rename = "orderflow.product.stock_adjusted.v1")]
    StockAdjusted {
        delta: i64,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        reason: Option<Note>,
    },
}

kinds!(ProductEvent {
    Created => "orderflow.product.created.v1",
    Updated => "orderflow.product.updated.v1",
    StockAdjusted => "orderflow.product.stock_adjusted.v1",
});

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum StockEvent {
    /// The levels after everything that one transaction did to them: absolute, so that applying one twice, or only the
    /// newest, is right.
    #[serde(rename = "orderflow.stock.level_changed.v1")]
    LevelChanged { available: i64, units_sold: i64 },
}

kinds!(StockEvent { LevelChanged => "orderflow.stock.level_changed.v1" });
