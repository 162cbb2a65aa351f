//! One product, live: its state now, then its newest state whenever it changes. States in between may be left out, the last never
//! is.

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
            return Some(self.read().await);
        }
        loop {
            match self.news.recv().await {
                Ok(News::Product(product)) => {
                    if let Some(product) = self.newer(&product) {
                        return Some(Ok(product));
                    }
                }
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => return Some(self.read().await),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    async fn read(&mut self) -> Result<ProductView, QueryError> {
        let product = self.reader.product(self.id).await?.ok_or(QueryError::NotFound)?;
        self.told = Some((product.version, product.stock_version));
        Ok(product)
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
