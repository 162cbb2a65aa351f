//! What no event tells of: documents and rows that the walk over the log cannot meet. A document is made by an event that has
//! committed, so whatever the log does not have when it is asked afterwards should not be there.

use super::{Report, Verifier, VerifyError};
use crate::{
    difference::Difference,
    event::Stream,
    query::audit::Shelf,
    value::{ProductId, UserId},
};
use serde_json::json;
use uuid::Uuid;

impl Verifier {
    pub(super) async fn find_strangers(&self, report: &mut Report) -> Result<(), VerifyError> {
        for shelf in Shelf::ALL {
            let mut place = String::new();
            loop {
                let page = self.audit.ids(shelf, &place).await?;
                let Some((last, _)) = page.last() else { break };
                place.clone_from(last);
                self.expect_told(shelf, page, report).await?;
            }
        }
        for kind in ["user", "product", "stock", "order"] {
            let mut place = None::<Uuid>;
            while let Some((last, strangers)) = self.books.strangers(kind, place).await? {
                report.differences.extend(strangers);
                place = Some(last);
            }
        }
        Ok(())
    }

    /// Says which of these documents no event tells of. A user's may have been begun by an order of theirs, a product's by its
    /// stock.
    async fn expect_told(&self, shelf: Shelf, page: Vec<(String, i64)>, report: &mut Report) -> Result<(), VerifyError> {
        let streams: Vec<Stream> = page.iter().filter_map(|(id, _)| shelf.stream(id)).collect();
        let heads = self.log.heads(&streams).await?;
        for (id, version) in page {
            let told = match shelf.stream(&id) {
                Some(stream) if heads.contains_key(&stream) => true,
                None | Some(Stream::Order(_)) => false,
                Some(Stream::User(UserId(key)) | Stream::Product(ProductId(key)) | Stream::Stock(ProductId(key))) => {
                    !self.log.page_of(key, None, 1).await?.is_empty()
                }
            };
            if !told {
                let found = Some(json!({ "version": version }));
                report.differences.add(Difference::new(shelf.place(), id, "", None, found));
            }
        }
        Ok(())
    }
}
