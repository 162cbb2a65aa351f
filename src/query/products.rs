//! Questions about products. The catalogue is the same for everybody who is signed in.

use super::{
    ProductFilter, QueryError, Reader,
    page::{self, Direction, Page, PageArgs, SortKey},
    store::{SERVER, answer, names},
    view::{ProductView, date},
};
use crate::value::ProductId;
use futures_util::TryStreamExt;
use mongodb::bson::{Bson, doc};

/// How a list of products is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProductSort {
    Name,
    Price,
    UnitsSold,
    UpdatedAt,
}

impl ProductSort {
    fn key(self, direction: Direction) -> SortKey {
        let (name, field) = match self {
            Self::Name => ("product.name", "name"),
            Self::Price => ("product.price", "price"),
            Self::UnitsSold => ("product.sold", "unitsSold"),
            Self::UpdatedAt => ("product.updated", "updatedAt"),
        };
        SortKey { name, field, direction }
    }

    fn value(self, product: &ProductView) -> Bson {
        match self {
            Self::Name => Bson::String(product.name.clone()),
            Self::Price => Bson::Int64(product.price),
            Self::UnitsSold => Bson::Int64(product.units_sold),
            Self::UpdatedAt => Bson::DateTime(date::to_bson(product.updated_at)),
        }
    }
}

impl Reader {
    /// One product.
    pub async fn product(&self, id: ProductId) -> Result<Option<ProductView>, QueryError> {
        let filter = doc! { "_id": id.to_string(), "version": { "$gt": 0 } };
        let products = self.store.live().await?.collection::<ProductView>(names::PRODUCTS);
        Ok(answer(products.find_one(filter)).await?)
    }

    /// A page of products.
    pub async fn products(
        &self,
        filter: &ProductFilter,
        sort: ProductSort,
        direction: Direction,
        args: &PageArgs,
    ) -> Result<Page<ProductView>, QueryError> {
        let key = sort.key(direction);
        let plan = page::plan(args, filter.query(), key)?;
        if plan.is_empty() {
            return Ok(plan.page(Vec::new(), |_: &ProductView| String::new()));
        }
        let products = self.store.live().await?.collection::<ProductView>(names::PRODUCTS);
        let find = products.find(plan.filter.clone()).sort(plan.sort.clone()).limit(plan.limit).max_time(SERVER);
        let found: Vec<ProductView> = answer(async { find.await?.try_collect().await }).await?;
        Ok(plan.page(found, |product| page::cursor(key, &sort.value(product), &product.id.to_string())))
    }

    /// How many products there are in a list.
    pub async fn count_products(&self, filter: &ProductFilter) -> Result<u64, QueryError> {
        let products = self.store.live().await?.collection::<ProductView>(names::PRODUCTS);
        Ok(answer(products.count_documents(filter.query()).max_time(SERVER)).await?)
    }
}
