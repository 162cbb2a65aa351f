//! The read side: answers questions from MongoDB and nothing else, folds events into its documents, and tells subscribers what
//! changed.
//!
//! One method per question on [`Reader`], each limited to what its [`Viewer`](crate::value::Viewer) may see by the filter that
//! goes to the database. It refuses to know PostgreSQL, the commands, or GraphQL.

pub mod audit;
mod consistency;
mod feed;
mod filter;
mod orders;
mod page;
mod products;
pub mod projector;
pub mod rebuild;
mod sales;
mod store;
mod together;
mod users;
mod view;

pub use consistency::{Consistency, Freshness, View};
pub use feed::{Feed, Followed, OrderUpdate, UpdateKind};
pub use filter::{OrderFilter, ProductFilter};
pub use orders::{HistoryPage, OrderSort};
pub use page::{Direction, Page, PageArgs};
pub use products::ProductSort;
pub use sales::{Bucket, Granularity};
pub use store::{GOOD_FOR, Generation, Registry, Store, StoreError};
pub use view::{
    Cause, CustomerView, EventKind, EventView, LineView, OrderView, Parked, ProductView, ShipmentView, Summary, UserView,
};

use crate::health::Beat;
use together::Together;

/// Answers questions. Cheap to clone.
#[derive(Clone)]
pub struct Reader {
    store: Store,
    feed: Feed,
    orders_by_id: Together<OrderView>,
}

impl Reader {
    pub fn new(store: Store, feed: Feed) -> Self {
        Self { store, feed, orders_by_id: Together::default() }
    }

    /// The live side of the same documents.
    pub fn feed(&self) -> &Feed {
        &self.feed
    }
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The question is wrong; the sentence says how.
    #[error("{0}")]
    BadInput(String),
    /// The receipt's append is not visible here yet, and the client asked to be told rather than to get stale data.
    #[error("what the receipt proves is not visible here yet; ask again, or accept stale data")]
    NotYetVisible,
    /// It does not exist, or it is not this viewer's.
    #[error("there is no such thing, or it is not yours")]
    NotFound,
    /// MongoDB cannot be reached or did not answer. It never means that something does not exist.
    #[error("the read side is unavailable")]
    Unavailable(#[from] StoreError),
}

/// How the feed shows that it is alive.
pub type FeedBeat = Beat;
