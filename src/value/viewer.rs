//! Who is asking. Made from a verified token and nothing else; both sides decide what is allowed from it.

use super::UserId;
use serde::{Deserialize, Serialize};

/// What a person may do: a customer their own, staff the shop's, an administrator everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Role {
    Customer,
    Staff,
    Admin,
}

impl Role {
    /// The name used in tokens, events and the API.
    pub fn name(self) -> &'static str {
        match self {
            Role::Customer => "CUSTOMER",
            Role::Staff => "STAFF",
            Role::Admin => "ADMIN",
        }
    }
}

/// A signed-in caller.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Viewer {
    /// The `sub` claim: the scope of command ids and the `actor` of events.
    pub subject: String,
    pub role: Role,
}

impl Viewer {
    /// The user that the subject names, if it is the id of one (staff tokens need not be).
    pub fn user_id(&self) -> Option<UserId> {
        self.subject.parse().ok()
    }

    /// Staff and administrators run the shop.
    pub fn runs_the_shop(&self) -> bool {
        self.role >= Role::Staff
    }

    /// Whether this caller may see and change what belongs to `owner`.
    pub fn may_act_for(&self, owner: UserId) -> bool {
        self.runs_the_shop() || self.user_id() == Some(owner)
    }
}
