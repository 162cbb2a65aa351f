//! The documents that a batch touches, folded in memory. Pure: loaded before by `load`, written after by `write`.

use super::{duty::Duty, fold_catalogue, fold_order};
use crate::{
    crash,
    event::{Envelope, Event, Stream},
    query::view::{Before, Change, ChangeId, Contribution, EventKind, EventView, OrderView, ProductView, UserView, hour_of},
    value::{Currency, OrderId, ProductId, Time, UserId},
};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What the history of an order says of its customer's new name.
pub const RENAMED: &str = "The customer has a new name or address.";

/// An event with what is known of its journey.
#[derive(Debug, Clone)]
pub struct Arrived {
    pub envelope: Envelope,
    pub partition: i32,
    pub published_at: Time,
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Applied,
    /// Its effect is there already.
    Duplicate,
    /// Something before it is missing: it waits.
    Gap,
    /// It does not follow from what is there: it waits for an operator.
    Refused(String),
}

#[derive(Debug, Default)]
pub struct WorkingSet {
    pub duty: Duty,
    pub orders: HashMap<OrderId, OrderView>,
    pub users: HashMap<UserId, UserView>,
    pub products: HashMap<ProductId, ProductView>,
    pub positions: HashMap<i32, i64>,
    pub changed_orders: HashSet<OrderId>,
    pub changed_users: HashSet<UserId>,
    pub changed_products: HashSet<ProductId>,
    pub history: HashMap<OrderId, Vec<EventView>>,
    pub changes: Vec<Change>,
    pub sales: BTreeMap<(Time, Currency, i32), Contribution>,
}

impl WorkingSet {
    /// The version that a stream's document has, zero when there is none.
    pub fn version(&self, stream: Stream) -> i64 {
        match stream {
            Stream::User(id) => self.users.get(&id).map_or(0, |user| user.version),
            Stream::Product(id) => self.products.get(&id).map_or(0, |product| product.version),
            Stream::Stock(id) => self.products.get(&id).map_or(0, |product| product.stock_version),
            Stream::Order(id) => self.orders.get(&id).map_or(0, |order| order.version),
        }
    }

    /// Applies one event, if it is the next of its stream.
    pub fn apply(&mut self, arrived: &Arrived, now: Time) -> Verdict {
        let meta = &arrived.envelope.meta;
        let have = self.version(meta.stream);
        if meta.version <= have {
            if crash::planted("counter-without-guard") {
                self.count_again(arrived);
            }
            return Verdict::Duplicate;
        }
        // Stock levels are absolute: a newer one needs no older.
        if meta.version > have + 1 && !matches!(meta.stream, Stream::Stock(_)) {
            return Verdict::Gap;
        }
        match (&arrived.envelope.event, meta.stream) {
            (Event::Order(event), Stream::Order(id)) => {
                let customer = UserId(meta.partition_key);
                let before = self.orders.get(&id).cloned();
                match fold_order::fold(before.as_ref(), &arrived.envelope, event, self.users.get(&customer)) {
                    Ok(after) => self.record_order(arrived, before.as_ref(), after, now),
                    Err(why) => return Verdict::Refused(why),
                }
            }
            (Event::User(event), Stream::User(id)) => {
                let before = self.users.remove(&id).unwrap_or_else(|| UserView::unknown(id));
                let after = fold_catalogue::user(before, meta, event);
                self.users.insert(id, after);
                self.changed_users.insert(id);
                self.rename(arrived, id, now);
            }
            (Event::Product(event), Stream::Product(id)) => {
                let before = self.products.remove(&id).unwrap_or_else(|| ProductView::unknown(id));
                self.products.insert(id, fold_catalogue::product(before, meta, event));
                self.changed_products.insert(id);
            }
            (Event::Stock(event), Stream::Stock(id)) => {
                let before = self.products.remove(&id).unwrap_or_else(|| ProductView::unknown(id));
                self.products.insert(id, fold_catalogue::stock(before, meta, event));
                self.changed_products.insert(id);
            }
            (event, stream) => return Verdict::Refused(format!("a {} is no event of {stream}", event.kind())),
        }
        Verdict::Applied
    }

    /// The planted bug: an order that comes again is counted again.
    fn count_again(&mut self, arrived: &Arrived) {
        let Stream::Order(id) = arrived.envelope.meta.stream else { return };
        let Some(order) = self.orders.get(&id) else { return };
        self.sales.entry((hour_of(order.placed_at), order.currency, arrived.partition)).or_default().orders += 1;
    }

    fn record_order(&mut self, arrived: &Arrived, before: Option<&OrderView>, after: OrderView, now: Time) {
        let Event::Order(event) = &arrived.envelope.event else { return };
        let customer = self.users.entry(after.customer.id).or_insert_with(|| UserView::unknown(after.customer.id));
        customer.summary.replace(before, &after);
        self.changed_users.insert(after.customer.id);

        let difference = Contribution::of(&after).minus(before.map(Contribution::of).unwrap_or_default());
        let bucket = self.sales.entry((hour_of(after.placed_at), after.currency, arrived.partition)).or_default();
        bucket.orders += difference.orders;
        bucket.items += difference.items;
        bucket.revenue += difference.revenue;

        let (kind, summary) = fold_order::describe(event);
        let id = arrived.envelope.meta.id.to_string();
        let entry = entry(arrived, id, after.version, kind, summary, now);
        self.record_change(arrived.partition, before, after, entry, now);
    }

    /// A user's new name reaches the orders that are loaded; `load` has brought all that have an older one.
    pub fn rename(&mut self, arrived: &Arrived, id: UserId, now: Time) {
        let Some(user) = self.users.get(&id).cloned() else { return };
        let mut orders: Vec<OrderView> = self
            .orders
            .values()
            .filter(|order| order.customer.id == id && order.customer.version < user.version)
            .cloned()
            .collect();
        orders.sort_unstable_by_key(|order| order.id);
        for before in orders {
            let mut after = fold_order::renamed(&before, &user);
            after.updated_at = after.updated_at.max(arrived.envelope.meta.recorded_at);
            let event_id = format!("{}/{}", arrived.envelope.meta.id, before.id);
            let entry = entry(arrived, event_id, before.version, EventKind::CustomerRenamed, RENAMED.to_owned(), now);
            self.record_change(arrived.partition, Some(&before), after, entry, now);
        }
    }

    pub(super) fn record_change(
        &mut self,
        partition: i32,
        before: Option<&OrderView>,
        mut after: OrderView,
        entry: EventView,
        now: Time,
    ) {
        (self.duty.fold.finish)(&mut after);
        self.changed_orders.insert(after.id);
        if self.duty.live {
            let number = self.positions.entry(partition).or_default();
            *number += 1;
            let id = ChangeId { partition, number: *number };
            after.change = id;
            self.history.entry(after.id).or_default().push(entry.clone());
            self.changes.push(Change { id, at: now, order: after.clone(), event: entry, before: before.map(Before::of) });
        } else {
            // The live generation logs the change. Before a switch the places that it has given are taken over.
            after.change = before.map_or(ChangeId { partition, number: 0 }, |before| before.change);
            self.history.entry(after.id).or_default().push(entry);
        }
        self.orders.insert(after.id, after);
    }
}

/// The event as it stands in the history of an order.
pub fn entry(arrived: &Arrived, id: String, version: i64, kind: EventKind, summary: String, now: Time) -> EventView {
    let meta = &arrived.envelope.meta;
    EventView {
        id,
        version,
        kind,
        actor: meta.actor.clone(),
        command_id: meta.command_id.as_str().to_owned(),
        summary,
        committed_at: meta.recorded_at,
        published_at: arrived.published_at,
        projected_at: now,
        // W3C trace context: version, trace id, span id, flags.
        trace_id: meta.traceparent.as_deref().and_then(|t| t.split('-').nth(1)).map(str::to_owned),
    }
}
