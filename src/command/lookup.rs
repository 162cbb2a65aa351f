//! What somebody who brings data from elsewhere must know before asking for anything: which commands are decided, which products
//! and users are there, which order has goods to take back.
//!
//! This is not the read side: it answers from the write model, at once and exactly, and only what leads to a command. Everything
//! it says may have changed when the command is decided; the decision is then a refusal, never a wrong state.

use super::{Database, Fault, Receipt, Refusal, idempotency, store};
use crate::{
    domain::order::Order,
    event::LineQuantity,
    value::{CommandId, Email, Money, OrderAction, OrderId, ProductId, Quantity, Sku, Time, UserId, blocked_by},
};
use sea_orm::DbErr;
use std::collections::HashMap;

/// The most names in one statement.
const CHUNK: usize = 2_000;

/// The most orders read at once: each may have thousands of lines, and nearly always one of the latest is the right one.
const PAGE: i64 = 32;

/// What became of a command that is decided.
pub type Decided = Result<Receipt, Vec<Refusal>>;

/// A product on its shelf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shelf {
    pub product_id: ProductId,
    /// Units free to order.
    pub available: i64,
    /// The version of the stock: it rises with everything that moves it.
    pub stock_version: i64,
}

/// Goods that somebody brings back.
#[derive(Debug, Clone, Copy)]
pub struct Goods<'a> {
    pub customer_id: UserId,
    pub product_id: ProductId,
    pub quantity: Quantity,
    /// Orders placed after this moment do not count.
    pub until: Time,
    /// Nor do these.
    pub except: &'a [OrderId],
}

/// An order that can take goods back, and which parts of which lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refundable {
    pub order_id: OrderId,
    pub parts: Vec<LineQuantity>,
}

/// Asks the write model. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Lookup(Database);

impl Lookup {
    pub fn new(database: &Database) -> Self {
        Self(database.clone())
    }

    /// What became of those of an actor's commands that are decided already, refusals included.
    ///
    /// # Errors
    /// [`Fault`], when the write model cannot be read.
    pub async fn outcomes(&self, actor: &str, ids: &[CommandId]) -> Result<HashMap<CommandId, Decided>, Fault> {
        let mut decided = HashMap::new();
        for ids in ids.chunks(CHUNK) {
            let keys: Vec<_> = ids.iter().map(|id| (actor.to_owned(), id.clone())).collect();
            for ((_, id), remembered) in store::recall(&self.0.0, &keys).await.map_err(fault)? {
                let outcome = idempotency::replay(&remembered.fingerprint, &remembered)
                    .map_err(|e| fault(DbErr::Custom(format!("an outcome cannot be read: {e}"))))?;
                decided.insert(id, outcome.result);
            }
        }
        Ok(decided)
    }

    /// Those of these products that exist.
    ///
    /// # Errors
    /// [`Fault`], when the write model cannot be read.
    pub async fn products_by_sku(&self, skus: &[Sku]) -> Result<HashMap<Sku, Shelf>, Fault> {
        let mut shelves = HashMap::with_capacity(skus.len());
        for skus in skus.chunks(CHUNK) {
            let found = store::products_by_sku(&self.0.0, skus).await.map_err(fault)?;
            shelves.extend(found.into_iter().map(|(sku, (product_id, stock))| {
                (sku, Shelf { product_id, available: stock.available, stock_version: stock.version })
            }));
        }
        Ok(shelves)
    }

    /// Those of these users that exist, by [`Email::folded`].
    ///
    /// # Errors
    /// [`Fault`], when the write model cannot be read.
    pub async fn users_by_email(&self, emails: &[Email]) -> Result<HashMap<String, UserId>, Fault> {
        let mut users = HashMap::with_capacity(emails.len());
        for emails in emails.chunks(CHUNK) {
            let folded = emails.iter().map(Email::folded).collect();
            users.extend(store::users_by_email(&self.0.0, folded).await.map_err(fault)?);
        }
        Ok(users)
    }

    /// The customer's latest order that still has this quantity of the product to pay back, if there is one. When it has the
    /// product in several lines, they give what they have in their order.
    ///
    /// # Errors
    /// [`Fault`], when the write model cannot be read.
    pub async fn refundable(&self, goods: Goods<'_>) -> Result<Option<Refundable>, Fault> {
        let wanted = store::OrdersWith {
            customer_id: goods.customer_id,
            product_id: goods.product_id,
            until: goods.until,
            except: goods.except,
        };
        let mut offset = 0;
        loop {
            let orders = store::orders_with(&self.0.0, wanted, PAGE, offset).await.map_err(fault)?;
            let read = orders.len();
            let found = orders.into_iter().find_map(|(order_id, order)| {
                Some(Refundable { order_id, parts: parts(&order, goods.product_id, goods.quantity)? })
            });
            offset += PAGE;
            if found.is_some() || i64::try_from(read).is_ok_and(|read| read < PAGE) {
                return Ok(found);
            }
        }
    }

    /// What the refunds with these receipts (order and version) paid back.
    ///
    /// # Errors
    /// [`Fault`], when the write model cannot be read.
    pub async fn refund_amounts(&self, refunds: &[(OrderId, i64)]) -> Result<HashMap<(OrderId, i64), Money>, Fault> {
        let mut amounts = HashMap::with_capacity(refunds.len());
        for refunds in refunds.chunks(CHUNK) {
            amounts.extend(store::refund_amounts(&self.0.0, refunds).await.map_err(fault)?);
        }
        Ok(amounts)
    }
}

/// The parts of an order's lines that make up this quantity of a product, or nothing when it has less left or takes nothing back.
fn parts(order: &Order, product_id: ProductId, quantity: Quantity) -> Option<Vec<LineQuantity>> {
    if blocked_by(OrderAction::Refund, order.status()).is_some() {
        return None;
    }
    let mut wanted = quantity.get();
    let mut parts = Vec::new();
    for line in order.lines.iter().filter(|line| line.product_id == product_id) {
        let Ok(part) = Quantity::try_from(line.progress.refundable().min(wanted)) else { continue };
        wanted -= part.get();
        parts.push(LineQuantity { line_id: line.id, quantity: part });
    }
    (wanted == 0).then_some(parts)
}

/// The boundary of these questions: the only place where the driver's words about them are logged.
fn fault(error: DbErr) -> Fault {
    let class = store::classify(&error);
    tracing::warn!(error = %error, ?class, "a lookup failed");
    class.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::order::Line,
        value::{Currency, LineId, LineProgress, Milestones},
    };
    use uuid::Uuid;

    const HEART: ProductId = ProductId(Uuid::from_u128(1));
    const LANTERN: ProductId = ProductId(Uuid::from_u128(2));

    fn line(id: u128, product_id: ProductId, quantity: i64, refunded: i64) -> Line {
        Line {
            id: LineId(Uuid::from_u128(id)),
            product_id,
            sku: Sku::parse("85123A").unwrap(),
            name: crate::value::ProductName::parse("Heart").unwrap(),
            unit_price: Money::new(255, Currency::GBP),
            progress: LineProgress { quantity, shipped: 0, refunded },
        }
    }

    fn order(paid: bool, lines: Vec<Line>) -> Order {
        Order {
            version: 2,
            number: 1001,
            reference: None,
            customer_id: UserId(Uuid::from_u128(9)),
            currency: Currency::GBP,
            lines,
            milestones: Milestones { paid, ..Milestones::default() },
            total: Money::new(0, Currency::GBP),
            paid: Money::new(0, Currency::GBP),
            refunded: Money::new(0, Currency::GBP),
            placed_at: Time::UNIX_EPOCH,
        }
    }

    fn taken(order: &Order, quantity: i64) -> Option<Vec<(u128, i64)>> {
        let parts = parts(order, HEART, Quantity::try_from(quantity).unwrap())?;
        Some(parts.iter().map(|part| (part.line_id.0.as_u128(), part.quantity.get())).collect())
    }

    #[test]
    fn goods_are_taken_back_from_the_lines_in_their_order() {
        let order = order(true, vec![line(1, HEART, 6, 4), line(2, LANTERN, 9, 0), line(3, HEART, 2, 2), line(4, HEART, 3, 0)]);
        assert_eq!(taken(&order, 1), Some(vec![(1, 1)]));
        assert_eq!(taken(&order, 4), Some(vec![(1, 2), (4, 2)]));
        assert_eq!(taken(&order, 5), Some(vec![(1, 2), (4, 3)]));
        assert_eq!(taken(&order, 6), None, "what is paid back already does not come back twice");
    }

    #[test]
    fn an_order_that_takes_nothing_back_is_passed_over() {
        assert_eq!(taken(&order(false, vec![line(1, HEART, 6, 0)]), 1), None, "it is not paid");
        assert_eq!(taken(&order(true, vec![line(1, HEART, 6, 6)]), 1), None, "it is refunded in full");
    }
}
