//! The sales buckets, and the orders that they count. A bucket is one hour, one currency and one partition; which partition an
//! order went through is the broker's choice, so the partitions of an hour are added up, as a report does. Days and months are
//! made of hours when they are asked for, so hours are all there is to compare.

use super::{Audit, places};
use crate::{
    difference::Difference,
    query::{
        store::{Store, StoreError, names, transact},
        view::{Contribution, date},
    },
    value::{Currency, OrderId, Time},
};
use futures_util::TryStreamExt;
use mongodb::{
    ClientSession,
    bson::{Document, doc},
};
use serde_json::Value;
use std::collections::BTreeMap;

/// What was sold by hour and currency: some 60 bytes each.
pub type Sums = BTreeMap<(Time, Currency), Contribution>;

/// One hour at one moment.
#[derive(Debug, Default)]
pub struct Hour {
    /// What the buckets say.
    pub buckets: BTreeMap<Currency, Contribution>,
    /// The orders placed in that hour, with their versions: some 30 bytes each.
    pub orders: Vec<(OrderId, i64)>,
}

/// Adds up.
pub fn add(sums: &mut Sums, hour: Time, currency: Currency, more: Contribution) {
    let sum = sums.entry((hour, currency)).or_default();
    sum.orders += more.orders;
    sum.items += more.items;
    sum.revenue += more.revenue;
}

impl Audit {
    /// What all buckets say, and those that are not what they call themselves.
    ///
    /// # Errors
    /// The driver's.
    pub async fn sales(&self) -> Result<(Sums, Vec<Difference>, u64), StoreError> {
        let (mut sums, mut wrong, mut read) = (Sums::new(), Vec::new(), 0);
        let mut cursor = self.0.live().await?.collection::<Document>(names::SALES).find(doc! {}).await?;
        while let Some(bucket) = cursor.try_next().await? {
            read += 1;
            match key(&bucket) {
                Ok((hour, currency)) => add(&mut sums, hour, currency, counts(&bucket)),
                Err(difference) => wrong.push(*difference),
            }
        }
        Ok((sums, wrong, read))
    }

    /// An hour's buckets and orders, in one transaction.
    ///
    /// # Errors
    /// The driver's.
    pub async fn hour(&self, hour: Time) -> Result<Hour, StoreError> {
        let live = self.0.live().await?;
        transact(&live, |session| {
            let store = live.clone();
            Box::pin(async move { read(&store, session, hour).await })
        })
        .await
    }
}

async fn read(store: &Store, session: &mut ClientSession, start: Time) -> Result<Hour, StoreError> {
    let mut hour = Hour::default();
    let from = date::to_bson(start);
    let buckets = store.collection::<Document>(names::SALES);
    let mut cursor = buckets.find(doc! { "start": from }).session(&mut *session).await?;
    let mut sums = Sums::new();
    while let Some(bucket) = cursor.next(&mut *session).await.transpose()? {
        if let Ok((at, currency)) = key(&bucket) {
            add(&mut sums, at, currency, counts(&bucket));
        }
    }
    hour.buckets = sums.into_iter().map(|((_, currency), sum)| (currency, sum)).collect();
    let placed = doc! { "placedAt": { "$gte": from, "$lt": date::to_bson(start + time::Duration::HOUR) } };
    let orders = store.collection::<Document>(names::ORDERS);
    let mut cursor = orders.find(placed).projection(doc! { "version": 1 }).session(&mut *session).await?;
    while let Some(order) = cursor.next(&mut *session).await.transpose()? {
        if let Some(id) = order.get_str("_id").ok().and_then(|id| id.parse().ok()) {
            hour.orders.push((id, order.get_i64("version").unwrap_or(0)));
        }
    }
    Ok(hour)
}

fn counts(bucket: &Document) -> Contribution {
    let count = |name| bucket.get_i64(name).unwrap_or(0);
    Contribution { orders: count("orderCount"), items: count("itemCount"), revenue: count("revenue") }
}

/// The hour and currency of a bucket, if its id says the same: `1767225600:GBP:3`.
fn key(bucket: &Document) -> Result<(Time, Currency), Box<Difference>> {
    let id = bucket.get_str("_id").unwrap_or_default();
    let mut parts = id.split(':');
    let hour = parts.next().and_then(|hour| Time::from_unix_timestamp(hour.parse().ok()?).ok());
    let currency = parts.next().and_then(|currency| currency.parse::<Currency>().ok());
    let start = bucket.get_datetime("start").ok().map(|start| date::from_bson(*start));
    let named = bucket.get_str("currency").ok().and_then(|currency| currency.parse().ok());
    match (hour, currency) {
        (Some(hour), Some(currency)) if start == Some(hour) && named == Some(currency) => Ok((hour, currency)),
        _ => {
            let start = start.map(|start| Value::String(start.to_string()));
            Err(Box::new(Difference::new(places::SALES, id, "start", None, start)))
        }
    }
}
