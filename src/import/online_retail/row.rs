//! Reading one row, and all that can be said against it without knowing another.

use super::{
    file::{Record, text},
    reason::{Reason, RefusedRow},
};
use crate::value::{Currency, Money, Quantity, Reference, Sku, Time};
use csv::ByteRecord;
use rust_decimal::Decimal;
use std::{fmt, str::FromStr};
use time::{Date, Month};

/// Where in a record each column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Columns {
    invoice: usize,
    sku: usize,
    description: usize,
    quantity: usize,
    date: usize,
    price: usize,
    customer: usize,
    /// How many fields every row must have.
    pub width: usize,
}

impl Columns {
    /// Finds the columns by their names, in any order and case. More columns do no harm.
    ///
    /// # Errors
    /// What is missing, or there twice.
    pub fn find(header: &ByteRecord) -> Result<Self, String> {
        let names: Vec<String> = header.iter().map(|field| text(field).trim().to_owned()).collect();
        let mut problems = Vec::new();
        let mut find = |name: &str| {
            let mut places =
                names.iter().enumerate().filter(|(_, found)| found.eq_ignore_ascii_case(name)).map(|(place, _)| place);
            let (place, again) = (places.next(), places.next());
            match (place, again) {
                (None, _) => problems.push(format!("there is no column {name}")),
                (_, Some(_)) => problems.push(format!("the column {name} is there twice")),
                _ => {}
            }
            place.unwrap_or_default()
        };
        let columns = Self {
            invoice: find("InvoiceNo"),
            sku: find("StockCode"),
            description: find("Description"),
            quantity: find("Quantity"),
            date: find("InvoiceDate"),
            price: find("UnitPrice"),
            customer: find("CustomerID"),
            width: header.len(),
        };
        // Nothing is made of it, but a file without it is of another shape.
        find("Country");
        if problems.is_empty() { Ok(columns) } else { Err(problems.join(", ")) }
    }
}

/// Whose invoice it is. People at the counter have no number: all of them are one guest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Customer {
    Guest,
    Numbered(String),
}

impl Customer {
    /// The most digits of a number; it must fit into an address for mail.
    const DIGITS: usize = 32;

    /// `17850`, or `17850.0` as tables with gaps are often written.
    fn read(cell: &str) -> Option<Self> {
        if cell.is_empty() {
            return Some(Self::Guest);
        }
        let number = whole_part(cell);
        ((1..=Self::DIGITS).contains(&number.len()) && all_digits(number)).then(|| Self::Numbered(number.to_owned()))
    }

    /// An address under a top-level domain that is reserved for not existing (RFC 2606).
    pub fn email(&self) -> String {
        match self {
            Self::Guest => "guest@online-retail.invalid".to_owned(),
            Self::Numbered(number) => format!("customer-{number}@online-retail.invalid"),
        }
    }
}

impl fmt::Display for Customer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guest => f.write_str("Guest"),
            Self::Numbered(number) => write!(f, "Customer {number}"),
        }
    }
}

/// What an invoice does with its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Sale,
    Return,
}

impl Kind {
    /// The data is described with a small c and written with a capital one.
    fn of(invoice: &Reference) -> Self {
        if invoice.as_str().starts_with(['C', 'c']) { Self::Return } else { Self::Sale }
    }
}

/// A row that makes sense by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub line: u64,
    pub kind: Kind,
    pub invoice: Reference,
    pub sku: Sku,
    pub description: String,
    /// How many are sold or come back.
    pub quantity: Quantity,
    /// Files say the time of the clock on the wall and no zone; it is taken for UTC.
    pub at: Time,
    pub price: Money,
    pub customer: Customer,
}

impl Row {
    /// # Errors
    /// The row with the first reason against it.
    pub fn read(columns: &Columns, record: &Record, now: Time) -> Result<Self, RefusedRow> {
        Self::checked(columns, record, now)
            .map_err(|reason| RefusedRow::new(record.line, &cell(record, columns.invoice), &cell(record, columns.sku), reason))
    }

    /// The same row as one that another reason speaks against.
    pub fn refused(&self, reason: Reason) -> RefusedRow {
        RefusedRow::new(self.line, self.invoice.as_str(), self.sku.as_str(), reason)
    }

    fn checked(columns: &Columns, record: &Record, now: Time) -> Result<Self, Reason> {
        if record.torn {
            return Err(Reason::LostQuote);
        }
        if record.fields.len() != columns.width {
            return Err(Reason::FieldCount { found: record.fields.len(), expected: columns.width });
        }
        let invoice = Reference::parse(&cell(record, columns.invoice)).map_err(Reason::Invoice)?;
        let sku = Sku::parse(&cell(record, columns.sku)).map_err(Reason::Sku)?;
        let units: i64 = whole_part(&cell(record, columns.quantity)).parse().map_err(|_| Reason::Quantity)?;
        let price = amount(&cell(record, columns.price))?;
        let at = moment(&cell(record, columns.date)).ok_or(Reason::Date)?;
        if at > now {
            return Err(Reason::Future);
        }
        let customer = Customer::read(&cell(record, columns.customer)).ok_or(Reason::Customer)?;
        let kind = Kind::of(&invoice);
        let quantity = match (kind, units) {
            (_, 0) => Err(Reason::NoQuantity),
            (Kind::Sale, ..0) => Err(Reason::NegativeSale),
            (Kind::Return, 1..) => Err(Reason::PositiveReturn),
            _ => units.checked_abs().and_then(|units| Quantity::try_from(units).ok()).ok_or(Reason::TooMany),
        }?;
        let description = cell(record, columns.description);
        Ok(Self { line: record.line, kind, invoice, sku, description, quantity, at, price, customer })
    }
}

fn cell(record: &Record, column: usize) -> String {
    text(record.fields.get(column).unwrap_or_default()).trim().to_owned()
}

fn all_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A whole number without the decimals that say nothing: `6.0` is 6.
fn whole_part(cell: &str) -> &str {
    match cell.split_once('.') {
        Some((whole, zeros)) if zeros.bytes().all(|byte| byte == b'0') => whole,
        _ => cell,
    }
}

/// A price in pounds: exact, and above zero.
fn amount(cell: &str) -> Result<Money, Reason> {
    // The parser of decimals takes underscores between digits, which nobody means in a table.
    if !cell.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+')) {
        return Err(Reason::Price);
    }
    let price = Decimal::from_str_exact(cell).map_err(|_| Reason::Price)?;
    if price <= Decimal::ZERO {
        return Err(Reason::PriceNotPositive);
    }
    Money::parse(price, Currency::GBP).map_err(Reason::Amount)
}

/// `12/1/10 8:26`, `12/01/2010 08:26:00`. Years of two digits are 1969 to 2068, as POSIX has it.
fn moment(cell: &str) -> Option<Time> {
    let (date, clock) = cell.split_once(' ')?;
    let date: Vec<&str> = date.split('/').collect();
    let clock: Vec<&str> = clock.trim().split(':').collect();
    let [month, day, year] = date[..] else { return None };
    let (hour, minute, second) = match clock[..] {
        [hour, minute] => (hour, minute, "0"),
        [hour, minute, second] => (hour, minute, second),
        _ => return None,
    };
    let year = match (year.len(), number::<i32>(year)?) {
        (2, year @ ..69) => 2000 + year,
        (2, year) => 1900 + year,
        // Nobody sold by computer before; PostgreSQL's calendar has no year 0.
        (4, year @ 1900..) => year,
        _ => return None,
    };
    let date = Date::from_calendar_date(year, Month::try_from(number::<u8>(month)?).ok()?, number(day)?).ok()?;
    Some(date.with_hms(number(hour)?, number(minute)?, number(second)?).ok()?.assume_utc())
}

fn number<N: FromStr>(digits: &str) -> Option<N> {
    (matches!(digits.len(), 1..=4) && all_digits(digits)).then(|| digits.parse().ok())?
}
