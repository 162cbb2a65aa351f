//! A user gets another name or address. Their orders on the read side follow.

use super::{
    Command, Refusal,
    use_case::{Decide, May},
    work::{Needs, Work, Written},
};
use crate::{
    domain::user::{self, UserCommand},
    value::{DisplayName, Email, UserId},
};
use serde::Serialize;
use uuid::Uuid;

#[derive(Debug, Clone, Serialize)]
pub struct UpdateUserProfile {
    pub user_id: UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_version: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<DisplayName>,
}

impl Decide for UpdateUserProfile {
    fn needs(&self, needs: &mut Needs) {
        needs.users_to_change.insert(self.user_id);
        needs.emails.extend(self.email.as_ref().map(Email::folded));
    }

    fn who(&self) -> May {
        May::User(self.user_id, "userId", "This is somebody else's profile.")
    }

    fn decide(&self, command: &Command, work: &mut Work) -> Result<Written, Refusal> {
        let event = user::decide(
            work.users.get(&self.user_id),
            UserCommand::UpdateProfile {
                expected_version: self.expected_version,
                email: self.email.clone(),
                display_name: self.display_name.clone(),
            },
        )?;
        if let Some(email) = &self.email {
            work.take_email(email, self.user_id)?;
        }
        Ok(work.record_user(command, self.user_id, event))
    }

    fn lane(&self) -> Uuid {
        self.user_id.0
    }
}
