//! The documents of the read model: one answers one screen, and nothing is joined when it is read.

mod change;
pub(crate) mod date;
mod order;
mod parked;
mod product;
mod sales;
mod search;
mod user;

pub use change::{Before, Change, ChangeId};
pub use order::{CustomerView, EventKind, EventView, LineView, OrderView, ShipmentView};
pub use parked::{Cause, Parked};
pub use product::ProductView;
pub use sales::{Contribution, hour_of};
pub use search::{prefix_range, terms, words};
pub use user::{Summary, UserView};
