//! Somebody new: a customer, or staff.

use super::{
    Command, Refusal,
    use_case::{Decide, May},
    work::{Needs, Work, Written},
};
use crate::{
    domain::user::{self, UserCommand},
    value::{DisplayName, Email, Role, UserId},
};
use serde::Serialize;
use uuid::Uuid;

#[derive(Debug, Clone, Serialize)]
pub struct CreateUser {
    #[serde(skip)]
    pub user_id: UserId,
    pub email: Email,
    pub display_name: DisplayName,
    pub role: Role,
}

impl Decide for CreateUser {
    fn needs(&self, needs: &mut Needs) {
        needs.emails.insert(self.email.folded());
    }

    fn who(&self) -> May {
        May::Staff("Only staff create users.")
    }

    fn decide(&self, command: &Command, work: &mut Work) -> Result<Written, Refusal> {
        if self.role != Role::Customer && command.actor.role != Role::Admin {
            return Err(Refusal::forbidden("Only an administrator creates staff.").at("role"));
        }
        let event = user::decide(
            work.users.get(&self.user_id),
            UserCommand::Create { email: self.email.clone(), display_name: self.display_name.clone(), role: self.role },
        )?;
        work.take_email(&self.email, self.user_id)?;
        Ok(work.record_user(command, self.user_id, event))
    }

    fn lane(&self) -> Uuid {
        self.user_id.0
    }
}
