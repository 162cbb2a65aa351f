//! An order, from placing to delivery or refund.

mod command;
mod decide;
mod evolve;
mod state;
mod stock;

pub use command::{OrderCommand, PlaceOrder, Wanted};
pub use decide::{MAX_EVENTS, MAX_LINES, decide, place};
pub use evolve::evolve;
pub use state::{Line, Order};
pub use stock::movements;
