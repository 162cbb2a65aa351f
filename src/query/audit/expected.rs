//! What the projector's own folds make of a stream, event by event, and how a document differs from it. Pure.

use super::{OTHERWISE, history, places, stored, version_of};
use crate::{
    difference::{Difference, compare},
    event::{Envelope, Event, Meta, Stream},
    query::{
        projector::{
            fold_catalogue, fold_order,
            working_set::{Arrived, entry},
        },
        view::{Contribution, EventView, OrderView, ProductView, Summary, UserView, hour_of},
    },
    value::{Currency, OrderId, ProductId, Time, UserId},
};
use serde_json::Value;
use std::collections::HashSet;

/// Events that an operator has discarded: their effect is left out of the read model on purpose, and only their version counts.
///
/// (`projector::skip` has the rule.)
#[derive(Debug, Default)]
pub struct Discards(pub(super) HashSet<(Stream, i64)>);

impl Discards {
    pub fn has(&self, place: (Stream, i64)) -> bool {
        self.0.contains(&place)
    }
}

/// A customer's events folded, every version of them, and what their orders add up to.
#[derive(Debug)]
pub struct CustomerFold {
    id: UserId,
    /// In the order of versions, from the first on.
    pub(super) versions: Vec<(UserView, Meta)>,
    stuck: Option<String>,
    /// Of the orders as far as the read model had them.
    pub seen: Summary,
    /// Of the orders as far as the log has them.
    pub all: Summary,
}

impl CustomerFold {
    pub fn new(id: UserId) -> Self {
        Self { id, versions: Vec::new(), stuck: None, seen: Summary::default(), all: Summary::default() }
    }

    pub fn step(&mut self, place: (Stream, i64), envelope: Result<&Envelope, String>, discards: &Discards) {
        let before = self.versions.last().map_or_else(|| UserView::unknown(self.id), |(user, _)| user.clone());
        match envelope {
            _ if self.stuck.is_some() => {}
            _ if discards.has(place) => {
                // Whether it can be read or not; a name that it would have changed is that of before.
                let meta = envelope.ok().map(|envelope| &envelope.meta).or(self.versions.last().map(|(_, meta)| meta));
                if let Some(meta) = meta.cloned() {
                    self.versions.push((UserView { version: place.1, ..before }, Meta { version: place.1, ..meta }));
                }
            }
            Ok(Envelope { meta, event: Event::User(event) }) => {
                self.versions.push((fold_catalogue::user(before, meta, event), meta.clone()));
            }
            Ok(envelope) => self.stuck = Some(format!("a {} is no event of a user", envelope.event.kind())),
            Err(why) => self.stuck = Some(why),
        }
    }

    /// The user in this version.
    pub(super) fn at(&self, version: i64) -> Option<&(UserView, Meta)> {
        self.versions.get(usize::try_from(version.checked_sub(1)?).ok()?)
    }

    /// How the user's document differs, the summary of the orders included.
    pub fn differences(&self, found: Option<&Value>) -> Vec<Difference> {
        let Some(found) = found else {
            let orders = self.seen.order_count;
            let nothing = orders == 0;
            let missing = || Difference::new(places::USERS, self.id, "", Some(serde_json::json!({ "orders": orders })), None);
            return if nothing { Vec::new() } else { vec![missing()] };
        };
        let version = version_of(Some(found), "version");
        let expected = match self.at(version) {
            Some((user, _)) => user.clone(),
            None if version == 0 => UserView::unknown(self.id),
            None => return vec![beyond(places::USERS, self.id, "version", self.versions.len(), self.stuck.as_ref(), version)],
        };
        // What the read model had of the orders is right while more is on its way; what the log says in all is right by
        // definition.
        let by = |summary: &Summary| {
            let expected = UserView { summary: summary.clone(), ..expected.clone() };
            compare(places::USERS, self.id, &unparked(stored(&expected)), &unparked(found.clone()))
        };
        let (seen, all) = (by(&self.seen), by(&self.all));
        if all.len() < seen.len() { all } else { seen }
    }
}

fn beyond(place: &'static str, id: impl ToString, path: &str, known: usize, stuck: Option<&String>, found: i64) -> Difference {
    let expected = stuck.map_or_else(|| known.into(), |why| format!("{known} at most: {why}").into());
    Difference::new(place, id, path, Some(expected), Some(found.into()))
}

/// What one event of an order changed, for those who count.
#[derive(Debug)]
pub struct Tallied {
    before: Option<OrderView>,
    after: OrderView,
}

impl Tallied {
    pub fn count(&self, summary: &mut Summary) {
        summary.replace(self.before.as_ref(), &self.after);
    }

    /// The hour in which the order was placed, its currency, and the difference there.
    pub fn sold(&self) -> (Time, Currency, Contribution) {
        let before = self.before.as_ref().map(Contribution::of).unwrap_or_default();
        (hour_of(self.after.placed_at), self.after.currency, Contribution::of(&self.after).minus(before))
    }
}

/// An order folded.
#[derive(Debug, Clone, Default)]
pub struct OrderFold {
    pub(super) order: Option<OrderView>,
    /// Without renamings, and with no times of the pipeline.
    pub(super) history: Vec<EventView>,
    stuck: Option<String>,
    /// Versions without an effect.
    pub(super) discarded: HashSet<i64>,
}

impl OrderFold {
    /// The next event; says what it changed, or nothing when the order cannot be folded any further.
    pub fn step(&mut self, place: (Stream, i64), envelope: Result<&Envelope, String>, discards: &Discards) -> Option<Tallied> {
        if self.stuck.is_some() {
            return None;
        }
        if discards.has(place) {
            self.discarded.insert(place.1);
            self.order.as_mut()?.version = place.1;
            return None;
        }
        let folded = envelope.and_then(|envelope| match &envelope.event {
            Event::Order(event) => fold_order::fold(self.order.as_ref(), envelope, event, None).map(|after| {
                let (kind, summary) = fold_order::describe(event);
                let arrived = Arrived { envelope: envelope.clone(), partition: 0, published_at: Time::UNIX_EPOCH };
                let id = envelope.meta.id.to_string();
                (Some(after), Some(entry(&arrived, id, envelope.meta.version, kind, summary, Time::UNIX_EPOCH)))
            }),
            event => Err(format!("a {} is no event of an order", event.kind())),
        });
        match folded {
            Ok((after, entry)) => {
                self.history.extend(entry);
                let before = std::mem::replace(&mut self.order, after);
                self.order.clone().map(|after| Tallied { before, after })
            }
            Err(why) => {
                self.stuck = Some(why);
                None
            }
        }
    }

    /// How a document of this very version differs. `least` is the version of the customer that the user's own document had
    /// before: every order of theirs must have come to it.
    pub fn differences(&self, id: OrderId, found: &Value, customer: &CustomerFold, least: i64) -> Vec<Difference> {
        let version = version_of(Some(found), "version");
        let Some(order) = self.order.as_ref().filter(|order| order.version == version) else {
            let known = self.order.as_ref().map_or(0, |order| usize::try_from(order.version).unwrap_or(0));
            return vec![beyond(places::ORDERS, id, "version", known, self.stuck.as_ref(), version)];
        };
        let told = order.customer.version;
        let named = found["customer"]["version"].as_i64().unwrap_or(0);
        // The newest name that it may have, when the one that it says is none that it can have.
        let newest = customer.versions.last().filter(|(user, _)| user.version >= told);
        let allowed =
            customer.at(named).filter(|_| named >= told.max(least)).or(newest.filter(|_| named != told || least > told));
        let mut expected = allowed.map_or_else(|| order.clone(), |(user, _)| fold_order::renamed(order, user));

        let (renamings, mut differences) = history::compare(self, id, customer, expected.customer.version, found);
        expected.updated_at = renamings.iter().map(|meta| meta.recorded_at).fold(expected.updated_at, Time::max);
        let (expected, mut rest) = (stored(&expected), found.clone());
        let updated = (&expected["updatedAt"], &found["updatedAt"]);
        // A discarded event counts as an update too; its time may be unreadable.
        if updated.0 != updated.1 && self.discarded.is_empty() {
            let (expected, found) = (Some(updated.0.clone()), Some(updated.1.clone()));
            differences.push(Difference::new(places::ORDERS, id, "updatedAt", expected, found));
        }
        let mut kept = expected;
        for name in OTHERWISE {
            for document in [&mut kept, &mut rest] {
                document.as_object_mut().and_then(|fields| fields.remove(name));
            }
        }
        differences.extend(compare(places::ORDERS, id, &kept, &rest));
        differences.sort_by(|a, b| a.path.cmp(&b.path));
        differences
    }
}

/// A product folded, without its stock.
#[derive(Debug)]
pub struct ProductFold {
    product: ProductView,
    stuck: Option<String>,
}

impl ProductFold {
    pub fn new(id: ProductId) -> Self {
        Self { product: ProductView::unknown(id), stuck: None }
    }

    pub fn step(&mut self, place: (Stream, i64), envelope: Result<&Envelope, String>, discards: &Discards) {
        match envelope {
            _ if self.stuck.is_some() => {}
            _ if discards.has(place) => self.product.version = place.1,
            Ok(Envelope { meta, event: Event::Product(event) }) => {
                let before = std::mem::replace(&mut self.product, ProductView::unknown(ProductId(meta.stream.uuid())));
                self.product = fold_catalogue::product(before, meta, event);
            }
            Ok(envelope) => self.stuck = Some(format!("a {} is no event of a product", envelope.event.kind())),
            Err(why) => self.stuck = Some(why),
        }
    }

    /// How a document of this version differs. `level` is the event of the stock version that it has; nothing for version zero.
    /// `newest` is the latest time among the levels up to there: any of them may have been left out, so `updatedAt` may be as
    /// late as that, but not as early as before the one that it has.
    pub fn differences(&self, found: &Value, level: Option<&Envelope>, newest: Option<Time>) -> Vec<Difference> {
        let id = self.product.id;
        let version = version_of(Some(found), "version");
        if version != self.product.version {
            let known = usize::try_from(self.product.version).unwrap_or(0);
            return vec![beyond(places::PRODUCTS, id, "version", known, self.stuck.as_ref(), version)];
        }
        let mut expected = self.product.clone();
        if let Some(Envelope { meta, event: Event::Stock(event) }) = level {
            expected = fold_catalogue::stock(expected, meta, event);
        }
        let latest = newest.map_or(expected.updated_at, |newest| newest.max(expected.updated_at));
        let bounds = [expected.updated_at, latest]
            .map(|at| stored(&ProductView { updated_at: at, ..expected.clone() })["updatedAt"].clone());
        let updated = &found["updatedAt"];
        // As texts: all are of one form, in UTC.
        let texts = [&bounds[0], updated, &bounds[1]].map(|value| value.as_str().map(moment));
        let mut expected = stored(&expected);
        if texts[0] <= texts[1] && texts[1] <= texts[2] {
            expected["updatedAt"] = updated.clone();
        }
        compare(places::PRODUCTS, id, &unparked(expected), &unparked(found.clone()))
    }
}

/// Whether something newer is held up is told apart.
fn unparked(mut document: Value) -> Value {
    document.as_object_mut().and_then(|fields| fields.remove("parked"));
    document
}

fn moment(text: &str) -> Option<Time> {
    Time::parse(text, &time::format_description::well_known::Rfc3339).ok()
}
