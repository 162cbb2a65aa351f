//! What one can ask of an order, with everything looked up already.

use crate::{
    domain::product::Product,
    event::{LineQuantity, OrderCustomer},
    value::{Address, LineId, Money, Note, OrderId, ProductId, Quantity, Reference, ShipmentId, Time},
};

/// One wished line. The product is absent when there is none with this id.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub line_id: LineId,
    pub product_id: ProductId,
    pub product: Option<Product>,
    pub quantity: Quantity,
    /// A price agreed by staff, in place of the product's.
    pub agreed_price: Option<Money>,
}

#[derive(Debug, Clone)]
pub struct PlaceOrder {
    pub order_id: OrderId,
    pub number: i64,
    pub reference: Option<Reference>,
    pub customer: OrderCustomer,
    pub lines: Vec<Wanted>,
    pub shipping_address: Option<Address>,
    pub note: Option<Note>,
    pub placed_at: Time,
}

#[derive(Debug, Clone)]
pub enum OrderCommand {
    Update {
        lines: Option<Vec<Wanted>>,
        shipping_address: Option<Address>,
        note: Option<Note>,
    },
    Pay {
        amount: Option<Money>,
        reference: Reference,
    },
    /// Without lines, everything that has not been sent.
    Ship {
        shipment_id: ShipmentId,
        lines: Option<Vec<LineQuantity>>,
        carrier: Option<Reference>,
        tracking_number: Option<Reference>,
        at: Time,
    },
    Deliver {
        at: Time,
    },
    Cancel {
        reason: Option<Note>,
    },
    /// Without lines, everything that has not been paid back.
    Refund {
        lines: Option<Vec<LineQuantity>>,
        reason: Option<Note>,
    },
}
