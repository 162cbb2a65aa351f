//! Questions about orders.

use super::{
    OrderFilter, QueryError, Reader,
    page::{self, Direction, Page, PageArgs, SortKey},
    store::{SERVER, answer, names},
    view::{EventView, OrderView, date},
};
use crate::value::{OrderId, Viewer};
use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use serde::Deserialize;

/// How a list of orders is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderSort {
    PlacedAt,
    UpdatedAt,
    Total,
    Number,
}

impl OrderSort {
    fn key(self, direction: Direction) -> SortKey {
        let (name, field) = match self {
            Self::PlacedAt => ("order.placed", "placedAt"),
            Self::UpdatedAt => ("order.updated", "updatedAt"),
            Self::Total => ("order.total", "total"),
            Self::Number => ("order.number", "number"),
        };
        SortKey { name, field, direction }
    }

    fn value(self, order: &OrderView) -> Bson {
        match self {
            Self::PlacedAt => Bson::DateTime(date::to_bson(order.placed_at)),
            Self::UpdatedAt => Bson::DateTime(date::to_bson(order.updated_at)),
            Self::Total => Bson::Int64(order.total),
            Self::Number => Bson::Int64(order.number),
        }
    }
}

/// A part of an order's history, oldest first.
#[derive(Debug)]
pub struct HistoryPage {
    pub items: Vec<EventView>,
    /// The place of the first item.
    pub start: usize,
    pub total: usize,
}

/// What no reader shows: the history is long, and nothing but [`Reader::history`] reads it; words are for the index, and marks of
/// stock for receipts.
fn hidden() -> Document {
    doc! { "history": 0, "search": 0, "stock": 0 }
}

impl Reader {
    /// One order, if it exists and this viewer may see it.
    pub async fn order(&self, viewer: &Viewer, id: OrderId) -> Result<Option<OrderView>, QueryError> {
        let store = &self.store;
        let find = move |ids: Vec<String>| async move {
            let orders = store.live().await?.collection::<OrderView>(names::ORDERS);
            let find = orders.find(doc! { "_id": { "$in": ids } }).projection(hidden());
            let found: Vec<OrderView> = answer(async { find.max_time(SERVER).await?.try_collect().await }).await?;
            Ok(found.into_iter().map(|order| (order.id.to_string(), order)).collect())
        };
        let found = self.orders_by_id.get(&id.to_string(), find).await?;
        // Whoever asks together sees apart.
        Ok(found.filter(|order| viewer.may_act_for(order.customer.id)))
    }

    /// A page of orders.
    pub async fn orders(
        &self,
        viewer: &Viewer,
        filter: &OrderFilter,
        sort: OrderSort,
        direction: Direction,
        args: &PageArgs,
    ) -> Result<Page<OrderView>, QueryError> {
        let key = sort.key(direction);
        let Ok(query) = filter.query(viewer) else {
            return Ok(page::plan(args, Document::new(), key)?.page(Vec::new(), |_: &OrderView| String::new()));
        };
        let plan = page::plan(args, query, key)?;
        if plan.is_empty() {
            return Ok(plan.page(Vec::new(), |_: &OrderView| String::new()));
        }
        let orders = self.store.live().await?.collection::<OrderView>(names::ORDERS);
        let find = orders.find(plan.filter.clone()).projection(hidden()).sort(plan.sort.clone()).limit(plan.limit);
        let found: Vec<OrderView> = answer(async { find.max_time(SERVER).await?.try_collect().await }).await?;
        Ok(plan.page(found, |order| page::cursor(key, &sort.value(order), &order.id.to_string())))
    }

    /// How many orders there are in a list.
    pub async fn count_orders(&self, viewer: &Viewer, filter: &OrderFilter) -> Result<u64, QueryError> {
        let Ok(query) = filter.query(viewer) else { return Ok(0) };
        let orders = self.store.live().await?.collection::<OrderView>(names::ORDERS);
        let mut count = orders.count_documents(query.clone()).max_time(SERVER);
        // Without a filter the count would read every document; by the index of ids it reads only that.
        if query.is_empty() {
            count = count.hint(mongodb::options::Hint::Keys(doc! { "_id": 1 }));
        }
        Ok(answer(count).await?)
    }

    /// A part of an order's history. The order has been read for this viewer before.
    pub async fn history(&self, id: OrderId, start: usize, limit: usize) -> Result<HistoryPage, QueryError> {
        #[derive(Deserialize)]
        struct Found {
            history: Vec<EventView>,
            total: i64,
        }
        let slice = [Bson::String("$history".into()), to_i64(start).into(), to_i64(limit.max(1)).into()];
        let pipeline = [
            doc! { "$match": { "_id": id.to_string() } },
            doc! { "$project": {
                "_id": 0,
                "total": { "$toLong": { "$size": "$history" } },
                "history": { "$slice": slice.to_vec() },
            } },
        ];
        let orders = self.store.live().await?.collection::<Document>(names::ORDERS);
        let find = orders.aggregate(pipeline).max_time(SERVER).with_type::<Found>();
        let found = answer(async { find.await?.try_next().await }).await?;
        let Some(mut found) = found else { return Err(QueryError::NotFound) };
        found.history.truncate(limit);
        Ok(HistoryPage { items: found.history, start, total: usize::try_from(found.total).unwrap_or_default() })
    }
}

fn to_i64(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
