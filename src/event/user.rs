//! Facts about users.

use super::kinds;
use crate::value::{DisplayName, Email, Role};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum UserEvent {
    #[serde(rename = "orderflow.user.created.v1")]
    Created { email: Email, display_name: DisplayName, role: Role },
    /// Only what changed is present.
    #[serde(rename = "orderflow.user.profile_updated.v1")]
    ProfileUpdated {
        #[serde(skip_serializing_if = "Option::is_none", default)]
        email: Option<Email>,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        display_name: Option<DisplayName>,
    },
}

kinds!(UserEvent {
    Created => "orderflow.user.created.v1",
    ProfileUpdated => "orderflow.user.profile_updated.v1",
});
