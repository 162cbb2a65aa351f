//! A product with its availability. It is fed by two streams, the product's and its stock's, each with a version of its own.

use super::{Parked, date};
use crate::value::{Money, ProductId, Time};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProductView {
    #[serde(rename = "_id")]
    pub id: ProductId,
    /// Zero while only the stock is known, and not yet the product: such a document is not shown.
    pub version: i64,
    pub stock_version: i64,
    pub sku: String,
    pub name: String,
    #[serde(default)]
    pub description: Option<String>,
    /// In minor units; apart from the currency so that it can be sorted by.
    pub price: i64,
    #[serde(default)]
    pub currency: Option<crate::value::Currency>,
    pub available: i64,
    pub units_sold: i64,
    pub active: bool,
    #[serde(with = "date")]
    pub updated_at: Time,
    /// Lower-case words by which the product is found.
    pub search: Vec<String>,
    /// Set while newer versions of the product wait, see [`Parked`]. A stock level that is stuck is overtaken by the next.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub parked: Option<Parked>,
}

impl ProductView {
    /// The document of a product of which nothing is known yet.
    pub fn unknown(id: ProductId) -> Self {
        Self {
            id,
            version: 0,
            stock_version: 0,
            sku: String::new(),
            name: String::new(),
            description: None,
            price: 0,
            currency: None,
            available: 0,
            units_sold: 0,
            active: false,
            updated_at: Time::UNIX_EPOCH,
            search: Vec::new(),
            parked: None,
        }
    }

    /// The price; products that are shown have one.
    pub fn price(&self) -> Option<Money> {
        Some(Money::new(self.price, self.currency?))
    }
}
