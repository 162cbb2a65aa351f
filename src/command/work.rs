//! The unit of work: the state that a group of commands is decided against, changed in memory as they are decided one by one, so
//! that each sees what the ones before it did.

use super::{Command, Refusal};
use crate::{
    clock::Ids,
    domain::{
        expect_version,
        order::{self, Order, OrderCommand},
        product::{self, Product},
        stock::{Movement, Stock},
        user::{self, User},
    },
    event::{Envelope, Event, Meta, OrderEvent, ProductEvent, StockEvent, StockMark, Stream, UserEvent},
    value::{Email, EventId, OrderId, ProductId, Sku, Time, UserId},
};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

/// What a group of commands must see. Sets, so that everything is loaded once; ordered, so that rows are locked in one order and
/// groups cannot deadlock.
#[derive(Debug, Default)]
pub(super) struct Needs {
    pub users: BTreeSet<UserId>,
    /// Users to be changed: their rows are locked.
    pub users_to_change: BTreeSet<UserId>,
    pub emails: BTreeSet<String>,
    pub products: BTreeSet<ProductId>,
    pub products_to_change: BTreeSet<ProductId>,
    pub skus: BTreeSet<String>,
    pub stock: BTreeSet<ProductId>,
    /// Orders are only ever loaded to be changed.
    pub orders: BTreeSet<OrderId>,
    /// Orders whose products' stock is needed too.
    pub stock_of_orders: BTreeSet<OrderId>,
    pub order_numbers: usize,
}

/// The stock of a product within a group: all of the group's movements become one event.
#[derive(Debug, Clone)]
pub(super) struct Level {
    pub stock: Stock,
    /// Who moved it last in this group; nobody means unchanged.
    pub moved_by: Option<(String, crate::value::CommandId, Option<String>)>,
}

/// Where a command's own event stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    pub stream: Stream,
    pub version: i64,
    pub stock_version: Option<i64>,
}

#[derive(Debug)]
pub(super) struct Work {
    /// The time recorded in every event and receipt of the group.
    pub recorded_at: Time,
    pub ids: Ids,
    pub users: HashMap<UserId, User>,
    pub products: HashMap<ProductId, Product>,
    pub orders: HashMap<OrderId, Order>,
    pub stock: BTreeMap<ProductId, Level>,
    pub emails: HashMap<String, UserId>,
    pub skus: HashMap<String, ProductId>,
    pub order_numbers: VecDeque<i64>,
    pub changed_users: BTreeSet<UserId>,
    pub changed_products: BTreeSet<ProductId>,
    pub changed_orders: BTreeSet<OrderId>,
    pub events: Vec<Envelope>,
}

impl Work {
    pub fn new(recorded_at: Time, ids: Ids) -> Self {
        Self {
            recorded_at,
            ids,
            users: HashMap::new(),
            products: HashMap::new(),
            orders: HashMap::new(),
            stock: BTreeMap::new(),
            emails: HashMap::new(),
            skus: HashMap::new(),
            order_numbers: VecDeque::new(),
            changed_users: BTreeSet::new(),
            changed_products: BTreeSet::new(),
            changed_orders: BTreeSet::new(),
            events: Vec::new(),
        }
    }

    /// Refuses an address that another user has, otherwise takes it for this one, whose old one is free again.
    pub fn take_email(&mut self, email: &Email, owner: UserId) -> Result<(), Refusal> {
        if self.emails.get(&email.folded()).is_some_and(|other| *other != owner) {
            return Err(Refusal::new(super::Code::EmailTaken, "Another user has this email address.").at("email"));
        }
        self.emails.retain(|_, other| *other != owner);
        self.emails.insert(email.folded(), owner);
        Ok(())
    }

    /// Refuses a SKU that another product has, otherwise takes it for this one.
    pub fn take_sku(&mut self, sku: &Sku, owner: ProductId) -> Result<(), Refusal> {
        if self.skus.contains_key(sku.as_str()) {
            return Err(Refusal::new(super::Code::SkuTaken, "Another product has this SKU.").at("sku"));
        }
        self.skus.insert(sku.as_str().to_owned(), owner);
        Ok(())
    }

    pub fn record_user(&mut self, command: &Command, id: UserId, event: UserEvent) -> Written {
        let next = user::evolve(self.users.remove(&id), &event);
        let version = next.as_ref().map_or(1, |user| user.version);
        self.users.extend(next.map(|user| (id, user)));
        self.changed_users.insert(id);
        self.push(command, Stream::User(id), version, id.0, Vec::new(), Event::User(event));
        Written { stream: Stream::User(id), version, stock_version: None }
    }

    /// Records a product's event with what it does to its stock.
    pub fn record_product(
        &mut self,
        command: &Command,
        id: ProductId,
        event: ProductEvent,
        movement: Option<Movement>,
    ) -> Result<Written, Refusal> {
        let marks = self.move_stock(command, movement.as_slice())?;
        let next = product::evolve(self.products.remove(&id), &event);
        let version = next.as_ref().map_or(1, |product| product.version);
        self.products.extend(next.map(|product| (id, product)));
        self.changed_products.insert(id);
        let stock_version = marks.first().map(|mark| mark.version);
        self.push(command, Stream::Product(id), version, id.0, marks, Event::Product(event));
        Ok(Written { stream: Stream::Product(id), version, stock_version })
    }

    /// Records an order's event with what it does to the stock of its products: all of it or, when stock does not suffice,
    /// nothing.
    pub fn record_order(&mut self, command: &Command, id: OrderId, event: OrderEvent) -> Result<Written, Refusal> {
        let movements = order::movements(self.orders.get(&id), &event);
        let marks = self.move_stock(command, &movements)?;
        let next = order::evolve(self.orders.remove(&id), &event);
        let (version, customer) = next.as_ref().map_or((1, id.0), |order| (order.version, order.customer_id.0));
        self.orders.extend(next.map(|order| (id, order)));
        self.changed_orders.insert(id);
        self.push(command, Stream::Order(id), version, customer, marks, Event::Order(event));
        Ok(Written { stream: Stream::Order(id), version, stock_version: None })
    }

    /// # Errors
    /// `NOT_FOUND`.
    pub fn order(&self, id: OrderId) -> Result<&Order, Refusal> {
        self.orders.get(&id).ok_or_else(|| Refusal::not_found("order").at("orderId"))
    }

    /// Checks that an order is there, in the version that the client has seen.
    pub fn order_in_version(&self, id: OrderId, expected: Option<i64>) -> Result<(), Refusal> {
        expect_version(expected, self.order(id)?.version)
    }

    /// Decides about an order that exists and records the event.
    pub fn change_order(&mut self, command: &Command, id: OrderId, change: OrderCommand) -> Result<Written, Refusal> {
        let event = order::decide(self.order(id)?, change)?;
        self.record_order(command, id, event)
    }

    fn move_stock(&mut self, command: &Command, movements: &[Movement]) -> Result<Vec<StockMark>, Refusal> {
        let mut moved = Vec::with_capacity(movements.len());
        for movement in movements {
            let level = self.stock.get(&movement.product_id).map(|level| level.stock).unwrap_or_default();
            moved.push((movement.product_id, level.moved(movement)?));
        }
        let mut marks = Vec::with_capacity(moved.len());
        for (product_id, stock) in moved {
            let level = self.stock.entry(product_id).or_insert(Level { stock, moved_by: None });
            level.stock = stock;
            level.moved_by = Some((command.actor.subject.clone(), command.id.clone(), command.traceparent.clone()));
            // One event a product and group, whatever moved it: the version after this group.
            marks.push(StockMark { product_id, version: stock.version + 1 });
        }
        Ok(marks)
    }

    /// Adds the stock events of the whole group; call it once, after the last decision.
    pub fn seal(&mut self) {
        for (product_id, level) in &mut self.stock {
            let Some((actor, command_id, traceparent)) = level.moved_by.clone() else { continue };
            level.stock.version += 1;
            self.events.push(Envelope {
                meta: Meta {
                    id: EventId(self.ids.next()),
                    stream: Stream::Stock(*product_id),
                    version: level.stock.version,
                    recorded_at: self.recorded_at,
                    actor,
                    command_id,
                    traceparent,
                    partition_key: product_id.0,
                    stock: Vec::new(),
                },
                event: Event::Stock(StockEvent::LevelChanged {
                    available: level.stock.available,
                    units_sold: level.stock.units_sold,
                }),
            });
        }
    }

    fn push(&mut self, command: &Command, stream: Stream, version: i64, key: uuid::Uuid, stock: Vec<StockMark>, event: Event) {
        self.events.push(Envelope {
            meta: Meta {
                id: EventId(self.ids.next()),
                stream,
                version,
                recorded_at: self.recorded_at,
                actor: command.actor.subject.clone(),
                command_id: command.id.clone(),
                traceparent: command.traceparent.clone(),
                partition_key: key,
                stock,
            },
            event,
        });
    }
}
