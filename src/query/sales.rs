//! The sales report. Whole hours come from the buckets; the parts of an hour at either end, and everything a customer asks, come
//! from the orders themselves, so that the report is exact for any two moments.

use super::{
    QueryError, Reader,
    store::{SERVER, StoreError, answer, names},
    view::{date, hour_of},
};
use crate::value::{Currency, Money, Time, Viewer};
use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The width of a bucket, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granularity {
    Hour,
    Day,
    Month,
}

impl Granularity {
    fn unit(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}

/// A bucket that has orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    pub start: Time,
    pub order_count: i64,
    pub item_count: i64,
    /// One amount a currency, in the order of the codes.
    pub revenue: Vec<Money>,
}

/// The most buckets of a report: a year of hours.
const MOST: usize = 8_784;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    #[serde(rename = "_id")]
    key: Key,
    order_count: i64,
    item_count: i64,
    revenue: i64,
}

#[derive(Debug, Deserialize)]
struct Key {
    #[serde(with = "date")]
    start: Time,
    currency: Currency,
}

impl Reader {
    /// What was sold from `from` (inclusive) to `to` (exclusive) by the time of placing; a customer sees what they bought.
    pub async fn sales(&self, viewer: &Viewer, from: Time, to: Time, by: Granularity) -> Result<Vec<Bucket>, QueryError> {
        if from >= to {
            return Err(QueryError::BadInput("from must be before to".into()));
        }
        let mut rows = Vec::new();
        if viewer.runs_the_shop() {
            // The first and the last whole hour.
            let inner_from = if hour_of(from) == from { from } else { hour_of(from) + time::Duration::HOUR };
            let inner_to = hour_of(to);
            if inner_from < inner_to {
                rows.extend(self.sold_in_orders(None, from, inner_from, by).await?);
                rows.extend(self.sold_in_buckets(inner_from, inner_to, by).await?);
                rows.extend(self.sold_in_orders(None, inner_to, to, by).await?);
            } else {
                rows.extend(self.sold_in_orders(None, from, to, by).await?);
            }
        } else if let Some(own) = viewer.user_id() {
            rows.extend(self.sold_in_orders(Some(own.to_string()), from, to, by).await?);
        }
        let buckets = add_up(rows);
        if buckets.len() > MOST {
            return Err(QueryError::BadInput(format!("a report has at most {MOST} buckets; ask for less time or wider buckets")));
        }
        Ok(buckets)
    }

    async fn sold_in_buckets(&self, from: Time, to: Time, by: Granularity) -> Result<Vec<Row>, StoreError> {
        let pipeline = [
            doc! { "$match": { "start": { "$gte": date::to_bson(from), "$lt": date::to_bson(to) } } },
            group("$start", by, "$orderCount".into(), "$itemCount".into(), "$revenue".into()),
        ];
        self.rows(names::SALES, pipeline).await
    }

    async fn sold_in_orders(
        &self,
        customer: Option<String>,
        from: Time,
        to: Time,
        by: Granularity,
    ) -> Result<Vec<Row>, StoreError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let mut matching = Document::new();
        if let Some(customer) = customer {
            matching.insert("customer.id", customer);
        }
        matching.insert("placedAt", doc! { "$gte": date::to_bson(from), "$lt": date::to_bson(to) });
        matching.insert("status", doc! { "$ne": "CANCELLED" });
        let net =
            doc! { "$sum": { "$map": { "input": "$lines", "in": { "$subtract": ["$$this.quantity", "$$this.refunded"] } } } };
        let pipeline = [
            doc! { "$match": matching },
            group("$placedAt", by, Bson::Int64(1), net.into(), doc! { "$subtract": ["$total", "$refunded"] }.into()),
        ];
        self.rows(names::ORDERS, pipeline).await
    }

    async fn rows(&self, collection: &str, pipeline: [Document; 2]) -> Result<Vec<Row>, StoreError> {
        let documents = self.store.live().await?.collection::<Document>(collection);
        let sum = documents.aggregate(pipeline).max_time(SERVER).with_type::<Row>();
        answer(async { sum.await?.try_collect().await }).await
    }
}

fn group(time: &str, by: Granularity, orders: Bson, items: Bson, revenue: Bson) -> Document {
    let start = doc! { "$dateTrunc": { "date": time, "unit": by.unit(), "timezone": "UTC" } };
    doc! { "$group": {
        "_id": { "start": start, "currency": "$currency" },
        "orderCount": { "$sum": orders },
        "itemCount": { "$sum": items },
        "revenue": { "$sum": revenue },
    } }
}

/// Puts rows of several sources and currencies together; buckets without orders are left out.
fn add_up(rows: Vec<Row>) -> Vec<Bucket> {
    let mut buckets: BTreeMap<Time, BTreeMap<Currency, (i64, i64, i64)>> = BTreeMap::new();
    for row in rows {
        let sums = buckets.entry(row.key.start).or_default().entry(row.key.currency).or_default();
        sums.0 += row.order_count;
        sums.1 += row.item_count;
        sums.2 += row.revenue;
    }
    buckets
        .into_iter()
        .map(|(start, currencies)| Bucket {
            start,
            order_count: currencies.values().map(|sums| sums.0).sum(),
            item_count: currencies.values().map(|sums| sums.1).sum(),
            revenue: currencies
                .iter()
                .filter(|(_, sums)| sums.0 > 0)
                .map(|(currency, sums)| Money::new(sums.2, *currency))
                .collect(),
        })
        .filter(|bucket| bucket.order_count > 0)
        .collect()
}
