//! Why a row is not imported, and the row that is not.

use crate::{
    domain::order::MAX_LINES,
    value::{Invalid, Quantity, Reference},
};
use serde::{Serialize, Serializer};

/// One reason why a row is refused. As text, a sentence for the report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error("the row has {found} fields, the header has {expected}")]
    FieldCount { found: usize, expected: usize },
    #[error("a quote that opens in this line is not closed")]
    LostQuote,
    #[error("InvoiceNo: {0}")]
    Invoice(Invalid),
    #[error("StockCode: {0}")]
    Sku(Invalid),
    #[error("Quantity is not a whole number")]
    Quantity,
    #[error("UnitPrice is not a number")]
    Price,
    #[error("UnitPrice: {0}")]
    Amount(Invalid),
    #[error("InvoiceDate is not of the form month/day/year hour:minute")]
    Date,
    #[error("InvoiceDate lies in the future")]
    Future,
    #[error("CustomerID is not a number")]
    Customer,
    #[error("the price is zero or less")]
    PriceNotPositive,
    #[error("the quantity is zero")]
    NoQuantity,
    #[error("the quantity is negative, but the invoice does not take goods back")]
    NegativeSale,
    #[error("the quantity is positive, but the invoice takes goods back")]
    PositiveReturn,
    #[error("the quantity is larger than {}", Quantity::MAX)]
    TooMany,
    #[error("the row is of {row}, but its invoice of {invoice}")]
    OtherCustomer { row: String, invoice: String },
    #[error("an order has at most {} lines", MAX_LINES)]
    TooManyLines,
    #[error("no earlier order of this customer has this quantity of the product left to refund")]
    NothingToReturn,
    /// What the shop said to the command that would have done it.
    #[error("{0}")]
    Shop(String),
}

impl Reason {
    /// Whether the row says all the same which invoice it belongs to.
    pub(super) fn leaves_the_invoice_known(&self) -> bool {
        !matches!(self, Self::FieldCount { .. } | Self::LostQuote | Self::Invoice(_))
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// A row that is not imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedRow {
    /// Where it begins in the file; the header is in line 1.
    pub line: u64,
    /// The `InvoiceNo` as far as it can be told.
    pub invoice: String,
    /// The `StockCode` as far as it can be told.
    pub sku: String,
    pub reason: Reason,
}

impl RefusedRow {
    pub(super) fn new(line: u64, invoice: &str, sku: &str, reason: Reason) -> Self {
        Self { line, invoice: shown(invoice), sku: shown(sku), reason }
    }
}

/// A text of the file as it may stand in a report: bounded, and without anything that a terminal would obey.
fn shown(cell: &str) -> String {
    cell.chars().take(Reference::MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
