//! A user with the sum of their orders.

use super::{Parked, date};
use crate::value::{Currency, Role, Time, UserId};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserView {
    #[serde(rename = "_id")]
    pub id: UserId,
    /// Zero while only orders of the user are known, and not yet the user: such a document is not shown.
    pub version: i64,
    pub email: String,
    pub display_name: String,
    pub role: Role,
    #[serde(with = "date")]
    pub created_at: Time,
    pub summary: Summary,
    /// Set while newer versions of the user's own stream wait, see [`Parked`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub parked: Option<Parked>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    pub order_count: i64,
    pub open_order_count: i64,
    /// Paid minus refunded, in minor units, by currency, in the order of the codes.
    pub spent: Vec<(Currency, i64)>,
    #[serde(with = "date::option", default)]
    pub last_order_at: Option<Time>,
}

impl UserView {
    /// The document of a user of whom only orders are known so far.
    pub fn unknown(id: UserId) -> Self {
        Self {
            id,
            version: 0,
            email: String::new(),
            display_name: String::new(),
            role: Role::Customer,
            created_at: Time::UNIX_EPOCH,
            summary: Summary::default(),
            parked: None,
        }
    }
}
