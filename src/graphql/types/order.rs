//! An order.

use super::{
    OrderEvent, Projection,
    connection::OrderEventConnection,
    int,
    value::{Address, Money},
};
use crate::{
    graphql::{
        context::reader,
        error::{ErrorCode, query_error},
        scalars::DateTime,
    },
    query::{LineView, OrderView},
    value::{self, blocked_by},
};
use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};
use std::sync::Arc;

/// An order with everything about it.
#[derive(Clone)]
pub struct Order(Arc<OrderView>);

impl From<OrderView> for Order {
    fn from(order: OrderView) -> Self {
        Self(Arc::new(order))
    }
}

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "crate::value::OrderStatus")]
pub enum OrderStatus {
    /// Placed, not paid.
    Pending,
    /// Paid, nothing shipped.
    Paid,
    /// Some of it is on its way.
    PartiallyShipped,
    /// All of it is on its way.
    Shipped,
    /// It has arrived.
    Delivered,
    /// Called off before anything was shipped.
    Cancelled,
    /// All of it has been paid back.
    Refunded,
}

/// A step in the life of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "crate::value::OrderAction")]
pub enum OrderAction {
    /// Change lines, address or note.
    Update,
    /// Pay all of it.
    Pay,
    /// Send all or some of it.
    Ship,
    /// Note that it has arrived.
    Deliver,
    /// Call it off.
    Cancel,
    /// Pay all or some of it back.
    Refund,
}

/// Whether a step is possible now, and if not, why: told before anyone tries it.
#[derive(SimpleObject)]
pub struct AllowedAction {
    /// The step.
    action: OrderAction,
    /// Whether the order's status allows it. Who may take it is another question.
    allowed: bool,
    /// Why it is not allowed, as a sentence for people; null when it is.
    blocked_by: Option<String>,
}

/// The customer of an order, under their present name.
#[derive(SimpleObject)]
pub struct OrderCustomer {
    /// The id of the user.
    id: ID,
    /// What the customer is called now.
    display_name: String,
    /// The customer's address for mail.
    email: String,
}

/// A line of an order, with name and price as bought.
#[derive(SimpleObject)]
pub struct OrderLine {
    /// Names this line in shipments and refunds.
    id: ID,
    /// The product.
    product_id: ID,
    /// The product's SKU.
    sku: String,
    /// What the product was called when it was ordered.
    name: String,
    /// Units ordered.
    quantity: i32,
    /// What one unit costs in this order.
    unit_price: Money,
    /// The `unitPrice` times the quantity.
    total: Money,
    /// Units that are on their way or have arrived.
    quantity_shipped: i32,
    /// Units that have been paid back.
    quantity_refunded: i32,
}

/// A parcel.
#[derive(SimpleObject)]
pub struct Shipment {
    /// The id of the parcel.
    id: ID,
    /// Who carries it.
    carrier: Option<String>,
    /// The carrier's number for it.
    tracking_number: Option<String>,
    /// What is in it.
    lines: Vec<ShipmentLine>,
    /// When it left.
    shipped_at: DateTime,
    /// When it arrived.
    delivered_at: Option<DateTime>,
}

/// What is in a parcel, of one line.
#[derive(SimpleObject)]
pub struct ShipmentLine {
    /// The line.
    line_id: ID,
    /// Units.
    quantity: i32,
}

/// An order with everything about it.
#[Object]
impl Order {
    /// The id of the order.
    pub async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    /// Rises by one with each change; hand it back as expectedVersion.
    async fn version(&self) -> i32 {
        int(self.0.version)
    }

    /// The number that people read and say.
    async fn number(&self) -> String {
        self.0.number.to_string()
    }

    /// The caller's own number for the order, if one was given; searchable.
    async fn reference(&self) -> Option<&str> {
        self.0.reference.as_deref()
    }

    /// Where the order stands.
    async fn status(&self) -> OrderStatus {
        self.0.status.into()
    }

    /// The customer.
    async fn customer(&self) -> OrderCustomer {
        let customer = &self.0.customer;
        OrderCustomer {
            id: customer.id.to_string().into(),
            display_name: customer.display_name.clone(),
            email: customer.email.clone(),
        }
    }

    /// What was ordered.
    async fn lines(&self) -> Vec<OrderLine> {
        self.0.lines.iter().map(|line| self.line(line)).collect()
    }

    /// Units ordered, over all lines.
    async fn item_count(&self) -> i32 {
        int(self.0.item_count)
    }

    /// What the order costs.
    async fn total(&self) -> Money {
        self.0.money(self.0.total).into()
    }

    /// What has been paid.
    async fn total_paid(&self) -> Money {
        self.0.money(self.0.paid).into()
    }

    /// What has been paid back.
    async fn total_refunded(&self) -> Money {
        self.0.money(self.0.refunded).into()
    }

    /// Where it goes.
    async fn shipping_address(&self) -> Option<Address> {
        self.0.shipping_address.as_ref().map(Address::from)
    }

    /// What the customer or staff noted.
    async fn note(&self) -> Option<&str> {
        self.0.note.as_deref()
    }

    /// The parcels, oldest first.
    async fn shipments(&self) -> Vec<Shipment> {
        let lines = |lines: &[(value::LineId, i64)]| {
            lines.iter().map(|(id, count)| ShipmentLine { line_id: id.to_string().into(), quantity: int(*count) }).collect()
        };
        let shipments = self.0.shipments.iter().map(|shipment| Shipment {
            id: shipment.id.to_string().into(),
            carrier: shipment.carrier.clone(),
            tracking_number: shipment.tracking_number.clone(),
            lines: lines(&shipment.lines),
            shipped_at: DateTime(shipment.shipped_at),
            delivered_at: shipment.delivered_at.map(DateTime),
        });
        shipments.collect()
    }

    /// Every step, with whether it is possible now and if not, why.
    async fn allowed_actions(&self) -> Vec<AllowedAction> {
        value::OrderAction::ALL
            .into_iter()
            .map(|action| {
                let blocked = blocked_by(action, self.0.status);
                AllowedAction { action: action.into(), allowed: blocked.is_none(), blocked_by: blocked.map(str::to_owned) }
            })
            .collect()
    }

    /// What has happened to the order, oldest first, with where the time of each event went.
    async fn history(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most this many events, up to 100; 20 unless told.")] first: Option<i32>,
        #[graphql(desc = "Only events after the one with this cursor.")] after: Option<String>,
    ) -> Result<OrderEventConnection> {
        let limit = usize::try_from(first.unwrap_or(20)).ok().filter(|n| *n <= 100);
        let limit = limit.ok_or_else(|| ErrorCode::BadUserInput.error("a page has 0 to 100 items"))?;
        let start = match after {
            None => 0,
            Some(cursor) => {
                let place =
                    cursor.parse::<u32>().map_err(|_| ErrorCode::BadUserInput.error("this cursor is not from this list"))?;
                place as usize + 1
            }
        };
        let page = reader(ctx)?.history(self.0.id, start, limit).await.map_err(query_error)?;
        let events = page.items.into_iter().map(OrderEvent::from).collect();
        Ok(OrderEventConnection::new(events, page.start, page.total))
    }

    /// When it was placed.
    async fn placed_at(&self) -> DateTime {
        DateTime(self.0.placed_at)
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated_at)
    }

    /// Whether newer changes are held up. It is not sent when it changes; ask again, or subscribe again, to see it.
    async fn projection(&self) -> Projection {
        self.0.parked.into()
    }
}

impl Order {
    fn line(&self, line: &LineView) -> OrderLine {
        OrderLine {
            id: line.id.to_string().into(),
            product_id: line.product_id.to_string().into(),
            sku: line.sku.clone(),
            name: line.name.clone(),
            quantity: int(line.quantity),
            unit_price: self.0.money(line.unit_price).into(),
            total: self.0.money(line.unit_price.saturating_mul(line.quantity)).into(),
            quantity_shipped: int(line.shipped),
            quantity_refunded: int(line.refunded),
        }
    }
}
