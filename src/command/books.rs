//! The state tables, laid open for a comparison with the log: a row must be what the domain's `evolve` makes of the events of its
//! stream, and the stock of a product what was put on the shelf, less what orders took, plus what they gave back.
//!
//! Nothing has to stand still for it. A row says its version, so it is compared with the fold up to that version. An event that
//! moved stock says to which level (its marks), so the movements up to a level are known, whatever happens meanwhile.

use super::{Database, LogError, store};
use crate::{
    difference::{Difference, compare},
    domain::{
        order::{self, Order},
        product::{self, Product},
        stock::{self, Stock},
        user::{self, User},
    },
    event::{Envelope, Event, ProductEvent, StockEvent, Stream},
    value::{ProductId, Time},
};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// A row of a state table, with the head that its stream had at the same moment.
#[derive(Debug)]
pub struct Entry {
    pub version: i64,
    pub head: i64,
    row: Value,
}

/// What is still to be published.
#[derive(Debug, Default)]
pub struct Unpublished {
    /// Those of the streams asked for that have something in the outbox.
    pub streams: HashSet<Stream>,
    /// Events in the outbox in all, and since when the oldest waits.
    pub waiting: i64,
    pub since: Option<Time>,
    /// Rows of the outbox that stand for no event.
    pub orphans: i64,
}

/// The state tables. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Books(Database);

impl Books {
    pub fn new(database: &Database) -> Self {
        Self(database.clone())
    }

    /// The rows of these streams; one that is missing is left out.
    ///
    /// # Errors
    /// PostgreSQL cannot be read.
    pub async fn entries(&self, streams: &[Stream]) -> Result<HashMap<Stream, Entry>, LogError> {
        let rows = store::rows(&self.0.0, streams).await?;
        let entry =
            |row: store::Row| (row.stream, Entry { version: row.version, head: row.head.unwrap_or(0), row: row.contents });
        Ok(rows.into_iter().map(entry).collect())
    }

    /// The next page of rows, of users, products or orders, by id: how far it goes, and those rows that no event tells of.
    ///
    /// # Errors
    /// PostgreSQL cannot be read.
    pub async fn strangers(&self, kind: &str, after: Option<Uuid>) -> Result<Option<(Uuid, Vec<Difference>)>, LogError> {
        let page = store::strangers(&self.0.0, kind, after).await?;
        let stranger =
            |stream: Stream| Difference::new(place(stream), stream.id(), "", None, Some(json!("a row without events")));
        Ok(page.map(|(last, strangers)| (last, strangers.into_iter().map(stranger).collect())))
    }

    /// What the outbox holds.
    ///
    /// # Errors
    /// PostgreSQL cannot be read.
    pub async fn unpublished(&self, streams: &[Stream]) -> Result<Unpublished, LogError> {
        let (streams, waiting, since, orphans) = store::unpublished(&self.0.0, streams).await?;
        Ok(Unpublished { streams, waiting, since, orphans })
    }

    /// Opens the account of all stock. Do it before the log is walked: movements to later levels are then left out.
    ///
    /// # Errors
    /// PostgreSQL cannot be read.
    pub async fn balance(&self) -> Result<Balance, LogError> {
        let (mut balance, mut after) = (Balance::default(), None);
        loop {
            let page = store::levels(&self.0.0, after).await?;
            let Some(last) = page.last() else { return Ok(balance) };
            after = Some(last.product);
            balance.accounts.extend(page.into_iter().map(|level| (ProductId(level.product), Account::open(&level))));
        }
    }
}

fn place(stream: Stream) -> &'static str {
    match stream {
        Stream::User(_) => "postgresql.users",
        Stream::Product(_) => "postgresql.products",
        Stream::Stock(_) => "postgresql.stock",
        Stream::Order(_) => "postgresql.orders",
    }
}

/// A stream folded by the domain, event by event.
#[derive(Debug)]
pub struct BookFold {
    stream: Stream,
    state: State,
}

#[derive(Debug)]
enum State {
    User(Option<User>),
    Product(Option<Product>),
    Stock(Stock),
    Order(Option<Order>),
}

impl BookFold {
    pub fn new(stream: Stream) -> Self {
        let state = match stream {
            Stream::User(_) => State::User(None),
            Stream::Product(_) => State::Product(None),
            Stream::Stock(_) => State::Stock(Stock::default()),
            Stream::Order(_) => State::Order(None),
        };
        Self { stream, state }
    }

    /// The next event; what it does to stock goes to the balance. Of stock any event will do, since levels are absolute.
    pub fn step(&mut self, envelope: &Envelope, balance: Option<&mut Balance>) {
        match (&mut self.state, &envelope.event) {
            (State::User(state), Event::User(event)) => *state = user::evolve(state.take(), event),
            (State::Product(state), Event::Product(event)) => {
                if let (Some(balance), ProductEvent::StockAdjusted { delta, .. }) = (balance, event) {
                    balance.add(envelope, ProductId(envelope.meta.stream.uuid()), *delta, 0);
                }
                *state = product::evolve(state.take(), event);
            }
            (State::Stock(state), Event::Stock(event)) => {
                *state = stock::evolve(Stock { version: envelope.meta.version - 1, ..*state }, event);
            }
            (State::Order(state), Event::Order(event)) => {
                if let Some(balance) = balance {
                    for movement in order::movements(state.as_ref(), event) {
                        balance.add(envelope, movement.product_id, movement.available, movement.units_sold);
                    }
                }
                *state = order::evolve(state.take(), event);
            }
            // An event in a stranger's stream: the read side says so.
            _ => {}
        }
    }

    /// The row that there should be now; nothing when the events make no state.
    pub fn row(&self) -> Option<Value> {
        let id = self.stream.uuid();
        match &self.state {
            State::User(user) => user.as_ref().map(|user| {
                json!({ "id": id, "version": user.version, "email": user.email, "email_folded": user.email.folded(),
                        "display_name": user.display_name, "role": user.role.name() })
            }),
            State::Product(product) => product.as_ref().map(|product| {
                json!({ "id": id, "version": product.version, "sku": product.sku, "name": product.name,
                        "description": product.description, "price_minor": product.price.minor,
                        "currency": product.price.currency.code(), "active": product.active })
            }),
            State::Stock(stock) => Some(json!({
                "product_id": id, "version": stock.version, "available": stock.available, "units_sold": stock.units_sold
            })),
            State::Order(order) => order.as_ref().map(|order| {
                json!({ "id": id, "version": order.version, "number": order.number, "customer_id": order.customer_id.0,
                        "status": order.status().name(), "state": order })
            }),
        }
    }
}

/// How a row differs from what its stream folds to. `expected` is the fold up to the row's version.
pub fn differences(stream: Stream, entry: Option<&Entry>, expected: Option<&Value>) -> Vec<Difference> {
    let place = place(stream);
    let Some(entry) = entry else {
        return vec![Difference::new(place, stream.id(), "", Some(json!("a row")), None)];
    };
    if entry.version != entry.head {
        return vec![Difference::new(place, stream.id(), "version", Some(entry.head.into()), Some(entry.version.into()))];
    }
    let Some(expected) = expected else {
        return vec![Difference::new(place, stream.id(), "", None, Some(json!({ "version": entry.version })))];
    };
    // A column that a later migration adds is no difference: an older binary may run beside it.
    let mut row = entry.row.clone();
    if let (Some(row), Some(expected)) = (row.as_object_mut(), expected.as_object()) {
        row.retain(|column, _| expected.contains_key(column));
    }
    compare(place, stream.id(), expected, &row)
}

/// The account of all stock: some 70 bytes a product.
#[derive(Debug, Default)]
pub struct Balance {
    accounts: HashMap<ProductId, Account>,
}

#[derive(Debug)]
struct Account {
    /// As the table says, at this version.
    version: i64,
    available: i64,
    units_sold: i64,
    /// The first level and all movements to later ones, added up.
    booked: Option<(i64, i64)>,
    events: i64,
}

impl Account {
    fn open(level: &store::Level) -> Self {
        let first = level.first.clone().and_then(|data| Event::read(StockEvent::KINDS[0], data).ok());
        let booked = match first {
            Some(Event::Stock(StockEvent::LevelChanged { available, units_sold })) => Some((available, units_sold)),
            _ => None,
        };
        Self { version: level.version, available: level.available, units_sold: level.units_sold, booked, events: level.events }
    }
}

impl Balance {
    fn add(&mut self, envelope: &Envelope, product: ProductId, available: i64, units_sold: i64) {
        let mark = envelope.meta.stock.iter().find(|mark| mark.product_id == product);
        let (Some(mark), Some(account)) = (mark, self.accounts.get_mut(&product)) else { return };
        // The first level is what the product came with; later ones than ours came after we looked.
        if let Some(booked) = account.booked.as_mut().filter(|_| (2..=account.version).contains(&mark.version)) {
            booked.0 += available;
            booked.1 += units_sold;
        }
    }

    /// How many products there are.
    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// Every product whose shelf is not what it was given, less what orders took, plus what they gave back.
    pub fn close(self) -> Vec<Difference> {
        let mut wrong = Vec::new();
        for (product, account) in self.accounts {
            let stream = Stream::Stock(product);
            let mut expect = |path, expected: i64, found: i64| {
                if expected != found {
                    wrong.push(Difference::new(place(stream), stream.id(), path, Some(expected.into()), Some(found.into())));
                }
            };
            expect("(events)", account.version, account.events);
            if let Some((available, units_sold)) = account.booked {
                expect("(balance of available)", available, account.available);
                expect("(balance of units_sold)", units_sold, account.units_sold);
            }
        }
        wrong.sort_by(|a, b| (&a.id, &a.path).cmp(&(&b.id, &b.path)));
        wrong
    }
}
