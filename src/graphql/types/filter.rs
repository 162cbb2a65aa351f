//! Filters, sorts, and how fresh an answer must be.

use super::OrderStatus;
use crate::{
    event::Token,
    graphql::{
        context::reader,
        error::{ErrorCode, query_error},
        scalars::DateTime,
    },
    query::{Consistency, Direction, OrderFilter, OrderSort, ProductFilter, ProductSort, View},
};
use async_graphql::{Context, Enum, ID, InputObject, Result};
use std::time::Duration;

/// The direction of a sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum SortDirection {
    /// Smallest, oldest or first in the alphabet first.
    Asc,
    /// Largest, newest or last in the alphabet first.
    Desc,
}

impl From<SortDirection> for Direction {
    fn from(direction: SortDirection) -> Self {
        match direction {
            SortDirection::Asc => Direction::Asc,
            SortDirection::Desc => Direction::Desc,
        }
    }
}

/// Which orders. All that is given must hold.
#[derive(Debug, Clone, Default, InputObject)]
#[graphql(name = "OrderFilter")]
pub struct OrderFilterInput {
    /// In any of these.
    pub status: Option<Vec<OrderStatus>>,
    /// Of this customer. Customers only ever find their own.
    pub customer_id: Option<ID>,
    /// Placed at this moment or later.
    pub placed_from: Option<DateTime>,
    /// Placed before this moment.
    pub placed_to: Option<DateTime>,
    /// Each word begins a word of the order: its number, reference, customer's name or email, or a SKU.
    pub search: Option<String>,
    /// With a line of this product.
    pub product_id: Option<ID>,
}

impl OrderFilterInput {
    /// # Errors
    /// An id is none of the kind, or a list is too long.
    pub fn parse(self) -> Result<OrderFilter> {
        bounded("status", self.status.as_deref())?;
        Ok(OrderFilter {
            status: self.status.map(|all| all.into_iter().map(Into::into).collect()),
            customer: self.customer_id.map(|id| parse_id(&id)).transpose()?,
            placed_from: self.placed_from.map(|at| at.0),
            placed_to: self.placed_to.map(|at| at.0),
            search: self.search,
            product: self.product_id.map(|id| parse_id(&id)).transpose()?,
        })
    }
}

/// Items of a list in a filter at most: as many as the largest page has.
const LIST: usize = 100;

/// # Errors
/// The list is longer than a filter's may be.
fn bounded<T>(name: &str, list: Option<&[T]>) -> Result<()> {
    let given = list.map_or(0, <[T]>::len);
    let message = || format!("A filter's list \"{name}\" may have {LIST} items; this one has {given}. Ask in parts.");
    if given > LIST { Err(ErrorCode::BadUserInput.error(message())) } else { Ok(()) }
}

/// Reads an id in a question; a malformed one is the question's fault.
pub fn parse_id<T: std::str::FromStr<Err = crate::value::Invalid>>(id: &ID) -> Result<T> {
    id.parse().map_err(|invalid: crate::value::Invalid| ErrorCode::BadUserInput.error(invalid.0))
}

/// How a list of orders is sorted.
#[derive(Debug, Clone, InputObject)]
#[graphql(name = "OrderSort")]
pub struct OrderSortInput {
    /// By what.
    pub field: OrderSortField,
    /// In which direction.
    #[graphql(default_with = "SortDirection::Desc")]
    pub direction: SortDirection,
}

/// By what a list of orders is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum OrderSortField {
    /// When it was placed.
    PlacedAt,
    /// When it last changed.
    UpdatedAt,
    /// What it costs, whatever the currency.
    Total,
    /// Its number.
    Number,
}

/// The sort asked for, else the newest orders first.
pub fn order_sort(sort: Option<&OrderSortInput>) -> (OrderSort, Direction) {
    let Some(sort) = sort else { return (OrderSort::PlacedAt, Direction::Desc) };
    let field = match sort.field {
        OrderSortField::PlacedAt => OrderSort::PlacedAt,
        OrderSortField::UpdatedAt => OrderSort::UpdatedAt,
        OrderSortField::Total => OrderSort::Total,
        OrderSortField::Number => OrderSort::Number,
    };
    (field, sort.direction.into())
}

/// Which products. All that is given must hold.
#[derive(Debug, Clone, Default, InputObject)]
#[graphql(name = "ProductFilter")]
pub struct ProductFilterInput {
    /// Each word begins a word of the product's name or SKU.
    pub search: Option<String>,
    /// On sale, or not.
    pub active: Option<bool>,
    /// With any of these SKUs, exactly.
    pub sku: Option<Vec<String>>,
}

impl ProductFilterInput {
    /// # Errors
    /// A list is too long.
    pub fn parse(self) -> Result<ProductFilter> {
        bounded("sku", self.sku.as_deref())?;
        Ok(ProductFilter { search: self.search, active: self.active, sku: self.sku })
    }
}

/// How a list of products is sorted.
#[derive(Debug, Clone, InputObject)]
#[graphql(name = "ProductSort")]
pub struct ProductSortInput {
    /// By what.
    pub field: ProductSortField,
    /// In which direction.
    #[graphql(default_with = "SortDirection::Asc")]
    pub direction: SortDirection,
}

/// By what a list of products is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum ProductSortField {
    /// Its name.
    Name,
    /// Its price, whatever the currency.
    Price,
    /// Units sold, net of cancelled orders and refunds.
    UnitsSold,
    /// When the product or its stock last changed.
    UpdatedAt,
}

/// The sort asked for, else by name.
pub fn product_sort(sort: Option<&ProductSortInput>) -> (ProductSort, Direction) {
    let Some(sort) = sort else { return (ProductSort::Name, Direction::Asc) };
    let field = match sort.field {
        ProductSortField::Name => ProductSort::Name,
        ProductSortField::Price => ProductSort::Price,
        ProductSortField::UnitsSold => ProductSort::UnitsSold,
        ProductSortField::UpdatedAt => ProductSort::UpdatedAt,
    };
    (field, sort.direction.into())
}

/// Read your own writes, on any node: the answer has at least what the receipt proves.
#[derive(Debug, Clone, InputObject)]
pub struct ConsistencyInput {
    /// The token of a receipt.
    pub token: String,
    /// How long to wait for it, in milliseconds; at most 10000.
    #[graphql(default = 1000)]
    pub timeout_ms: i32,
    /// What to do when that time is over.
    #[graphql(default_with = "ConsistencyTimeout::Stale")]
    pub on_timeout: ConsistencyTimeout,
}

/// What to do when a receipt does not become visible in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum ConsistencyTimeout {
    /// Answer with what is there.
    Stale,
    /// Answer with the error NOT_YET_VISIBLE.
    Fail,
}

/// Waits as asked.
///
/// # Errors
/// The token is none, the wait is out of bounds, or time ran out and the client wanted to be told.
pub async fn wait(ctx: &Context<'_>, view: View, wish: Option<&ConsistencyInput>) -> Result<()> {
    let Some(wish) = wish else { return Ok(()) };
    let token: Token = wish.token.parse().map_err(|e: crate::event::NotAToken| ErrorCode::BadUserInput.error(e.to_string()))?;
    let timeout = u64::try_from(wish.timeout_ms)
        .ok()
        .filter(|ms| *ms <= 10_000)
        .ok_or_else(|| ErrorCode::BadUserInput.error("timeoutMs is from 0 to 10000"))?;
    let wish = Consistency { token, timeout: Duration::from_millis(timeout), fail: wish.on_timeout == ConsistencyTimeout::Fail };
    reader(ctx)?.wait_for(view, &wish).await.map(|_| ()).map_err(query_error)
}
