//! Filters, in the two forms in which they are needed: as a query for the database and as a test on a document for subscriptions.
//! Both forms of one filter stand side by side and must mean the same.

use super::view::{Before, OrderView, date, prefix_range, words};
use crate::value::{OrderStatus, ProductId, Time, UserId, Viewer};
use mongodb::bson::{Bson, Document, doc};

/// Which orders.
#[derive(Debug, Clone, Default)]
pub struct OrderFilter {
    /// Any of these; an empty list matches nothing.
    pub status: Option<Vec<OrderStatus>>,
    pub customer: Option<UserId>,
    /// Inclusive.
    pub placed_from: Option<Time>,
    /// Exclusive.
    pub placed_to: Option<Time>,
    /// Every word must begin a word of the order.
    pub search: Option<String>,
    pub product: Option<ProductId>,
}

/// The words of a search; more than twelve are too many to be meant. Something without a word in it, such as `%`, finds nothing.
fn searched(text: Option<&str>) -> Vec<String> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Vec::new() };
    let found: Vec<String> = words(text).take(12).collect();
    if found.is_empty() { vec![NO_WORD.to_owned()] } else { found }
}

/// No term begins with this: terms are letters and digits.
const NO_WORD: &str = " ";

fn begins_with(field: &str, word: &str) -> Document {
    let (from, to) = prefix_range(word);
    // Within one element of the list, or the two bounds could be met by two different words.
    doc! { field: { "$elemMatch": { "$gte": from, "$lt": to } } }
}

impl OrderFilter {
    /// Whose orders this viewer may see with this filter: everybody's (nothing), or one customer's. A customer never gets past
    /// themselves, and somebody who is neither staff nor a user sees nothing.
    pub fn scope(&self, viewer: &Viewer) -> Result<Option<UserId>, Nobody> {
        if viewer.runs_the_shop() {
            return Ok(self.customer);
        }
        match (viewer.user_id(), self.customer) {
            (Some(own), None) => Ok(Some(own)),
            (Some(own), Some(asked)) if own == asked => Ok(Some(own)),
            _ => Err(Nobody),
        }
    }

    /// The filter for the database, within what `viewer` may see.
    pub fn query(&self, viewer: &Viewer) -> Result<Document, Nobody> {
        let mut all = Document::new();
        if let Some(customer) = self.scope(viewer)? {
            all.insert("customer.id", customer.to_string());
        }
        if let Some(status) = &self.status {
            let names: Vec<Bson> = status.iter().map(|s| s.name().into()).collect();
            all.insert("status", doc! { "$in": names });
        }
        let mut placed = Document::new();
        if let Some(from) = self.placed_from {
            placed.insert("$gte", date::to_bson(from));
        }
        if let Some(to) = self.placed_to {
            placed.insert("$lt", date::to_bson(to));
        }
        if !placed.is_empty() {
            all.insert("placedAt", placed);
        }
        if let Some(product) = self.product {
            all.insert("lines.productId", product.to_string());
        }
        let found: Vec<Document> = searched(self.search.as_deref()).iter().map(|word| begins_with("search", word)).collect();
        if !found.is_empty() {
            all.insert("$and", found);
        }
        Ok(all)
    }

    /// Whether an order is in the list, apart from whose it is.
    pub fn matches(&self, order: &OrderView) -> bool {
        let products = order.lines.iter().map(|line| line.product_id);
        self.fits(order, order.status, &order.search, products)
    }

    /// Whether it was in the list before its last change.
    pub fn matched(&self, order: &OrderView, before: &Before) -> bool {
        self.fits(order, before.status, &before.search, before.products.iter().copied())
    }

    fn fits(
        &self,
        order: &OrderView,
        status: OrderStatus,
        search: &[String],
        mut products: impl Iterator<Item = ProductId>,
    ) -> bool {
        self.status.as_ref().is_none_or(|wanted| wanted.contains(&status))
            && self.customer.is_none_or(|customer| customer == order.customer.id)
            && self.placed_from.is_none_or(|from| order.placed_at >= from)
            && self.placed_to.is_none_or(|to| order.placed_at < to)
            && self.product.is_none_or(|product| products.any(|id| id == product))
            && searched(self.search.as_deref()).iter().all(|word| search.iter().any(|term| term.starts_with(word)))
    }
}

/// The viewer may see nothing that this filter could find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nobody;

/// Which products.
#[derive(Debug, Clone, Default)]
pub struct ProductFilter {
    pub search: Option<String>,
    pub active: Option<bool>,
    pub sku: Option<Vec<String>>,
}

impl ProductFilter {
    pub fn query(&self) -> Document {
        // Documents of which only the stock is known are not shown.
        let mut all = doc! { "version": { "$gt": 0 } };
        if let Some(active) = self.active {
            all.insert("active", active);
        }
        if let Some(sku) = &self.sku {
            all.insert("sku", doc! { "$in": sku });
        }
        let found: Vec<Document> = searched(self.search.as_deref()).iter().map(|word| begins_with("search", word)).collect();
        if !found.is_empty() {
            all.insert("$and", found);
        }
        all
    }
}
