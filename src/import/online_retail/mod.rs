//! Files of the shape of the UCI "Online Retail" data (Chen, D., 2015, doi 10.24432/C5BW33): the rows of a wholesaler's invoices.
//!
//! The path of a row: `file` cuts the bytes into records, `row` reads one and checks it, `plan` puts accepted rows together to
//! invoices in the order of their dates, `key` gives every command an id that follows from its content, `shop` sees to users,
//! products and stock, `till` sells and takes back, one customer's invoices in order, and `report` says what became of every row.
//! All up to the plan is pure and knows no shop; whatever stops a run, the next one finds by the ids what is done and goes on
//! behind it.
//!
//! Two things are not done on purpose. A refused row has no effect on anything but the report: neither its date, nor its
//! customer, nor its description counts. And no row is mended: what does not say clearly what happened is refused.

mod file;
mod key;
mod plan;
mod reason;
mod report;
mod row;
mod run;
mod shop;
mod till;

#[cfg(test)]
mod tests;

pub use reason::{Reason, RefusedRow};
pub use report::{Report, Unpaid};
pub use run::run;
