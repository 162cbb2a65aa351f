//! One product, live: its state now, then its newest state whenever it changes. States in between may be left out, the last never
//! is.
//!
//! A product and its stock are two streams, so a state may have the newest of one and not yet of the other. Neither ever goes
//! back. Whoever wants both asks with a receipt: its token waits for both.

use super::{News, Topic};
use crate::{
    query::{QueryError, Reader, view::ProductView},
    value::ProductId,
};
use futures_util::Stream;
use tokio::sync::broadcast::{Receiver, error::RecvError};

impl Reader {
    /// Follows one product.
    pub fn product_changed(&self, id: ProductId) -> impl Stream<Item = Result<ProductView, QueryError>> + Send + use<> {
        let news = self.feed.listen(Topic::Product(id));
        let start = Follow { reader: self.clone(), news, id, told: None };
        futures_util::stream::unfold(Some(start), |follow| async move {
            let mut follow = follow?;
            match follow.next().await? {
                Ok(product) => Some((Ok(product), Some(follow))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }
}

struct Follow {
    reader: Reader,
    news: Receiver<News>,
    id: ProductId,
    /// The versions of product and stock last told.
    told: Option<(i64, i64)>,
}

impl Follow {
    async fn next(&mut self) -> Option<Result<ProductView, QueryError>> {
        if self.told.is_none() {
            return self.read().await.transpose();
        }
        loop {
            match self.news.recv().await {
                Ok(News::Product(product)) => {
                    if let Some(product) = self.newer(&product) {
                        return Some(Ok(product));
                    }
                }
                // The stream was away, or we were too slow: the product itself tells.
                Ok(News::Gap) | Err(RecvError::Lagged(_)) => match self.read().await {
                    Ok(None) => {}
                    told => return told.transpose(),
                },
                Ok(_) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// The product, if it is newer than what was told.
    async fn read(&mut self) -> Result<Option<ProductView>, QueryError> {
        let product = self.reader.product(self.id).await?.ok_or(QueryError::NotFound)?;
        Ok(self.newer(&product))
    }

    fn newer(&mut self, product: &ProductView) -> Option<ProductView> {
        let now = (product.version, product.stock_version);
        if self.told.is_some_and(|(version, stock)| now.0 <= version && now.1 <= stock) {
            return None;
        }
        self.told = Some(now);
        Some(product.clone())
    }
}
