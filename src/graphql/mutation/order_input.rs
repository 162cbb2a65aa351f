//! The inputs of commands on orders, and how they become commands.

use super::Check;
use crate::{
    clock::Ids,
    command::{CancelOrder, DeliverOrder, LineWish, PayOrder, PlaceOrder, RefundOrder, ShipOrder, UpdateOrder, UseCase},
    event::LineQuantity,
    graphql::{
        scalars::DateTime,
        types::{AddressInput, MoneyInput},
    },
    value::{Address, Invalid, LineId, Note, OrderId, Quantity, Reference, ShipmentId, UserId},
};
use async_graphql::{ID, InputObject};

/// A wished line.
#[derive(InputObject)]
pub struct OrderLineInput {
    /// The product.
    product_id: ID,
    /// Units, 1 to 1000000.
    quantity: i32,
    /// A price agreed by staff; the product's own unless told.
    unit_price: Option<MoneyInput>,
}

/// A new order.
#[derive(InputObject)]
pub struct PlaceOrderInput {
    /// Made by the client; the same id again does nothing new and answers the same.
    pub command_id: Option<ID>,
    /// Who orders; the caller unless told. Staff order for anybody.
    customer_id: Option<ID>,
    /// What is ordered; the same product may come in several lines.
    lines: Vec<OrderLineInput>,
    /// Where it goes.
    shipping_address: Option<AddressInput>,
    /// Anything to note, up to 4000 characters.
    note: Option<String>,
    /// The caller's own number for the order, up to 128 characters; it can be searched for.
    reference: Option<String>,
    /// When the order was taken, if elsewhere and earlier. For staff.
    placed_at: Option<DateTime>,
}

/// Changes of an order that is not paid yet; what is left out stays.
#[derive(InputObject)]
pub struct UpdateOrderInput {
    /// Made by the client; the same id again does nothing new and answers the same.
    pub command_id: Option<ID>,
    /// The order.
    order_id: ID,
    /// The version that the client has seen; another one there is refused as CONFLICT.
    expected_version: Option<i32>,
    /// All lines anew. Products that stay keep their price.
    lines: Option<Vec<OrderLineInput>>,
    /// Where it goes now.
    shipping_address: Option<AddressInput>,
    /// The new note, up to 4000 characters.
    note: Option<String>,
}

/// A payment.
#[derive(InputObject)]
pub struct PayOrderInput {
    /// Made by the client; the same id again does nothing new and answers the same.
    pub command_id: Option<ID>,
    /// The order.
    order_id: ID,
    /// The version that the client has seen; another one there is refused as CONFLICT.
    expected_version: Option<i32>,
    /// What the payer was shown; refused if it is not what the order costs.
    amount: Option<MoneyInput>,
    /// The payment provider's number, up to 128 characters.
    reference: String,
}

/// Units of a line to send.
#[derive(InputObject)]
pub struct ShipmentLineInput {
    /// The line.
    line_id: ID,
    /// Units, no more than are left to send.
    quantity: i32,
}

/// A parcel.
#[derive(InputObject)]
pub struct ShipOrderInput {
    /// Made by the client; the same id again does nothing new and answers the same.
    pub command_id: Option<ID>,
    /// The order.
    order_id: ID,
    /// The version that the client has seen; another one there is refused as CONFLICT.
    expected_version: Option<i32>,
    /// What is in it; all that is left to send unless told.
    lines: Option<Vec<ShipmentLineInput>>,
    /// Who carries it.
    carrier: Option<String>,
    /// The carrier's number for it.
    tracking_number: Option<String>,
}

/// An arrival.
#[derive(InputObject)]
pub struct DeliverOrderInput {
    /// Made by the client; the same id again does nothing new and answers the same.
    pub command_id: Option<ID>,
    /// The order.
    order_id: ID,
    /// The version that the client has seen; another one there is refused as CONFLICT.
    expected_version: Option<i32>,
}

/// A cancellation.
#[derive(InputObject)]
pub struct CancelOrderInput {
    /// Made by the client; the same id again does nothing new and answers the same.
    pub command_id: Option<ID>,
    /// The order.
    order_id: ID,
    /// The version that the client has seen; another one there is refused as CONFLICT.
    expected_version: Option<i32>,
    /// Why, for the record.
    reason: Option<String>,
}

/// Units of a line to pay back.
#[derive(InputObject)]
pub struct RefundLineInput {
    /// The line.
    line_id: ID,
    /// Units, no more than have not been paid back yet.
    quantity: i32,
}

/// A refund, at the price that was paid.
#[derive(InputObject)]
pub struct RefundOrderInput {
    /// Made by the client; the same id again does nothing new and answers the same.
    pub command_id: Option<ID>,
    /// The order.
    order_id: ID,
    /// The version that the client has seen; another one there is refused as CONFLICT.
    expected_version: Option<i32>,
    /// What is paid back; all that has not been paid back unless told.
    lines: Option<Vec<RefundLineInput>>,
    /// Why, for the record.
    reason: Option<String>,
}

impl PlaceOrderInput {
    /// `own` is the caller, if the caller is a user: who orders unless told.
    pub fn parse(self, ids: &Ids, own: Option<UserId>) -> Result<UseCase, Check> {
        let mut check = Check::default();
        let customer_id = match &self.customer_id {
            Some(id) => check.id("customerId", id),
            None => check.take("customerId", own.ok_or_else(|| Invalid("say who orders: your token is not a customer's".into()))),
        };
        let lines = wishes(&mut check, self.lines, ids);
        let shipping_address = address(&mut check, self.shipping_address);
        let note = check.optional("note", self.note.map(|text| Note::parse(&text)));
        let reference = check.optional("reference", self.reference.map(|text| Reference::parse(&text)));
        let (Some(customer_id), true) = (customer_id, check.is_clean()) else { return Err(check) };
        let order_id = OrderId(ids.next());
        let placed_at = self.placed_at.map(|at| at.0);
        Ok(PlaceOrder { order_id, customer_id, lines, shipping_address, note, reference, placed_at }.into())
    }
}

impl UpdateOrderInput {
    pub fn parse(self, ids: &Ids) -> Result<UseCase, Check> {
        let mut check = Check::default();
        let order_id = check.id("orderId", &self.order_id);
        let lines = self.lines.map(|lines| wishes(&mut check, lines, ids));
        let shipping_address = address(&mut check, self.shipping_address);
        let note = check.optional("note", self.note.map(|text| Note::parse(&text)));
        let (Some(order_id), true) = (order_id, check.is_clean()) else { return Err(check) };
        let expected_version = self.expected_version.map(i64::from);
        Ok(UpdateOrder { order_id, expected_version, lines, shipping_address, note }.into())
    }
}

impl PayOrderInput {
    pub fn parse(self) -> Result<UseCase, Check> {
        let mut check = Check::default();
        let order_id = check.id("orderId", &self.order_id);
        let amount = check.optional("amount.amount", self.amount.map(|amount| amount.parse()));
        let reference = check.take("reference", Reference::parse(&self.reference));
        let (Some(order_id), Some(reference), true) = (order_id, reference, check.is_clean()) else { return Err(check) };
        Ok(PayOrder { order_id, expected_version: self.expected_version.map(i64::from), amount, reference }.into())
    }
}

impl ShipOrderInput {
    pub fn parse(self, ids: &Ids) -> Result<UseCase, Check> {
        let mut check = Check::default();
        let order_id = check.id("orderId", &self.order_id);
        let lines = self.lines.map(|lines| parts(&mut check, lines.iter().map(|line| (&line.line_id, line.quantity))));
        let carrier = check.optional("carrier", self.carrier.map(|text| Reference::parse(&text)));
        let tracking_number = check.optional("trackingNumber", self.tracking_number.map(|text| Reference::parse(&text)));
        let (Some(order_id), true) = (order_id, check.is_clean()) else { return Err(check) };
        let (shipment_id, expected_version) = (ShipmentId(ids.next()), self.expected_version.map(i64::from));
        Ok(ShipOrder { order_id, shipment_id, expected_version, lines, carrier, tracking_number }.into())
    }
}

impl DeliverOrderInput {
    pub fn parse(self) -> Result<UseCase, Check> {
        let mut check = Check::default();
        let Some(order_id) = check.id("orderId", &self.order_id) else { return Err(check) };
        Ok(DeliverOrder { order_id, expected_version: self.expected_version.map(i64::from) }.into())
    }
}

impl CancelOrderInput {
    pub fn parse(self) -> Result<UseCase, Check> {
        let mut check = Check::default();
        let order_id = check.id("orderId", &self.order_id);
        let reason = check.optional("reason", self.reason.map(|text| Note::parse(&text)));
        let (Some(order_id), true) = (order_id, check.is_clean()) else { return Err(check) };
        Ok(CancelOrder { order_id, expected_version: self.expected_version.map(i64::from), reason }.into())
    }
}

impl RefundOrderInput {
    pub fn parse(self) -> Result<UseCase, Check> {
        let mut check = Check::default();
        let order_id = check.id("orderId", &self.order_id);
        let lines = self.lines.map(|lines| parts(&mut check, lines.iter().map(|line| (&line.line_id, line.quantity))));
        let reason = check.optional("reason", self.reason.map(|text| Note::parse(&text)));
        let (Some(order_id), true) = (order_id, check.is_clean()) else { return Err(check) };
        Ok(RefundOrder { order_id, expected_version: self.expected_version.map(i64::from), lines, reason }.into())
    }
}

fn wishes(check: &mut Check, lines: Vec<OrderLineInput>, ids: &Ids) -> Vec<LineWish> {
    let mut wishes = Vec::with_capacity(lines.len());
    for (index, line) in lines.into_iter().enumerate() {
        let product_id = check.id(&format!("lines.{index}.productId"), &line.product_id);
        let quantity = check.take(&format!("lines.{index}.quantity"), Quantity::try_from(i64::from(line.quantity)));
        let unit_price = check.optional(&format!("lines.{index}.unitPrice.amount"), line.unit_price.map(|price| price.parse()));
        if let (Some(product_id), Some(quantity)) = (product_id, quantity) {
            wishes.push(LineWish { line_id: LineId(ids.next()), product_id, quantity, unit_price });
        }
    }
    wishes
}

fn parts<'a>(check: &mut Check, lines: impl Iterator<Item = (&'a ID, i32)>) -> Vec<LineQuantity> {
    let mut parts = Vec::new();
    for (index, (line_id, quantity)) in lines.enumerate() {
        let line_id = check.id(&format!("lines.{index}.lineId"), line_id);
        let quantity = check.take(&format!("lines.{index}.quantity"), Quantity::try_from(i64::from(quantity)));
        if let (Some(line_id), Some(quantity)) = (line_id, quantity) {
            parts.push(LineQuantity { line_id, quantity });
        }
    }
    parts
}

fn address(check: &mut Check, address: Option<AddressInput>) -> Option<Address> {
    match address?.parse() {
        Ok(address) => Some(address),
        Err((part, invalid)) => {
            check.note(&format!("shippingAddress.{part}"), invalid.0);
            None
        }
    }
}
