//! The shop in which the stories play: a few products, one customer, and orders that are told step by step:
//! `an_order().line(&mug(), 2).placed().after(pay())`.

use orderflow::{
    domain::{
        Code, Refusal,
        order::{self, Order, OrderCommand, PlaceOrder, Wanted},
        product::Product,
    },
    event::{LineQuantity, OrderCustomer, OrderEvent},
    value::{
        Address, Currency, DisplayName, Email, LineId, Money, Note, OrderId, ProductId, ProductName, Quantity, Reference,
        ShipmentId, Sku, Time, UserId,
    },
};
use std::fmt::Debug;
use time::macros::datetime;
use uuid::Uuid;

/// When everything happens: the stories are about what, not about when.
pub const NOON: Time = datetime!(2026-11-23 12:00 UTC);

pub fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

pub fn gbp(minor: i64) -> Money {
    Money::new(minor, Currency::GBP)
}

pub fn eur(minor: i64) -> Money {
    Money::new(minor, "EUR".parse().expect("a currency"))
}

pub fn units(count: i64) -> Quantity {
    count.try_into().expect("a quantity")
}

pub fn text(text: &str) -> Note {
    Note::parse(text).expect("a text")
}

pub fn reference(text: &str) -> Reference {
    Reference::parse(text).expect("a reference")
}

/// A product with its id.
#[derive(Debug, Clone)]
pub struct Item {
    pub id: ProductId,
    pub product: Product,
}

pub fn mug() -> Item {
    item(1, "MUG", "Mug", gbp(850))
}

pub fn teapot() -> Item {
    item(2, "TEAPOT", "Teapot", gbp(2_400))
}

pub fn free_sample() -> Item {
    item(3, "SAMPLE", "Sample of tea", gbp(0))
}

/// Sold in another currency than all else.
pub fn croissant() -> Item {
    item(4, "CROISSANT", "Croissant", eur(140))
}

fn item(n: u128, sku: &str, name: &str, price: Money) -> Item {
    let (sku, name) = (Sku::parse(sku).expect("a SKU"), ProductName::parse(name).expect("a name"));
    Item { id: ProductId(id(n)), product: Product { version: 1, sku, name, description: None, price, active: true } }
}

impl Item {
    pub fn costing(mut self, price: Money) -> Self {
        self.product.price = price;
        self
    }

    pub fn off_sale(mut self) -> Self {
        self.product.active = false;
        self
    }

    /// The same product under another SKU and name.
    pub fn known_as(mut self, sku: &str, name: &str) -> Self {
        let other = item(0, sku, name, self.product.price).product;
        (self.product.sku, self.product.name) = (other.sku, other.name);
        self
    }
}

pub fn customer() -> OrderCustomer {
    OrderCustomer {
        id: UserId(id(0xada)),
        version: 1,
        display_name: DisplayName::parse("Ada Lovelace").expect("a name"),
        email: Email::parse("ada@example.com").expect("an address"),
    }
}

pub fn address() -> Address {
    let country_code = "GB".parse().expect("a country");
    let (line1, city, postal_code) = ("12 St James's Square".into(), "London".into(), "SW1Y 4JH".into());
    Address { name: None, line1, line2: None, city, region: None, postal_code, country_code }
}

/// What somebody wants, line by line: to place, or to change an order to.
#[derive(Debug, Clone, Default)]
pub struct Basket(Vec<Wanted>);

pub fn an_order() -> Basket {
    Basket::default()
}

impl Basket {
    pub fn line(self, item: &Item, count: i64) -> Self {
        self.wanting(item.id, Some(item.product.clone()), count, None)
    }

    /// A line at a price that staff agreed.
    pub fn line_at(self, item: &Item, count: i64, price: Money) -> Self {
        self.wanting(item.id, Some(item.product.clone()), count, Some(price))
    }

    pub fn line_of_something_we_never_sold(self) -> Self {
        self.wanting(ProductId(id(99)), None, 1, None)
    }

    fn wanting(mut self, product_id: ProductId, product: Option<Product>, count: i64, agreed_price: Option<Money>) -> Self {
        let line_id = line_id(self.0.len());
        self.0.push(Wanted { line_id, product_id, product, quantity: units(count), agreed_price });
        self
    }

    /// Asks the shop to take the order.
    pub fn place(self) -> Result<OrderEvent, Refusal> {
        order::place(PlaceOrder {
            order_id: OrderId(id(0x0dde)),
            number: 1001,
            reference: Some(reference("PO-7")),
            customer: customer(),
            lines: self.0,
            shipping_address: Some(address()),
            note: None,
            placed_at: NOON,
        })
    }

    /// The order that the shop took.
    pub fn placed(self) -> Order {
        begun(&yes(self.place()))
    }
}

/// The order that a placing begins.
pub fn begun(event: &OrderEvent) -> Order {
    order::evolve(None, event).expect("a placing makes an order")
}

/// The id of the line that stands at `index` of a basket.
pub fn line_id(index: usize) -> LineId {
    LineId(id(0x1000 + index as u128))
}

pub fn part(index: usize, count: i64) -> LineQuantity {
    LineQuantity { line_id: line_id(index), quantity: units(count) }
}

/// How an order's story goes on.
pub trait Story: Sized {
    /// Asks for a step.
    fn tries(&self, command: OrderCommand) -> Result<OrderEvent, Refusal>;

    /// Lets an event happen.
    fn with(self, event: &OrderEvent) -> Self;

    /// Takes a step that the shop must allow.
    fn after(self, command: OrderCommand) -> Self {
        let event = yes(self.tries(command));
        self.with(&event)
    }
}

impl Story for Order {
    fn tries(&self, command: OrderCommand) -> Result<OrderEvent, Refusal> {
        order::decide(self, command)
    }

    fn with(self, event: &OrderEvent) -> Self {
        order::evolve(Some(self), event).expect("an order stays an order")
    }
}

pub fn change_to(basket: Basket) -> OrderCommand {
    OrderCommand::Update { lines: Some(basket.0), shipping_address: None, note: None }
}

pub fn add_note(note: &str) -> OrderCommand {
    OrderCommand::Update { lines: None, shipping_address: None, note: Some(text(note)) }
}

pub fn pay() -> OrderCommand {
    OrderCommand::Pay { amount: None, reference: reference("card-1") }
}

pub fn pay_exactly(amount: Money) -> OrderCommand {
    OrderCommand::Pay { amount: Some(amount), reference: reference("card-1") }
}

pub fn ship_all() -> OrderCommand {
    shipping(None)
}

pub fn ship(parts: &[LineQuantity]) -> OrderCommand {
    shipping(Some(parts.to_vec()))
}

fn shipping(lines: Option<Vec<LineQuantity>>) -> OrderCommand {
    let (carrier, tracking_number) = (Some(reference("Royal Mail")), Some(reference("RM1GB")));
    OrderCommand::Ship { shipment_id: ShipmentId(id(0x5417)), lines, carrier, tracking_number, at: NOON }
}

pub fn deliver() -> OrderCommand {
    OrderCommand::Deliver { at: NOON }
}

pub fn cancel() -> OrderCommand {
    OrderCommand::Cancel { reason: Some(text("changed my mind")) }
}

pub fn refund_all() -> OrderCommand {
    OrderCommand::Refund { lines: None, reason: Some(text("broken")) }
}

pub fn refund(parts: &[LineQuantity]) -> OrderCommand {
    OrderCommand::Refund { lines: Some(parts.to_vec()), reason: None }
}

/// The answer of a shop that says yes.
#[track_caller]
pub fn yes<T>(answer: Result<T, Refusal>) -> T {
    match answer {
        Ok(answer) => answer,
        Err(refusal) => panic!("the shop said no: {refusal:?}"),
    }
}

/// The refusal of a shop that says no: for this reason, pointing there (from `input` down, or nowhere).
#[track_caller]
pub fn no<T: Debug>(answer: Result<T, Refusal>, code: Code, at: &str) -> Refusal {
    let refusal = answer.expect_err("the shop should have said no");
    assert_eq!((refusal.code, refusal.path.join(".").as_str()), (code, at), "{}", refusal.message);
    refusal
}
