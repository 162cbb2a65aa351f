//! One customer's invoices, one after the other: placing and paying, taking back. Whatever an earlier run has decided is only
//! counted.

use super::{
    plan::{Invoice, Return, ReturnRow, Sale},
    reason::{Reason, RefusedRow},
    report::{Part, Unpaid},
    row::Customer,
    shop::{Made, Shop, patiently, said},
};
use crate::{
    command::{Decided, Goods, LineWish, PayOrder, PlaceOrder, RefundOrder, Shelf, UseCase},
    import::ImportError,
    value::{CommandId, LineId, Note, OrderId, Sku, Time, UserId},
};
use indicatif::ProgressBar;
use std::collections::HashMap;

/// What every customer's invoices are served with.
pub(super) struct Till<'a> {
    pub shop: Shop<'a>,
    pub decided: HashMap<CommandId, Decided>,
    pub users: HashMap<Customer, Made<UserId>>,
    pub products: HashMap<Sku, Made<Shelf>>,
    pub progress: &'a ProgressBar,
}

impl Till<'_> {
    /// Serves the invoices of one customer in their order, which matters: goods come back from orders before.
    pub async fn serve(&self, invoices: Vec<Invoice>) -> Result<Part, ImportError> {
        let mut part = Part::default();
        for (index, invoice) in invoices.iter().enumerate() {
            match invoice {
                Invoice::Sale(sale) => match self.order_of(sale, &mut part).await? {
                    Ok(order_id) => self.pay(sale, order_id, &mut part).await?,
                    Err(reason) => part.refused.extend(sale.lines.iter().map(|line| {
                        RefusedRow::new(line.line, sale.number.as_str(), line.sku.as_str(), Reason::Shop(reason.clone()))
                    })),
                },
                Invoice::Return(goods) => {
                    let later = self.later_orders(&invoices[index + 1..], goods.at);
                    self.take_back(goods, &later, &mut part).await?;
                }
            }
            self.progress.inc(invoice.rows() as u64);
        }
        Ok(part)
    }

    /// The order of a sale, placed now or before, or what the shop said to it.
    async fn order_of(&self, sale: &Sale, part: &mut Part) -> Result<Made<OrderId>, ImportError> {
        let (placed, orders) = match self.decided.get(&sale.place) {
            Some(before) => (before.clone().map_err(|refusals| said(&refusals)), &mut part.orders_already_there),
            None => {
                let command = match self.placing(sale) {
                    Ok(command) => command,
                    Err(reason) => return Ok(Err(reason)),
                };
                let placed = self.shop.send(sale.place.clone(), UseCase::from(command)).await?;
                (placed.map_err(|refusals| said(&refusals)), &mut part.orders_created)
            }
        };
        Ok(placed.map(|receipt| {
            *orders += 1;
            part.rows_in_orders += sale.lines.len() as u64;
            part.sales_pence = part.sales_pence.saturating_add(sale.total().minor);
            OrderId(receipt.stream.uuid())
        }))
    }

    fn placing(&self, sale: &Sale) -> Made<PlaceOrder> {
        let missing = || "What it needs could not be made.".to_owned();
        let customer_id = self.users.get(&sale.customer).cloned().unwrap_or_else(|| Err(missing()))?;
        let mut lines = Vec::with_capacity(sale.lines.len());
        for line in &sale.lines {
            let shelf = self.products.get(&line.sku).cloned().unwrap_or_else(|| Err(missing()))?;
            lines.push(LineWish {
                line_id: LineId(self.shop.ids.next()),
                product_id: shelf.product_id,
                quantity: line.quantity,
                unit_price: Some(line.price),
            });
        }
        Ok(PlaceOrder {
            order_id: OrderId(self.shop.ids.next()),
            customer_id,
            lines,
            shipping_address: None,
            note: None,
            reference: Some(sale.number.clone()),
            placed_at: Some(sale.at),
        })
    }

    /// Pays an order with what the file says it costs, so that the shop would object if it made another sum of it.
    async fn pay(&self, sale: &Sale, order_id: OrderId, part: &mut Part) -> Result<(), ImportError> {
        let paid = match self.decided.get(&sale.pay) {
            Some(before) => before.clone(),
            None => {
                let pay =
                    PayOrder { order_id, expected_version: None, amount: Some(sale.total()), reference: sale.number.clone() };
                self.shop.send(sale.pay.clone(), UseCase::from(pay)).await?
            }
        };
        match paid {
            Ok(_) => part.orders_paid += 1,
            Err(refusals) => part.unpaid.push(Unpaid { invoice: sale.number.to_string(), reason: said(&refusals) }),
        }
        Ok(())
    }

    /// Orders of the same moment that come after a return in the file. An earlier run may have placed them already; they are no
    /// earlier orders all the same, so that it does not matter where that run stopped.
    fn later_orders(&self, rest: &[Invoice], at: Time) -> Vec<OrderId> {
        let same_moment = rest.iter().take_while(|invoice| invoice.at() == at);
        let placed = same_moment.filter_map(|invoice| match invoice {
            Invoice::Sale(sale) => self.decided.get(&sale.place)?.as_ref().ok(),
            Invoice::Return(_) => None,
        });
        placed.map(|receipt| OrderId(receipt.stream.uuid())).collect()
    }

    /// Refunds the rows of a return one by one: each may come from another order.
    async fn take_back(&self, goods: &Return, later: &[OrderId], part: &mut Part) -> Result<(), ImportError> {
        for row in &goods.rows {
            let mut refuse = |reason| {
                part.refused.push(RefusedRow::new(row.line, goods.number.as_str(), row.sku.as_str(), reason));
            };
            let (answer, refunds) = match self.decided.get(&row.refund) {
                Some(before) => (before.clone(), &mut part.refunds_already_made),
                None => match self.refund(goods, row, later).await? {
                    Some(answer) => (answer, &mut part.refunds_made),
                    None => {
                        refuse(Reason::NothingToReturn);
                        continue;
                    }
                },
            };
            match answer {
                Ok(receipt) => {
                    *refunds += 1;
                    part.refunds.push((OrderId(receipt.stream.uuid()), receipt.version));
                }
                Err(refusals) => refuse(Reason::Shop(said(&refusals))),
            }
        }
        Ok(())
    }

    /// Finds the order that a row comes back from, and refunds it there. Nothing when there is none.
    async fn refund(&self, goods: &Return, row: &ReturnRow, later: &[OrderId]) -> Result<Option<Decided>, ImportError> {
        let (Some(Ok(customer_id)), Some(Ok(shelf))) = (self.users.get(&goods.customer), self.products.get(&row.sku)) else {
            return Ok(None);
        };
        let wanted = Goods {
            customer_id: *customer_id,
            product_id: shelf.product_id,
            quantity: row.quantity,
            until: goods.at,
            except: later,
        };
        let Some(found) = patiently(|| self.shop.lookup.refundable(wanted)).await? else { return Ok(None) };
        let refund = RefundOrder {
            order_id: found.order_id,
            expected_version: None,
            lines: Some(found.parts),
            reason: Note::parse(&format!("Taken back by invoice {}", goods.number)).ok(),
        };
        self.shop.send(row.refund.clone(), UseCase::from(refund)).await.map(Some)
    }
}
