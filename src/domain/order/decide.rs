//! All the rules about orders.

use super::{Line, Order, OrderCommand, PlaceOrder, Wanted};
use crate::{
    domain::{Code, Refusal},
    event::{LineQuantity, OrderEvent, OrderLine, OrderPlaced},
    value::{Currency, LineProgress, Money, OrderAction, Quantity, blocked_by},
};
use std::collections::HashMap;

/// The most lines of one order. Real invoices of wholesalers have more than a thousand.
pub const MAX_LINES: usize = 2_000;

/// Past this version, what can be repeated (changing, and shipping or refunding by line) is refused, so that no document of the
/// read side grows without bound. Every other step stays possible, and so does shipping or refunding all that is left: no order
/// gets stuck.
pub const MAX_EVENTS: i64 = 5_000;

/// Decides about a new order.
///
/// # Errors
/// The refusal, when the rules say no. That stock suffices is for `stock` to say, from [`super::movements`].
pub fn place(command: PlaceOrder) -> Result<OrderEvent, Refusal> {
    let lines = priced(command.lines, None)?;
    let total = total(&lines)?;
    Ok(OrderEvent::Placed(Box::new(OrderPlaced {
        order_id: command.order_id,
        number: command.number,
        reference: command.reference,
        customer: command.customer,
        currency: total.currency,
        lines,
        total,
        shipping_address: command.shipping_address,
        note: command.note,
        placed_at: command.placed_at,
    })))
}

/// Decides about an order that exists.
///
/// # Errors
/// The refusal, when the rules say no.
pub fn decide(order: &Order, command: OrderCommand) -> Result<OrderEvent, Refusal> {
    let action = match command {
        OrderCommand::Update { .. } => OrderAction::Update,
        OrderCommand::Pay { .. } => OrderAction::Pay,
        OrderCommand::Ship { .. } => OrderAction::Ship,
        OrderCommand::Deliver { .. } => OrderAction::Deliver,
        OrderCommand::Cancel { .. } => OrderAction::Cancel,
        OrderCommand::Refund { .. } => OrderAction::Refund,
    };
    if let Some(reason) = blocked_by(action, order.status()) {
        return Err(Refusal::new(Code::WrongStatus, reason));
    }
    if order.version >= MAX_EVENTS && repeatable(&command) {
        let message =
            format!("This order has been changed {MAX_EVENTS} times, which is the limit; what ends it is still possible.");
        return Err(Refusal::new(Code::QuantityExceeded, message));
    }
    match command {
        OrderCommand::Update { lines, shipping_address, note } => {
            if lines.is_none() && shipping_address.is_none() && note.is_none() {
                return Err(Refusal::invalid("Nothing to change: give lines, a shippingAddress or a note."));
            }
            let lines = lines.map(|lines| priced(lines, Some(order))).transpose()?;
            let total = lines.as_deref().map_or(Ok(order.total), total)?;
            Ok(OrderEvent::Updated { lines, total, shipping_address, note })
        }
        OrderCommand::Pay { amount, reference } => {
            pays(order, amount)?;
            Ok(OrderEvent::Paid { amount: order.total, reference })
        }
        OrderCommand::Ship { shipment_id, lines, carrier, tracking_number, at } => {
            let lines = picked(order, lines, LineProgress::shippable, "can be shipped")?;
            Ok(OrderEvent::Shipped { shipment_id, lines, carrier, tracking_number, shipped_at: at })
        }
        OrderCommand::Deliver { at } => Ok(OrderEvent::Delivered { delivered_at: at }),
        OrderCommand::Cancel { reason } => {
            let refunded = Money::new(order.paid.minor - order.refunded.minor, order.currency);
            Ok(OrderEvent::Cancelled { refunded, reason })
        }
        OrderCommand::Refund { lines, reason } => {
            let lines = picked(order, lines, LineProgress::refundable, "can be refunded")?;
            let amount = refund_of(order, &lines)?;
            Ok(OrderEvent::Refunded { lines, amount, reason })
        }
    }
}

fn repeatable(command: &OrderCommand) -> bool {
    matches!(
        command,
        OrderCommand::Update { .. } | OrderCommand::Ship { lines: Some(_), .. } | OrderCommand::Refund { lines: Some(_), .. }
    )
}

/// An amount, when given, must be the total to the penny: it is the client's proof of what it showed to the payer.
fn pays(order: &Order, amount: Option<Money>) -> Result<(), Refusal> {
    match amount {
        Some(amount) if amount.currency != order.currency => {
            let message = format!("The order is in {}, the amount in {}.", order.currency, amount.currency);
            Err(Refusal::new(Code::CurrencyMismatch, message).at("amount.currencyCode"))
        }
        Some(amount) if amount != order.total => {
            let message = format!("The order costs {}, the amount is {amount}.", order.total);
            Err(Refusal::new(Code::AmountMismatch, message).at("amount.amount"))
        }
        _ => Ok(()),
    }
}

/// Puts name and price on each wished line: as bought for what this order has already (each of its lines once, in order), as the
/// product is now for what is new; an agreed price goes before both. A change of an order thus never changes the price of what
/// stays in it.
fn priced(wanted: Vec<Wanted>, before: Option<&Order>) -> Result<Vec<OrderLine>, Refusal> {
    if wanted.is_empty() {
        return Err(Refusal::new(Code::EmptyOrder, "An order needs at least one line.").at("lines"));
    }
    if wanted.len() > MAX_LINES {
        return Err(Refusal::invalid(format!("An order has at most {MAX_LINES} lines.")).at("lines"));
    }
    let mut held: Vec<&Line> = before.map(|order| order.lines.iter().collect()).unwrap_or_default();
    let mut currency: Option<Currency> = before.map(|order| order.currency);
    let mut lines = Vec::with_capacity(wanted.len());
    for (index, wish) in wanted.into_iter().enumerate() {
        let Some(product) = wish.product else {
            return Err(Refusal::not_found("product").at(&format!("lines.{index}.productId")));
        };
        let stays = held.iter().position(|line| line.product_id == wish.product_id).map(|index| held.remove(index));
        // What is off sale may stay or become less, not more.
        let sold = stays.map_or(0, |line| line.progress.quantity);
        if !product.active && wish.quantity.get() > sold {
            let message = format!("{} is not for sale at present.", product.name);
            return Err(Refusal::new(Code::ProductUnavailable, message).at(&format!("lines.{index}.productId")));
        }
        let unit_price = wish.agreed_price.or(stays.map(|line| line.unit_price)).unwrap_or(product.price);
        if *currency.get_or_insert(unit_price.currency) != unit_price.currency {
            let message = format!("All lines of an order are in one currency; this one is in {}.", unit_price.currency);
            return Err(Refusal::new(Code::CurrencyMismatch, message).at(&format!("lines.{index}")));
        }
        lines.push(OrderLine {
            id: wish.line_id,
            product_id: wish.product_id,
            sku: stays.map_or(product.sku, |line| line.sku.clone()),
            name: stays.map_or(product.name, |line| line.name.clone()),
            quantity: wish.quantity,
            unit_price,
        });
    }
    Ok(lines)
}

/// The sum of priced lines; there is at least one.
fn total(lines: &[OrderLine]) -> Result<Money, Refusal> {
    let too_large = || Refusal::invalid("The total of the order is too large.").at("lines");
    let mut sum: Option<Money> = None;
    for line in lines {
        let line_total = line.unit_price.times(line.quantity.get()).ok_or_else(too_large)?;
        sum = Some(match sum {
            Some(sum) => sum.plus(line_total).ok_or_else(too_large)?,
            None => line_total,
        });
    }
    sum.filter(|sum| sum.minor <= Money::MAX_MINOR).ok_or_else(too_large)
}

/// The lines named, each known and within what is left of it, also when one is named twice; or all that is left.
fn picked(
    order: &Order,
    named: Option<Vec<LineQuantity>>,
    left: fn(LineProgress) -> i64,
    possible: &str,
) -> Result<Vec<LineQuantity>, Refusal> {
    let Some(named) = named else {
        return Ok(order
            .lines
            .iter()
            .filter_map(|line| Some(LineQuantity { line_id: line.id, quantity: Quantity::try_from(left(line.progress)).ok()? }))
            .collect());
    };
    if named.is_empty() {
        return Err(Refusal::invalid("Name at least one line, or leave lines out to mean all of them.").at("lines"));
    }
    let mut remaining: HashMap<_, _> = order.lines.iter().map(|line| (line.id, left(line.progress))).collect();
    for (index, part) in named.iter().enumerate() {
        let Some(remaining) = remaining.get_mut(&part.line_id) else {
            return Err(Refusal::not_found("line in this order").at(&format!("lines.{index}.lineId")));
        };
        if part.quantity.get() > *remaining {
            let message = format!("Only {remaining} of this line {possible}.");
            return Err(Refusal::new(Code::QuantityExceeded, message).at(&format!("lines.{index}.quantity")));
        }
        *remaining -= part.quantity.get();
    }
    Ok(named)
}

/// What the named units cost when they were bought.
fn refund_of(order: &Order, parts: &[LineQuantity]) -> Result<Money, Refusal> {
    let prices: HashMap<_, _> = order.lines.iter().map(|line| (line.id, line.unit_price)).collect();
    parts
        .iter()
        .try_fold(Money::zero(order.currency), |sum, part| sum.plus(prices.get(&part.line_id)?.times(part.quantity.get())?))
        .ok_or_else(|| Refusal::invalid("The refund is too large.").at("lines"))
}
