//! Values that are parsed once at the edge and are plain afterwards: ids, money, quantities, texts, addresses, and who is asking.
//!
//! Nothing here knows another module of ours or any driver. A value that exists is valid; whoever holds one need not check again.

mod address;
mod id;
mod lifecycle;
mod money;
mod quantity;
mod text;
mod viewer;

pub use address::{Address, CountryCode};
pub use id::{CommandId, EventId, LineId, OrderId, ProductId, ShipmentId, UserId};
pub use lifecycle::{LineProgress, Milestones, OrderAction, OrderStatus, blocked_by, status_of};
pub use money::{Currency, Money};
pub use quantity::Quantity;
pub use text::{DisplayName, Email, Note, ProductName, Reference, Sku};
pub use viewer::{Role, Viewer};

/// Why a value was turned away: one sentence for the person who sent it, without the value itself (it may be personal).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

impl Invalid {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// A moment in UTC with the precision that both stores keep: milliseconds.
pub type Time = time::OffsetDateTime;

/// Cuts a moment to whole milliseconds, so that what is stored, published and read back is equal.
pub fn to_millis(at: Time) -> Time {
    at.replace_nanosecond(at.nanosecond() / 1_000_000 * 1_000_000).unwrap_or(at).to_offset(time::UtcOffset::UTC)
}
