//! From an order's event to the order as people see it. Pure.

use crate::{
    event::{Envelope, LineQuantity, OrderEvent, OrderLine, OrderPlaced, StockMark},
    query::view::{ChangeId, CustomerView, EventKind, LineView, OrderView, ShipmentView, UserView, terms},
    value::{LineId, Milestones, OrderStatus, status_of},
};

/// The order after `event`, or why it cannot be.
///
/// # Errors
/// A sentence for the operator: the event does not follow from what is there, so it is parked.
pub fn fold(
    before: Option<&OrderView>,
    envelope: &Envelope,
    event: &OrderEvent,
    customer: Option<&UserView>,
) -> Result<OrderView, String> {
    let mut order = match (before, event) {
        (None, OrderEvent::Placed(placed)) => first(placed, customer),
        (Some(_), OrderEvent::Placed(_)) => return Err("an order was placed a second time".into()),
        (None, _) => return Err("something happened to an order that was never placed".into()),
        (Some(order), _) => order.clone(),
    };
    order.version = envelope.meta.version;
    order.updated_at = envelope.meta.recorded_at.max(order.updated_at);
    // It moves. Should it stand still again after this, that is written beside it.
    order.parked = None;
    match event {
        OrderEvent::Placed(_) => {}
        OrderEvent::Updated { lines, total, shipping_address, note } => {
            if let Some(lines) = lines {
                order.lines = lines.iter().map(line).collect();
            }
            order.total = total.minor;
            order.shipping_address = shipping_address.clone().or(order.shipping_address);
            order.note = note.as_ref().map(|note| note.as_str().to_owned()).or(order.note);
        }
        OrderEvent::Paid { amount, .. } => {
            order.milestones.paid = true;
            order.paid = amount.minor;
        }
        OrderEvent::Shipped { shipment_id, lines, carrier, tracking_number, shipped_at } => {
            progress(&mut order, lines, |line, count| line.shipped += count)?;
            order.shipments.push(ShipmentView {
                id: *shipment_id,
                carrier: carrier.as_ref().map(|c| c.as_str().to_owned()),
                tracking_number: tracking_number.as_ref().map(|t| t.as_str().to_owned()),
                lines: lines.iter().map(|part| (part.line_id, part.quantity.get())).collect(),
                shipped_at: *shipped_at,
                delivered_at: None,
            });
        }
        OrderEvent::Delivered { delivered_at } => {
            order.milestones.delivered = true;
            for shipment in &mut order.shipments {
                shipment.delivered_at.get_or_insert(*delivered_at);
            }
        }
        OrderEvent::Cancelled { refunded, .. } => {
            order.milestones.cancelled = true;
            order.refunded += refunded.minor;
        }
        OrderEvent::Refunded { lines, amount, .. } => {
            progress(&mut order, lines, |line, count| line.refunded += count)?;
            order.refunded += amount.minor;
        }
    }
    order.item_count = order.lines.iter().map(|line| line.quantity).sum();
    order.status = status_of(order.milestones, order.lines.iter().map(LineView::progress));
    mark(&mut order.stock, &envelope.meta.stock);
    index(&mut order);
    Ok(order)
}

/// The same order under a customer's new name.
pub fn renamed(order: &OrderView, customer: &UserView) -> OrderView {
    let mut order = order.clone();
    order.customer = named(customer);
    index(&mut order);
    order
}

fn named(user: &UserView) -> CustomerView {
    CustomerView { id: user.id, version: user.version, display_name: user.display_name.clone(), email: user.email.clone() }
}

fn first(placed: &OrderPlaced, known: Option<&UserView>) -> OrderView {
    let told = &placed.customer;
    // The user's own stream may have been faster than the order's: the newer name wins.
    let customer = match known {
        Some(user) if user.version >= told.version => named(user),
        _ => CustomerView {
            id: told.id,
            version: told.version,
            display_name: told.display_name.as_str().to_owned(),
            email: told.email.as_str().to_owned(),
        },
    };
    OrderView {
        id: placed.order_id,
        version: 0,
        number: placed.number,
        reference: placed.reference.as_ref().map(|r| r.as_str().to_owned()),
        status: OrderStatus::Pending,
        customer,
        lines: placed.lines.iter().map(line).collect(),
        item_count: 0,
        currency: placed.currency,
        total: placed.total.minor,
        paid: 0,
        refunded: 0,
        shipping_address: placed.shipping_address.clone(),
        note: placed.note.as_ref().map(|note| note.as_str().to_owned()),
        shipments: Vec::new(),
        milestones: Milestones::default(),
        placed_at: placed.placed_at,
        updated_at: placed.placed_at,
        search: Vec::new(),
        stock: Vec::new(),
        change: ChangeId { partition: 0, number: 0 },
        parked: None,
    }
}

fn line(line: &OrderLine) -> LineView {
    LineView {
        id: line.id,
        product_id: line.product_id,
        sku: line.sku.as_str().to_owned(),
        name: line.name.as_str().to_owned(),
        unit_price: line.unit_price.minor,
        quantity: line.quantity.get(),
        shipped: 0,
        refunded: 0,
    }
}

fn progress(order: &mut OrderView, parts: &[LineQuantity], change: impl Fn(&mut LineView, i64)) -> Result<(), String> {
    for part in parts {
        let id: LineId = part.line_id;
        let line = order.lines.iter_mut().find(|line| line.id == id).ok_or_else(|| format!("the order has no {id}"))?;
        change(line, part.quantity.get());
    }
    Ok(())
}

fn mark(known: &mut Vec<StockMark>, moved: &[StockMark]) {
    for mark in moved {
        match known.iter_mut().find(|known| known.product_id == mark.product_id) {
            Some(known) => known.version = known.version.max(mark.version),
            None => known.push(*mark),
        }
    }
}

fn index(order: &mut OrderView) {
    let number = order.number.to_string();
    let customer = [order.customer.display_name.as_str(), order.customer.email.as_str()];
    let texts = std::iter::once(number.as_str()).chain(order.reference.as_deref()).chain(customer);
    order.search = terms(texts.chain(order.lines.iter().map(|line| line.sku.as_str())));
}

/// What to call an event, and one sentence about it, without personal data.
pub fn describe(event: &OrderEvent) -> (EventKind, String) {
    let units = |parts: &[LineQuantity]| parts.iter().map(|part| part.quantity.get()).sum::<i64>();
    match event {
        OrderEvent::Placed(placed) => {
            let items: i64 = placed.lines.iter().map(|line| line.quantity.get()).sum();
            (EventKind::OrderPlaced, format!("Placed with {items} items for {}.", placed.total))
        }
        OrderEvent::Updated { lines: Some(lines), total, .. } => {
            (EventKind::OrderUpdated, format!("Changed to {} lines for {total}.", lines.len()))
        }
        OrderEvent::Updated { .. } => (EventKind::OrderUpdated, "Address or note changed.".into()),
        OrderEvent::Paid { amount, .. } => (EventKind::OrderPaid, format!("Paid {amount}.")),
        OrderEvent::Shipped { lines, .. } => (EventKind::OrderShipped, format!("Shipped {} items.", units(lines))),
        OrderEvent::Delivered { .. } => (EventKind::OrderDelivered, "Delivered.".into()),
        OrderEvent::Cancelled { refunded, .. } if refunded.minor > 0 => {
            (EventKind::OrderCancelled, format!("Cancelled; {refunded} paid back."))
        }
        OrderEvent::Cancelled { .. } => (EventKind::OrderCancelled, "Cancelled.".into()),
        OrderEvent::Refunded { lines, amount, .. } => {
            (EventKind::OrderRefunded, format!("Refunded {amount} for {} items.", units(lines)))
        }
    }
}
