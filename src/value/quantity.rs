//! How many of something: at least one.

use super::Invalid;
use serde::{Deserialize, Serialize};

/// A count of units, 1 to [`Quantity::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Quantity(u32);

impl Quantity {
    /// The most units in one line, shipment or refund.
    pub const MAX: i64 = 1_000_000;

    pub fn get(self) -> i64 {
        i64::from(self.0)
    }
}

impl TryFrom<i64> for Quantity {
    type Error = Invalid;

    fn try_from(count: i64) -> Result<Self, Invalid> {
        u32::try_from(count)
            .ok()
            .filter(|n| (1..=Self::MAX).contains(&i64::from(*n)))
            .map(Self)
            .ok_or_else(|| Invalid::new("a quantity is a whole number from 1 to 1000000"))
    }
}

impl From<Quantity> for i64 {
    fn from(quantity: Quantity) -> i64 {
        quantity.get()
    }
}
