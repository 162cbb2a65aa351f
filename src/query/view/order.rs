//! An order as people look at it: customer, lines with names and prices as bought, parcels, history.

use super::{ChangeId, Parked, date};
use crate::{
    event::StockMark,
    value::{
        Address, Currency, LineId, LineProgress, Milestones, Money, OrderId, OrderStatus, ProductId, ShipmentId, Time, UserId,
    },
};
use serde::{Deserialize, Serialize};

/// Amounts are minor units of `currency`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderView {
    #[serde(rename = "_id")]
    pub id: OrderId,
    pub version: i64,
    pub number: i64,
    #[serde(default)]
    pub reference: Option<String>,
    pub status: OrderStatus,
    pub customer: CustomerView,
    pub lines: Vec<LineView>,
    pub item_count: i64,
    pub currency: Currency,
    pub total: i64,
    pub paid: i64,
    pub refunded: i64,
    #[serde(default)]
    pub shipping_address: Option<Address>,
    #[serde(default)]
    pub note: Option<String>,
    pub shipments: Vec<ShipmentView>,
    pub milestones: Milestones,
    #[serde(with = "date")]
    pub placed_at: Time,
    #[serde(with = "date")]
    pub updated_at: Time,
    /// Lower-case words by which the order is found. Readers do not fetch them.
    #[serde(default)]
    pub search: Vec<String>,
    /// The newest stock levels that its events moved to: who has seen those products has seen what this order did to them.
    #[serde(default)]
    pub stock: Vec<StockMark>,
    /// Where its newest change stands in the change log.
    pub change: ChangeId,
    /// Set while newer versions wait, see [`Parked`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub parked: Option<Parked>,
}

impl OrderView {
    pub fn money(&self, minor: i64) -> Money {
        Money::new(minor, self.currency)
    }

    /// Units bought and not paid back.
    pub fn net_items(&self) -> i64 {
        self.lines.iter().map(|line| line.progress().refundable()).sum()
    }
}

/// The customer, under their present name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomerView {
    pub id: UserId,
    /// The version of the user that the name is from.
    pub version: i64,
    pub display_name: String,
    pub email: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LineView {
    pub id: LineId,
    pub product_id: ProductId,
    pub sku: String,
    pub name: String,
    pub unit_price: i64,
    pub quantity: i64,
    pub shipped: i64,
    pub refunded: i64,
}

impl LineView {
    pub fn progress(&self) -> LineProgress {
        LineProgress { quantity: self.quantity, shipped: self.shipped, refunded: self.refunded }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShipmentView {
    pub id: ShipmentId,
    #[serde(default)]
    pub carrier: Option<String>,
    #[serde(default)]
    pub tracking_number: Option<String>,
    pub lines: Vec<(LineId, i64)>,
    #[serde(with = "date")]
    pub shipped_at: Time,
    #[serde(with = "date::option", default)]
    pub delivered_at: Option<Time>,
}

/// What kind of thing happened to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EventKind {
    OrderPlaced,
    OrderUpdated,
    OrderPaid,
    OrderShipped,
    OrderDelivered,
    OrderCancelled,
    OrderRefunded,
    CustomerRenamed,
    /// An operator has set an event aside: the version counts, its effect is missing.
    EventDiscarded,
}

/// One entry of an order's history, with where its time went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventView {
    /// Unique within the order: the event's id; a renaming, which reaches many orders, has the order's id added.
    pub id: String,
    /// The version of the order after it. A renaming of the customer is no change of the order and keeps it.
    pub version: i64,
    pub kind: EventKind,
    pub actor: String,
    pub command_id: String,
    /// One sentence for people, without personal data.
    pub summary: String,
    #[serde(with = "date")]
    pub committed_at: Time,
    #[serde(with = "date")]
    pub published_at: Time,
    #[serde(with = "date")]
    pub projected_at: Time,
    #[serde(default)]
    pub trace_id: Option<String>,
}
