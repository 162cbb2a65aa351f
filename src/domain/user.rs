//! A user: who they are, how they are called, what they may do.

use super::{Refusal, expect_version};
use crate::{
    event::UserEvent,
    value::{DisplayName, Email, Role},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub version: i64,
    pub email: Email,
    pub display_name: DisplayName,
    pub role: Role,
}

#[derive(Debug, Clone)]
pub enum UserCommand {
    Create { email: Email, display_name: DisplayName, role: Role },
    UpdateProfile { expected_version: Option<i64>, email: Option<Email>, display_name: Option<DisplayName> },
}

/// # Errors
/// The refusal, when the rules say no. That an address is taken is for the store to know.
pub fn decide(state: Option<&User>, command: UserCommand) -> Result<UserEvent, Refusal> {
    match (state, command) {
        (None, UserCommand::Create { email, display_name, role }) => Ok(UserEvent::Created { email, display_name, role }),
        (Some(_), UserCommand::Create { .. }) => Err(Refusal::invalid("This user exists already.")),
        (None, UserCommand::UpdateProfile { .. }) => Err(Refusal::not_found("user").at("userId")),
        (Some(user), UserCommand::UpdateProfile { expected_version, email, display_name }) => {
            expect_version(expected_version, user.version)?;
            if email.is_none() && display_name.is_none() {
                return Err(Refusal::invalid("Nothing to change: give an email or a displayName."));
            }
            Ok(UserEvent::ProfileUpdated { email, display_name })
        }
    }
}

/// The next state. Events that cannot follow leave the state as it is.
pub fn evolve(state: Option<User>, event: &UserEvent) -> Option<User> {
    match (state, event) {
        (_, UserEvent::Created { email, display_name, role }) => {
            Some(User { version: 1, email: email.clone(), display_name: display_name.clone(), role: *role })
        }
        (Some(user), UserEvent::ProfileUpdated { email, display_name }) => Some(User {
            version: user.version + 1,
            email: email.clone().unwrap_or(user.email),
            display_name: display_name.clone().unwrap_or(user.display_name),
            role: user.role,
        }),
        (None, UserEvent::ProfileUpdated { .. }) => None,
    }
}
