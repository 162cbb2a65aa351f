//! Commands on users.

use super::{Check, Writer};
use crate::{
    clock::Ids,
    command::{CreateUser, UpdateUserProfile, UseCase},
    graphql::{payload::UserPayload, types::UserRole},
    value::{DisplayName, Email, UserId},
};
use async_graphql::{Context, ID, InputObject, Object, Result};

/// A new user.
#[derive(InputObject)]
pub struct CreateUserInput {
    /// Made by the client; the same id again does nothing new and answers the same.
    command_id: Option<ID>,
    /// The address for mail; no two users share one.
    email: String,
    /// What the user is called, 1 to 200 characters.
    display_name: String,
    /// What the user may do. Only an administrator makes others than customers.
    #[graphql(default_with = "UserRole::Customer")]
    role: UserRole,
}

impl CreateUserInput {
    fn parse(self, ids: &Ids) -> Result<UseCase, Check> {
        let mut check = Check::default();
        let email = check.take("email", Email::parse(&self.email));
        let display_name = check.take("displayName", DisplayName::parse(&self.display_name));
        let (Some(email), Some(display_name)) = (email, display_name) else { return Err(check) };
        Ok(CreateUser { user_id: UserId(ids.next()), email, display_name, role: self.role.into() }.into())
    }
}

/// Another name or address for a user; what is left out stays.
#[derive(InputObject)]
pub struct UpdateUserProfileInput {
    /// Made by the client; the same id again does nothing new and answers the same.
    command_id: Option<ID>,
    /// The user.
    user_id: ID,
    /// The version that the client has seen; another one there is refused as CONFLICT.
    expected_version: Option<i32>,
    /// The new address for mail.
    email: Option<String>,
    /// The new name, 1 to 200 characters.
    display_name: Option<String>,
}

impl UpdateUserProfileInput {
    fn parse(self) -> Result<UseCase, Check> {
        let mut check = Check::default();
        let user_id = check.id("userId", &self.user_id);
        let email = check.optional("email", self.email.map(|email| Email::parse(&email)));
        let display_name = check.optional("displayName", self.display_name.map(|name| DisplayName::parse(&name)));
        let (Some(user_id), true) = (user_id, check.is_clean()) else { return Err(check) };
        Ok(UpdateUserProfile { user_id, expected_version: self.expected_version.map(i64::from), email, display_name }.into())
    }
}

#[derive(Default)]
pub struct UserMutation;

#[Object]
impl UserMutation {
    /// Adds a user. For staff; adding staff is for administrators.
    async fn create_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The new user.")] input: CreateUserInput,
    ) -> Result<UserPayload> {
        let id = input.command_id.clone();
        let use_case = input.parse(&ctx.data::<Writer>()?.ids);
        Writer::send(ctx, id, use_case).await.map(UserPayload)
    }

    /// Changes a user's name or address. For the user and for staff. All orders of the user follow.
    async fn update_user_profile(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What changes.")] input: UpdateUserProfileInput,
    ) -> Result<UserPayload> {
        let id = input.command_id.clone();
        Writer::send(ctx, id, input.parse()).await.map(UserPayload)
    }
}
