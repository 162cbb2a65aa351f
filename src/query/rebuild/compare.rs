//! Compares two generations, document by document. While both follow their queues a document may be a version further in one than
//! in the other; so what differs is only suspected at first, and looked at again when both stand still.
//!
//! Some things differ without being wrong and are left out. The place in the change log is the live one's alone. The history says
//! when each event became visible in this read model. And a renaming counts as the last update of an order if it came after the
//! order, which two streams that are folded apart need not agree on. The mark of a parked document is no part of any fold.

use crate::query::{
    store::{Store, StoreError, names},
    view::date,
};
use futures_util::TryStreamExt;
use mongodb::{
    Cursor,
    bson::{Bson, Document, doc},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How a generation differs from another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// Documents looked at.
    pub compared: i64,
    pub differing: i64,
    /// The first of them.
    pub examples: Vec<Difference>,
}

/// A document that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    pub collection: String,
    pub id: String,
    /// The fields that differ; none when one side has no such document.
    pub fields: Vec<String>,
}

/// The most examples that are told.
const EXAMPLES: usize = 20;

/// The most documents that are looked at again. More than that are not in motion, but different.
const SUSPECTS: usize = 2_000;

const VIEWS: [(&str, &[&str]); 3] =
    [(names::ORDERS, &["change", "history", "updatedAt", "parked"]), (names::USERS, &["parked"]), (names::PRODUCTS, &["parked"])];

/// What may differ.
#[derive(Debug, Default)]
pub struct Suspects {
    compared: i64,
    ids: BTreeMap<&'static str, BTreeSet<String>>,
    hours: BTreeSet<(i64, String)>,
    /// Those that did not fit.
    beyond: i64,
}

fn without(fields: &[&str]) -> Document {
    fields.iter().map(|field| ((*field).to_owned(), Bson::Int32(0))).collect()
}

/// Walks through both; `walked` hears of every so many documents.
pub async fn walk(live: &Store, new: &Store, walked: impl Fn(i64)) -> Result<Suspects, StoreError> {
    let mut suspects = Suspects::default();
    for (view, ignored) in VIEWS {
        let mut left = Side::open(live, view, ignored).await?;
        let mut right = Side::open(new, view, ignored).await?;
        loop {
            let (suspect, which) = match (&left.at, &right.at) {
                (None, None) => break,
                (Some((l, one)), Some((r, other))) if l == r => ((one != other).then(|| l.clone()), (true, true)),
                (Some((l, _)), Some((r, _))) if l < r => (Some(l.clone()), (true, false)),
                (Some((l, _)), None) => (Some(l.clone()), (true, false)),
                (_, Some((r, _))) => (Some(r.clone()), (false, true)),
            };
            suspects.compared += 1;
            if suspects.compared % 1_000 == 0 {
                walked(1_000);
            }
            if let Some(id) = suspect {
                let ids = suspects.ids.entry(view).or_default();
                if ids.len() < SUSPECTS {
                    ids.insert(id);
                } else {
                    suspects.beyond += 1;
                }
            }
            if which.0 {
                left.next().await?;
            }
            if which.1 {
                right.next().await?;
            }
        }
    }
    let (left, right) = (hours(live, None).await?, hours(new, None).await?);
    suspects.compared += left.len() as i64;
    suspects.hours = unequal(&left, &right).take(SUSPECTS).cloned().collect();
    Ok(suspects)
}

struct Side {
    cursor: Cursor<Document>,
    at: Option<(String, Document)>,
}

impl Side {
    async fn open(store: &Store, view: &str, ignored: &[&str]) -> Result<Self, StoreError> {
        let documents = store.collection::<Document>(view);
        let find = documents.find(doc! {}).sort(doc! { "_id": 1 }).batch_size(500);
        let cursor = find.projection(without(ignored)).await?;
        let mut side = Self { cursor, at: None };
        side.next().await?;
        Ok(side)
    }

    async fn next(&mut self) -> Result<(), StoreError> {
        self.at = self.cursor.try_next().await?.map(|found| (found.get_str("_id").unwrap_or_default().to_owned(), found));
        Ok(())
    }
}

/// Looks at what was suspected once more, now that both stand still.
pub async fn settle(live: &Store, new: &Store, suspects: &Suspects) -> Result<Comparison, StoreError> {
    let mut comparison = Comparison { compared: suspects.compared, differing: suspects.beyond, examples: Vec::new() };
    let mut differs = |collection: &str, id: String, fields: Vec<String>| {
        comparison.differing += 1;
        if comparison.examples.len() < EXAMPLES {
            comparison.examples.push(Difference { collection: collection.to_owned(), id, fields });
        }
    };
    for (view, ignored) in VIEWS {
        let Some(ids) = suspects.ids.get(view) else { continue };
        let (mut left, mut right) = (some(live, view, ignored, ids).await?, some(new, view, ignored, ids).await?);
        for id in ids {
            match (left.remove(id), right.remove(id)) {
                (one, other) if one == other => {}
                (Some(one), Some(other)) => {
                    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
                    let fields = names.into_iter().filter(|name| one.get(*name) != other.get(*name)).cloned().collect();
                    differs(view, id.clone(), fields);
                }
                _ => differs(view, id.clone(), Vec::new()),
            }
        }
    }
    if !suspects.hours.is_empty() {
        let (left, right) = (hours(live, Some(&suspects.hours)).await?, hours(new, Some(&suspects.hours)).await?);
        for (hour, currency) in unequal(&left, &right) {
            let fields = ["orderCount", "itemCount", "revenue"].map(str::to_owned).into();
            differs(names::SALES, format!("{}:{currency}", hour / 1_000), fields);
        }
    }
    Ok(comparison)
}

async fn some(
    store: &Store,
    view: &str,
    ignored: &[&str],
    ids: &BTreeSet<String>,
) -> Result<BTreeMap<String, Document>, StoreError> {
    let filter = doc! { "_id": { "$in": ids.iter().collect::<Vec<_>>() } };
    let found = store.collection::<Document>(view).find(filter).projection(without(ignored)).await?;
    let found: Vec<Document> = found.try_collect().await?;
    Ok(found.into_iter().map(|found| (found.get_str("_id").unwrap_or_default().to_owned(), found)).collect())
}

type Hours = BTreeMap<(i64, String), [i64; 3]>;

fn unequal<'a>(left: &'a Hours, right: &'a Hours) -> impl Iterator<Item = &'a (i64, String)> {
    let missing = right.keys().filter(|key| !left.contains_key(key));
    left.iter().filter(|(key, sums)| right.get(key) != Some(sums)).map(|(key, _)| key).chain(missing)
}

/// What was sold by hour and currency, whatever the partitions. Hours that came to nothing are not told.
async fn hours(store: &Store, only: Option<&BTreeSet<(i64, String)>>) -> Result<Hours, StoreError> {
    #[derive(Deserialize)]
    struct Row {
        #[serde(rename = "_id")]
        key: Key,
        sums: [i64; 3],
    }
    #[derive(Deserialize)]
    struct Key {
        #[serde(with = "date")]
        start: crate::value::Time,
        currency: String,
    }
    let dates = only.map(|only| only.iter().map(|(start, _)| mongodb::bson::DateTime::from_millis(*start)).collect::<Vec<_>>());
    let pipeline = [
        doc! { "$match": dates.map_or_else(Document::new, |dates| doc! { "start": { "$in": dates } }) },
        doc! { "$group": {
            "_id": { "start": "$start", "currency": "$currency" },
            "orders": { "$sum": "$orderCount" }, "items": { "$sum": "$itemCount" }, "revenue": { "$sum": "$revenue" },
        } },
        doc! { "$project": { "sums": ["$orders", "$items", "$revenue"] } },
    ];
    let rows = store.collection::<Document>(names::SALES).aggregate(pipeline).with_type::<Row>().await?;
    let rows: Vec<Row> = rows.try_collect().await?;
    let rows = rows.into_iter().filter(|row| row.sums != [0; 3]);
    Ok(rows.map(|row| ((date::to_bson(row.key.start).timestamp_millis(), row.key.currency), row.sums)).collect())
}
