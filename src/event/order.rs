//! Facts about orders. Each carries all that a reader needs to know, so that no projection has to look anything up.

use super::kinds;
use crate::value::{
    Address, Currency, DisplayName, Email, LineId, Money, Note, OrderId, ProductId, ProductName, Quantity, Reference, ShipmentId,
    Sku, Time, UserId,
};
use serde::{Deserialize, Serialize};

/// The customer as known when the order was placed. `version` tells a projection whose name is newer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderCustomer {
    pub id: UserId,
    pub version: i64,
    pub display_name: DisplayName,
    pub email: Email,
}

/// A line with name and price as bought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLine {
    pub id: LineId,
    pub product_id: ProductId,
    pub sku: Sku,
    pub name: ProductName,
    pub quantity: Quantity,
    pub unit_price: Money,
}

/// So many units of one line: in a parcel, or paid back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineQuantity {
    pub line_id: LineId,
    pub quantity: Quantity,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderPlaced {
    pub order_id: OrderId,
    /// The number that people read; drawn from a sequence, so it rises but may have gaps.
    pub number: i64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reference: Option<Reference>,
    pub customer: OrderCustomer,
    pub currency: Currency,
    pub lines: Vec<OrderLine>,
    pub total: Money,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub shipping_address: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub note: Option<Note>,
    #[serde(with = "time::serde::rfc3339")]
    pub placed_at: Time,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum OrderEvent {
    #[serde(rename = "orderflow.order.placed.v1")]
    Placed(Box<OrderPlaced>),
    /// Only what changed is present; `lines` replace all earlier ones and come with the new `total`.
    #[serde(rename = "orderflow.order.updated.v1")]
    Updated {
        #[serde(skip_serializing_if = "Option::is_none", default)]
        lines: Option<Vec<OrderLine>>,
        total: Money,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        shipping_address: Option<Address>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        note: Option<Note>,
    },
    #[serde(rename = "orderflow.order.paid.v1")]
    Paid { amount: Money, reference: Reference },
    #[serde(rename = "orderflow.order.shipped.v1")]
    Shipped {
        shipment_id: ShipmentId,
        lines: Vec<LineQuantity>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        carrier: Option<Reference>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        tracking_number: Option<Reference>,
        #[serde(with = "time::serde::rfc3339")]
        shipped_at: Time,
    },
    #[serde(rename = "orderflow.order.delivered.v1")]
    Delivered {
        #[serde(with = "time::serde::rfc3339")]
        delivered_at: Time,
    },
    /// The reserved stock is free again; what had been paid and not paid back is `refunded` with it.
    #[serde(rename = "orderflow.order.cancelled.v1")]
    Cancelled {
        refunded: Money,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        reason: Option<Note>,
    },
    #[serde(rename = "orderflow.order.refunded.v1")]
    Refunded {
        lines: Vec<LineQuantity>,
        amount: Money,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        reason: Option<Note>,
    },
}

kinds!(OrderEvent {
    Placed => "orderflow.order.placed.v1",
    Updated => "orderflow.order.updated.v1",
    Paid => "orderflow.order.paid.v1",
    Shipped => "orderflow.order.shipped.v1",
    Delivered => "orderflow.order.delivered.v1",
    Cancelled => "orderflow.order.cancelled.v1",
    Refunded => "orderflow.order.refunded.v1",
});
