//! The history of an order against its events and the renamings of its customer.
//!
//! Every event of the order stands there once and in order. Of the customer's renamings those stand there that reached the order
//! when it was there already, in order, up to the last; earlier ones were known when it came, which of them depends on whose
//! event was faster. Where a renaming stands among the order's events does too.

use super::{
    expected::{CustomerFold, OrderFold},
    places, stored,
};
use crate::{
    difference::{Difference, compare as compare_values},
    event::Meta,
    query::{
        projector::working_set::{Arrived, RENAMED, entry},
        view::EventKind,
    },
    value::{OrderId, Time},
};
use serde_json::{Value, json};

/// When an event was published and projected is for the pipeline to say.
const PIPELINE: [&str; 2] = ["publishedAt", "projectedAt"];

/// The renamings that the document tells of, and what is wrong with its history. `named` is the version of the customer whose
/// name the order must have.
pub(super) fn compare<'a>(
    fold: &OrderFold,
    id: OrderId,
    customer: &'a CustomerFold,
    named: i64,
    found: &Value,
) -> (Vec<&'a Meta>, Vec<Difference>) {
    let entries = found["history"].as_array().map(Vec::as_slice).unwrap_or_default();
    let renamed = serde_json::to_value(EventKind::CustomerRenamed).unwrap_or_default();
    let discarded = serde_json::to_value(EventKind::EventDiscarded).unwrap_or_default();
    let (mut reached, mut wrong) = (Vec::new(), Vec::new());
    let (mut expected, mut version) = (fold.history.iter(), 0);
    for (index, found) in entries.iter().enumerate() {
        let path = format!("history.{index}");
        if found["kind"] == discarded && found["version"].as_i64().is_some_and(|version| fold.discarded.contains(&version)) {
            continue;
        }
        if found["kind"] == renamed {
            match renaming(id, customer, found) {
                Some((meta, expected)) => {
                    reached.push(meta);
                    differ(id, &path, Some(&with_version(expected, version)), Some(found), &mut wrong);
                }
                None => differ(id, &path, None, Some(found), &mut wrong),
            }
            continue;
        }
        let next = expected.next().map(stored);
        version = next.as_ref().and_then(|next| next["version"].as_i64()).unwrap_or(version);
        differ(id, &path, next.as_ref(), Some(found), &mut wrong);
    }
    for (index, missing) in expected.enumerate() {
        differ(id, &format!("history.{}", entries.len() + index), Some(&stored(missing)), None, &mut wrong);
    }
    let versions: Vec<i64> = reached.iter().map(|meta| meta.version).collect();
    let whole: Vec<i64> = versions.first().map_or_else(Vec::new, |first| (*first..=named).collect());
    if !versions.is_empty() && versions != whole {
        let difference = |expected: &[i64], found: &[i64]| (Some(json!(expected)), Some(json!(found)));
        let (expected, found) = difference(&whole, &versions);
        wrong.push(Difference::new(places::ORDERS, id, "history.(renamings)", expected, found));
    }
    (reached, wrong)
}

/// The user's event that an entry tells of, and the entry that there should be.
fn renaming<'a>(id: OrderId, customer: &'a CustomerFold, found: &Value) -> Option<(&'a Meta, Value)> {
    let event = found["id"].as_str()?.strip_suffix(&format!("/{id}"))?;
    let meta = customer.versions.iter().skip(1).map(|(_, meta)| meta).find(|meta| meta.id.to_string() == event)?;
    Some((
        meta,
        stored(&entry(&bare(meta), format!("{event}/{id}"), 0, EventKind::CustomerRenamed, RENAMED.to_owned(), Time::UNIX_EPOCH)),
    ))
}

/// An entry is made of the envelope alone, so any event does.
fn bare(meta: &Meta) -> Arrived {
    let event = crate::event::Event::User(crate::event::UserEvent::ProfileUpdated { email: None, display_name: None });
    Arrived { envelope: crate::event::Envelope { meta: meta.clone(), event }, partition: 0, published_at: Time::UNIX_EPOCH }
}

fn with_version(mut entry: Value, version: i64) -> Value {
    entry["version"] = version.into();
    entry
}

fn differ(id: OrderId, path: &str, expected: Option<&Value>, found: Option<&Value>, wrong: &mut Vec<Difference>) {
    let without = |entry: &Value| {
        let mut entry = entry.clone();
        for name in PIPELINE {
            entry.as_object_mut().and_then(|fields| fields.remove(name));
        }
        entry
    };
    let (expected, found) = (expected.map(without), found.map(without));
    match (expected, found) {
        (Some(expected), Some(found)) => {
            let differences = compare_values(places::ORDERS, id, &expected, &found);
            wrong.extend(
                differences.into_iter().map(|difference| Difference { path: join(path, &difference.path), ..difference }),
            );
        }
        (expected, found) => wrong.push(Difference::new(places::ORDERS, id, path, expected, found)),
    }
}

fn join(path: &str, rest: &str) -> String {
    if rest.is_empty() { path.to_owned() } else { format!("{path}.{rest}") }
}
