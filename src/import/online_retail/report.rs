//! What an import did: for people as text, for programs as JSON.

use super::{plan::Plan, reason::RefusedRow};
use crate::value::{Currency, Money, OrderId};
use serde::Serialize;
use std::{fmt, time::Duration};

/// The whole account of one file. It is about the file, not about the run: what an earlier run did is counted as there already.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Rows of the file, without the header and blank lines: the sum of the next three.
    pub rows_total: u64,
    pub rows_in_orders: u64,
    pub rows_refunded: u64,
    pub rows_refused: u64,
    /// Invoices of the file, and those of them that are left without a row.
    pub invoices: u64,
    pub invoices_without_rows: u64,
    pub orders_created: u64,
    pub orders_already_there: u64,
    /// Of the orders created or there already.
    pub orders_paid: u64,
    /// Refunds are counted by row.
    pub refunds_made: u64,
    pub refunds_already_made: u64,
    pub users_created: u64,
    pub users_found: u64,
    pub products_created: u64,
    pub products_found: u64,
    pub stock_top_ups: u64,
    pub stock_units_added: i64,
    /// The totals of the orders created or there already, in pence.
    pub sales_pence: i64,
    /// What the refunds made now or before paid back, in pence.
    pub refunds_pence: i64,
    pub seconds: f64,
    /// Orders created in each of these seconds, on average.
    pub orders_per_second: f64,
    /// Every row that was not imported, by line.
    pub refused: Vec<RefusedRow>,
    /// Orders that are there but could not be paid by the import.
    pub unpaid: Vec<Unpaid>,
}

/// An order that the shop would not let us pay.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unpaid {
    pub invoice: String,
    /// What the shop said.
    pub reason: String,
}

/// What became of some invoices.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub rows_in_orders: u64,
    pub orders_created: u64,
    pub orders_already_there: u64,
    pub orders_paid: u64,
    pub refunds_made: u64,
    pub refunds_already_made: u64,
    pub sales_pence: i64,
    /// Order and version of every refund, made now or before.
    pub refunds: Vec<(OrderId, i64)>,
    pub refused: Vec<RefusedRow>,
    pub unpaid: Vec<Unpaid>,
}

impl Report {
    pub(super) fn of(plan: &Plan) -> Self {
        Self {
            rows_total: plan.rows,
            invoices: plan.invoice_count,
            invoices_without_rows: plan.invoice_count.saturating_sub(plan.invoices.len() as u64),
            refused: plan.refused.clone(),
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, part: Part) {
        self.rows_in_orders += part.rows_in_orders;
        self.rows_refunded += part.refunds.len() as u64;
        self.orders_created += part.orders_created;
        self.orders_already_there += part.orders_already_there;
        self.orders_paid += part.orders_paid;
        self.refunds_made += part.refunds_made;
        self.refunds_already_made += part.refunds_already_made;
        self.sales_pence = self.sales_pence.saturating_add(part.sales_pence);
        self.refused.extend(part.refused);
        self.unpaid.extend(part.unpaid);
    }

    pub(super) fn finish(&mut self, took: Duration) {
        self.rows_refused = self.refused.len() as u64;
        self.refused.sort_by_key(|row| row.line);
        self.unpaid.sort();
        self.seconds = took.as_secs_f64();
        self.orders_per_second = if self.seconds > 0.0 { self.orders_created as f64 / self.seconds } else { 0.0 };
    }

    /// Whether every row of the file is accounted for, once.
    pub fn adds_up(&self) -> bool {
        self.rows_in_orders + self.rows_refunded + self.rows_refused == self.rows_total
            && self.rows_refused == self.refused.len() as u64
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pounds = |pence| Money::new(pence, Currency::GBP);
        writeln!(
            f,
            "rows      {} in the file: {} in orders, {} refunded, {} refused",
            self.rows_total, self.rows_in_orders, self.rows_refunded, self.rows_refused
        )?;
        writeln!(f, "invoices  {}, of which {} left without rows", self.invoices, self.invoices_without_rows)?;
        writeln!(
            f,
            "orders    {} created, {} there already, {} paid; {}",
            self.orders_created,
            self.orders_already_there,
            self.orders_paid,
            pounds(self.sales_pence)
        )?;
        writeln!(
            f,
            "refunds   {} made, {} made already; {}",
            self.refunds_made,
            self.refunds_already_made,
            pounds(self.refunds_pence)
        )?;
        writeln!(f, "users     {} created, {} found", self.users_created, self.users_found)?;
        writeln!(
            f,
            "products  {} created, {} found; stock of {} topped up by {} units",
            self.products_created, self.products_found, self.stock_top_ups, self.stock_units_added
        )?;
        writeln!(f, "time      {:.1} s, {:.0} orders a second", self.seconds, self.orders_per_second)?;
        for order in &self.unpaid {
            writeln!(f, "not paid: invoice {}: {}", order.invoice, order.reason)?;
        }
        for row in &self.refused {
            writeln!(f, "refused:  line {}, invoice {}, {}: {}", row.line, row.invoice, row.sku, row.reason)?;
        }
        if !self.adds_up() {
            writeln!(f, "the counts do not add up to the file: this is a bug")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::reason::Reason;
    use super::*;

    fn report() -> Report {
        let row = |line| RefusedRow::new(line, "536414", "22139", Reason::PriceNotPositive);
        let mut report = Report { rows_total: 9, refused: vec![row(7)], ..Report::default() };
        report.add(Part { rows_in_orders: 4, orders_created: 2, sales_pence: 1999, refused: vec![row(3)], ..Part::default() });
        let refund = (OrderId(uuid::Uuid::from_u128(1)), 3);
        report.add(Part { rows_in_orders: 2, orders_already_there: 1, refunds: vec![refund], ..Part::default() });
        report.finish(Duration::from_millis(500));
        report
    }

    #[test]
    fn the_counts_add_up_to_the_file_or_say_so() {
        let mut report = report();
        assert_eq!((report.rows_in_orders, report.rows_refunded, report.rows_refused), (6, 1, 2));
        assert!(report.adds_up());
        assert!(!report.to_string().contains("do not add up"));
        report.rows_total += 1;
        assert!(!report.adds_up());
        assert!(report.to_string().contains("do not add up"));
    }

    #[test]
    fn refused_rows_come_by_line_with_their_reason() {
        let report = report();
        assert_eq!(report.refused.iter().map(|row| row.line).collect::<Vec<_>>(), [3, 7]);
        assert!(report.to_string().contains("refused:  line 3, invoice 536414, 22139: the price is zero or less\n"));
        assert!(report.to_string().contains("19.99 GBP"));
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["rowsRefused"], 2);
        assert_eq!(json["ordersPerSecond"], 4.0);
        assert_eq!(
            json["refused"][0],
            serde_json::json!({ "line": 3, "invoice": "536414", "sku": "22139", "reason": "the price is zero or less" })
        );
    }
}
