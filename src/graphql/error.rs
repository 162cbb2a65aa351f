//! Errors of requests. Refusals of commands are data and not here; these are questions that have no answer, and faults. A fault
//! is a constant text with a correlation id; what really happened is in the log, once, under that id.

use crate::query::QueryError;
use async_graphql::{Error, ErrorExtensions};
use uuid::Uuid;

/// The codes in `extensions.code`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// Sign in: there is no token.
    Unauthenticated,
    /// The question itself is wrong.
    BadUserInput,
    /// It does not exist, or is not yours.
    NotFound,
    /// The receipt's append is not visible yet, and `onTimeout` is `FAIL`.
    NotYetVisible,
    /// As much work is in hand as may be; try again.
    Busy,
    /// A part of the system is away; try again. A command may be sent again under the same id.
    Unavailable,
    /// The operation breaks a limit; the code goes on with which: `TOO_MUCH_DEPTH`, `TOO_MUCH_COST`, and so on.
    TooMuch,
    /// A bug.
    Internal,
}

impl ErrorCode {
    pub fn name(self) -> &'static str {
        match self {
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::BadUserInput => "BAD_USER_INPUT",
            Self::NotFound => "NOT_FOUND",
            Self::NotYetVisible => "NOT_YET_VISIBLE",
            Self::Busy => "BUSY",
            Self::Unavailable => "UNAVAILABLE",
            Self::TooMuch => "TOO_MUCH",
            Self::Internal => "INTERNAL",
        }
    }

    /// An error of this kind with a text for the client.
    pub fn error(self, message: impl Into<String>) -> Error {
        Error::new(message).extend_with(|_, extensions| extensions.set("code", self.name()))
    }

    /// A fault: constant text, correlation id, and the cause in the log only.
    pub fn fault(self, message: &'static str, cause: &dyn std::fmt::Display) -> Error {
        let id = Uuid::now_v7().simple().to_string(); // decides nothing
        tracing::error!(correlation_id = id, code = self.name(), %cause, "a request ended in a fault");
        Error::new(message).extend_with(|_, extensions| {
            extensions.set("code", self.name());
            extensions.set("correlationId", id.clone());
        })
    }
}

/// What a client is told when a question has no answer.
pub fn query_error(error: QueryError) -> Error {
    match &error {
        QueryError::BadInput(message) => ErrorCode::BadUserInput.error(message),
        QueryError::NotYetVisible => ErrorCode::NotYetVisible.error(error.to_string()),
        QueryError::NotFound => ErrorCode::NotFound.error(error.to_string()),
        QueryError::Unavailable(cause) => ErrorCode::Unavailable.fault("The read side is unavailable; try again.", cause),
    }
}
