//! "At least this receipt": waits until one append has been applied to one view. It never asks whether a global position has been
//! passed.

use super::{
    QueryError, Reader,
    feed::Topic,
    store::{answer, names},
};
use crate::{
    event::{StockMark, Stream, Token},
    value::{OrderId, ProductId},
};
use mongodb::bson::{Document, doc};
use serde::Deserialize;
use std::time::Duration;

/// The view a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    Orders,
    Users,
    Products,
}

/// How fresh an answer must be.
#[derive(Debug, Clone)]
pub struct Consistency {
    pub token: Token,
    pub timeout: Duration,
    /// Whether to fail, rather than answer with what is there, when time runs out.
    pub fail: bool,
}

/// What came of the wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    Satisfied,
    Stale,
}

/// The longest wait a client may ask for.
pub const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Between looks when no news comes. What is waited for is news to this process when it becomes visible, so this is the net for a
/// feed that has lost its stream.
const LOOK: Duration = Duration::from_millis(500);

impl Reader {
    /// Waits for an append to be visible in a view.
    ///
    /// # Errors
    /// [`QueryError::NotYetVisible`] when time runs out and the client wanted to be told, or the database is unavailable.
    pub async fn wait_for(&self, view: View, wish: &Consistency) -> Result<Freshness, QueryError> {
        if !concerns(view, wish.token.stream) {
            return Ok(Freshness::Satisfied);
        }
        // At least one look, however little patience there is.
        if self.visible(view, &wish.token).await? {
            return Ok(Freshness::Satisfied);
        }
        let waiting = async {
            // Listening before looking: what becomes visible in between is news.
            let mut news = self.feed.listen(topic(wish.token.stream));
            let mut more = self.feed.listen(Topic::AnyProduct);
            loop {
                if self.visible(view, &wish.token).await? {
                    return Ok::<_, QueryError>(());
                }
                tokio::select! {
                    _ = news.recv() => {}
                    _ = more.recv(), if view == View::Products => {}
                    () = tokio::time::sleep(LOOK) => {}
                }
            }
        };
        match tokio::time::timeout(wish.timeout.min(LONGEST_WAIT), waiting).await {
            Ok(Ok(())) => Ok(Freshness::Satisfied),
            Ok(Err(error)) => Err(error),
            Err(_) if wish.fail => Err(QueryError::NotYetVisible),
            Err(_) => Ok(Freshness::Stale),
        }
    }

    async fn visible(&self, view: View, token: &Token) -> Result<bool, QueryError> {
        #[derive(Deserialize)]
        struct Seen {
            version: i64,
            #[serde(default, rename = "stockVersion")]
            stock_version: i64,
            #[serde(default)]
            stock: Vec<StockMark>,
        }
        let (collection, id) = match token.stream {
            Stream::Order(id) => (names::ORDERS, id.to_string()),
            Stream::User(id) => (names::USERS, id.to_string()),
            Stream::Product(id) | Stream::Stock(id) => (names::PRODUCTS, id.to_string()),
        };
        let documents = self.store.live().await?.collection::<Seen>(collection);
        let fields = doc! { "version": 1, "stockVersion": 1, "stock": 1 };
        let find = documents.find_one(doc! { "_id": id }).projection(fields);
        let Some(seen) = answer(find).await? else { return Ok(false) };
        if seen.version < token.version || seen.stock_version < token.stock_version.unwrap_or(0) {
            return Ok(false);
        }
        // An order's effect on products is visible when each product has reached the level that the order moved it to.
        if view == View::Products && !seen.stock.is_empty() {
            return self.levels_reached(&seen.stock).await;
        }
        Ok(true)
    }

    async fn levels_reached(&self, marks: &[StockMark]) -> Result<bool, QueryError> {
        let behind: Vec<Document> = marks
            .iter()
            .map(|mark| doc! { "_id": mark.product_id.to_string(), "stockVersion": { "$gte": mark.version } })
            .collect();
        let products = self.store.live().await?.collection::<Document>(names::PRODUCTS);
        let reached = answer(products.count_documents(doc! { "$or": behind })).await?;
        Ok(usize::try_from(reached).is_ok_and(|reached| reached == marks.len()))
    }
}

/// Whether appends to this stream change this view at all. A user's name is in their orders, and orders are in the user's
/// summary, in the same transaction; stock moves with orders.
fn concerns(view: View, stream: Stream) -> bool {
    match stream {
        Stream::Order(_) => true,
        Stream::User(_) => view != View::Products,
        Stream::Product(_) | Stream::Stock(_) => view == View::Products,
    }
}

fn topic(stream: Stream) -> Topic {
    match stream {
        Stream::Order(OrderId(id)) => Topic::Order(OrderId(id)),
        Stream::User(id) => Topic::User(id),
        Stream::Product(ProductId(id)) | Stream::Stock(ProductId(id)) => Topic::Product(ProductId(id)),
    }
}
