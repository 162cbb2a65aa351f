//! The sales report.

use super::{int, value::Money};
use crate::{
    graphql::scalars::DateTime,
    query::{Bucket, Granularity},
};
use async_graphql::{Enum, SimpleObject};

/// What was sold between two moments, by the time of placing, in UTC. Cancelled orders do not count.
#[derive(SimpleObject)]
pub struct SalesReport {
    /// The beginning, inclusive.
    pub from: DateTime,
    /// The end, exclusive.
    pub to: DateTime,
    /// In the order of time; those without orders are left out.
    pub buckets: Vec<SalesBucket>,
}

/// One hour, day or month of a report.
#[derive(SimpleObject)]
pub struct SalesBucket {
    /// The beginning of the hour, day or month.
    start: DateTime,
    /// Orders placed and not cancelled.
    order_count: i32,
    /// Units, net of refunds.
    item_count: i32,
    /// Money, net of refunds, one amount a currency.
    revenue: Vec<Money>,
}

impl From<Bucket> for SalesBucket {
    fn from(bucket: Bucket) -> Self {
        Self {
            start: DateTime(bucket.start),
            order_count: int(bucket.order_count),
            item_count: int(bucket.item_count),
            revenue: bucket.revenue.into_iter().map(Money::from).collect(),
        }
    }
}

/// The width of the buckets of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "crate::query::Granularity")]
pub enum SalesGranularity {
    /// By the hour.
    Hour,
    /// By the day.
    Day,
    /// By the month.
    Month,
}

const _: fn(SalesGranularity) -> Granularity = Into::into;
