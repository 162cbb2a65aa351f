//! A product.

use super::{Projection, int, value::Money};
use crate::{graphql::scalars::DateTime, query::ProductView, value};
use async_graphql::{ID, Object};
use std::sync::Arc;

/// A product with its availability.
#[derive(Clone)]
pub struct Product(Arc<ProductView>);

impl From<ProductView> for Product {
    fn from(product: ProductView) -> Self {
        Self(Arc::new(product))
    }
}

/// A product with its availability.
#[Object]
impl Product {
    /// The id of the product.
    pub async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    /// Rises by one with each change of the product, not with orders; hand it back as expectedVersion.
    async fn version(&self) -> i32 {
        int(self.0.version)
    }

    /// The shop's own number of it.
    async fn sku(&self) -> &str {
        &self.0.sku
    }

    /// What it is called.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What it is.
    async fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }

    /// What one unit costs now.
    async fn price(&self) -> Money {
        // A product that is shown has been created, with a price.
        self.0.price().unwrap_or(value::Money::zero(value::Currency::GBP)).into()
    }

    /// Units that can be ordered now.
    async fn available(&self) -> i32 {
        int(self.0.available)
    }

    /// Units sold, net of cancelled orders and refunds.
    async fn units_sold(&self) -> i32 {
        int(self.0.units_sold)
    }

    /// Whether it is on sale.
    async fn active(&self) -> bool {
        self.0.active
    }

    /// When the product or its stock last changed.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }

    /// Whether newer changes are held up. It is not sent when it changes; ask again, or subscribe again, to see it.
    async fn projection(&self) -> Projection {
        self.0.parked.into()
    }
}
