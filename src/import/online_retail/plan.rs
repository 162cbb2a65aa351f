//! From the bytes of a file to what the shop should do: invoices in the order of their dates, the users and products they need,
//! and the rows that cannot be imported, each with its reason.

use super::{
    file::Records,
    key,
    reason::{Reason, RefusedRow},
    row::{Columns, Customer, Kind, Row},
};
use crate::{
    domain::order::MAX_LINES,
    value::{CommandId, Currency, DisplayName, Email, Money, ProductName, Quantity, Reference, Sku, Time},
};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What a file asks for.
#[derive(Debug)]
pub(super) struct Plan {
    /// Rows of the file, blank lines and the header not counted.
    pub rows: u64,
    /// Invoices of the file, also those left without rows.
    pub invoice_count: u64,
    /// By date; of one date, as the file has them.
    pub invoices: Vec<Invoice>,
    pub users: BTreeMap<Customer, NewUser>,
    pub products: BTreeMap<Sku, NewProduct>,
    pub refused: Vec<RefusedRow>,
}

#[derive(Debug)]
pub(super) enum Invoice {
    Sale(Sale),
    Return(Return),
}

#[derive(Debug)]
pub(super) struct Sale {
    pub number: Reference,
    pub customer: Customer,
    pub at: Time,
    pub lines: Vec<SaleLine>,
    pub place: CommandId,
    pub pay: CommandId,
}

#[derive(Debug)]
pub(super) struct SaleLine {
    pub line: u64,
    pub sku: Sku,
    pub quantity: Quantity,
    pub price: Money,
}

#[derive(Debug)]
pub(super) struct Return {
    pub number: Reference,
    pub customer: Customer,
    pub at: Time,
    pub rows: Vec<ReturnRow>,
}

#[derive(Debug)]
pub(super) struct ReturnRow {
    pub line: u64,
    pub sku: Sku,
    pub quantity: Quantity,
    pub refund: CommandId,
}

/// A customer of the file.
#[derive(Debug, Clone)]
pub(super) struct NewUser {
    pub email: Email,
    pub display_name: DisplayName,
    /// Who only brings goods back is looked up, but not made.
    pub buys: bool,
    pub create: CommandId,
}

/// A product of the file.
#[derive(Debug, Clone)]
pub(super) struct NewProduct {
    pub name: ProductName,
    /// What it cost first. Without: it only comes back, so it is looked up, but not made.
    pub price: Option<Money>,
}

impl Plan {
    /// Reads a whole file. Rows dated after `now` are refused.
    ///
    /// # Errors
    /// What is wrong with its header.
    pub fn read(bytes: &[u8], now: Time) -> Result<Self, String> {
        let mut records = Records::new(bytes);
        let header = records.read(None).map_err(|e| e.to_string())?.ok_or("it is empty")?;
        let columns = Columns::find(&header.fields)?;
        let mut draft = Draft::default();
        while let Some(record) = records.read(Some(columns.width)).map_err(|e| e.to_string())? {
            draft.rows += 1;
            match Row::read(&columns, &record, now) {
                Ok(row) => draft.accept(row),
                Err(refused) => draft.refuse(refused),
            }
        }
        Ok(draft.finish())
    }

    pub fn sales(&self) -> impl Iterator<Item = &Sale> {
        self.invoices.iter().filter_map(|invoice| match invoice {
            Invoice::Sale(sale) => Some(sale),
            Invoice::Return(_) => None,
        })
    }

    /// The ids of everything that may have been decided by an earlier run.
    pub fn command_ids(&self) -> Vec<CommandId> {
        let mut ids: Vec<CommandId> = self.users.values().map(|user| user.create.clone()).collect();
        for invoice in &self.invoices {
            match invoice {
                Invoice::Sale(sale) => ids.extend([sale.place.clone(), sale.pay.clone()]),
                Invoice::Return(goods) => ids.extend(goods.rows.iter().map(|row| row.refund.clone())),
            }
        }
        ids
    }
}

impl Invoice {
    pub fn customer(&self) -> &Customer {
        match self {
            Self::Sale(sale) => &sale.customer,
            Self::Return(goods) => &goods.customer,
        }
    }

    pub fn at(&self) -> Time {
        match self {
            Self::Sale(sale) => sale.at,
            Self::Return(goods) => goods.at,
        }
    }

    pub fn rows(&self) -> usize {
        match self {
            Self::Sale(sale) => sale.lines.len(),
            Self::Return(goods) => goods.rows.len(),
        }
    }
}

impl Sale {
    /// What it costs. A sum that is too large is for the shop to refuse.
    pub fn total(&self) -> Money {
        let minor =
            self.lines.iter().fold(0_i64, |sum, line| sum.saturating_add(line.price.minor.saturating_mul(line.quantity.get())));
        Money::new(minor, Currency::GBP)
    }
}

/// A plan while the file is read.
#[derive(Default)]
struct Draft {
    rows: u64,
    refused: Vec<RefusedRow>,
    /// The accepted rows of each invoice, in the order of their first ones; never empty.
    invoices: Vec<Vec<Row>>,
    by_number: HashMap<String, usize>,
    /// The numbers of invoices with refused rows.
    touched: HashSet<String>,
    products: HashMap<Sku, (Option<ProductName>, Option<Money>)>,
}

impl Draft {
    fn refuse(&mut self, row: RefusedRow) {
        if row.reason.leaves_the_invoice_known() {
            self.touched.insert(row.invoice.clone());
        }
        self.refused.push(row);
    }

    fn accept(&mut self, row: Row) {
        let index = self.by_number.get(row.invoice.as_str()).copied();
        if let Some(reason) = index.and_then(|index| against(&self.invoices[index], &row)) {
            return self.refuse(row.refused(reason));
        }
        let (name, price) = self.products.entry(row.sku.clone()).or_default();
        note(&row, name, price);
        match index {
            Some(index) => self.invoices[index].push(row),
            None => {
                self.by_number.insert(row.invoice.as_str().to_owned(), self.invoices.len());
                self.invoices.push(vec![row]);
            }
        }
    }

    fn finish(self) -> Plan {
        let without_rows = self.touched.iter().filter(|number| !self.by_number.contains_key(*number)).count();
        let invoice_count = (self.invoices.len() + without_rows) as u64;
        let mut invoices: Vec<Invoice> = self.invoices.into_iter().filter_map(invoice).collect();
        // The sort is stable: invoices of one minute stay as the file has them.
        invoices.sort_by_key(Invoice::at);

        let mut users: BTreeMap<Customer, NewUser> = BTreeMap::new();
        for invoice in &invoices {
            let customer = invoice.customer();
            if !users.contains_key(customer) {
                users.extend(new_user(customer).map(|user| (customer.clone(), user)));
            }
            if let (Some(user), Invoice::Sale(_)) = (users.get_mut(customer), invoice) {
                user.buys = true;
            }
        }
        let products = self.products.into_iter().filter_map(|(sku, (name, price))| {
            // A SKU is always fit for a name: it is shorter, and as clean.
            let name = name.or_else(|| ProductName::parse(sku.as_str()).ok())?;
            Some((sku, NewProduct { name, price }))
        });
        Plan { rows: self.rows, invoice_count, invoices, users, products: products.collect(), refused: self.refused }
    }
}

/// What speaks against one more row of an invoice that has these already.
fn against(rows: &[Row], row: &Row) -> Option<Reason> {
    let first = rows.first()?;
    if first.customer != row.customer {
        return Some(Reason::OtherCustomer { row: row.customer.to_string(), invoice: first.customer.to_string() });
    }
    (row.kind == Kind::Sale && rows.len() >= MAX_LINES).then_some(Reason::TooManyLines)
}

/// A product has its first name that says something, and the price of its first sale.
fn note(row: &Row, name: &mut Option<ProductName>, price: &mut Option<Money>) {
    if name.is_none() {
        let clean: String =
            row.description.chars().take(ProductName::MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
        *name = ProductName::parse(&clean).ok();
    }
    if price.is_none() && row.kind == Kind::Sale {
        *price = Some(row.price);
    }
}

/// Puts the rows of one invoice together; its first row says whose it is and when.
fn invoice(rows: Vec<Row>) -> Option<Invoice> {
    let Row { kind, invoice: number, customer, at, .. } = rows.first()?.clone();
    if kind == Kind::Return {
        let mut same: HashMap<u128, i64> = HashMap::new();
        let take_back = |row: Row| {
            let content = key::content(&row);
            let ordinal = same.entry(content).or_default();
            *ordinal += 1;
            let refund = key::refund(&number, content, *ordinal);
            ReturnRow { line: row.line, sku: row.sku, quantity: row.quantity, refund }
        };
        let rows = rows.into_iter().map(take_back).collect();
        return Some(Invoice::Return(Return { number, customer, at, rows }));
    }
    let line = |row: Row| SaleLine { line: row.line, sku: row.sku, quantity: row.quantity, price: row.price };
    let lines: Vec<SaleLine> = rows.into_iter().map(line).collect();
    let (place, pay) = key::sale(&number, &customer, at, &lines);
    Some(Invoice::Sale(Sale { number, customer, at, lines, place, pay }))
}

/// A user for a customer. Digits are fit for an address and a name, so there always is one.
fn new_user(customer: &Customer) -> Option<NewUser> {
    Some(NewUser {
        email: Email::parse(&customer.email()).ok()?,
        display_name: DisplayName::parse(&customer.to_string()).ok()?,
        buys: false,
        create: key::user(customer),
    })
}
