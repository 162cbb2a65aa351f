//! The types of the read side, as the API shows them.

mod connection;
mod filter;
mod order;
mod order_event;
mod product;
mod projection;
mod rebuild;
mod sales;
mod user;
mod value;

pub use connection::{OrderConnection, ProductConnection, page_args};
pub use filter::{
    ConsistencyInput, OrderFilterInput, OrderSortInput, ProductFilterInput, ProductSortInput, order_sort, parse_id, product_sort,
    wait,
};
pub use order::{Order, OrderStatus};
pub use order_event::OrderEvent;
pub use product::Product;
pub use projection::Projection;
pub use rebuild::RebuildProgress;
pub use sales::{SalesGranularity, SalesReport};
pub use user::{User, UserRole};
pub use value::{AddressInput, MoneyInput};

use async_graphql::{ID, Interface};

/// Anything that has an id of its own.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID", desc = "Names this object and nothing else, for ever."))]
pub enum Node {
    User(User),
    Product(Product),
    Order(Order),
}

/// Counts are shown as `Int`, which ends at 2^31; a count beyond shows as that.
pub fn int(count: i64) -> i32 {
    i32::try_from(count).unwrap_or(if count < 0 { i32::MIN } else { i32::MAX })
}
