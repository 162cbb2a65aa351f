//! Errors of requests. Refusals of commands are data and not here; these are questions that have no answer, and faults. A fault
//! is a constant text with a correlation id; what really happened is in the log, once, under that id.

use crate::query::QueryError;
use async_graphql::{Error, ErrorExtensions, ServerError};
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
    /// The operation ran out of time.
    Timeout,
    /// The document cannot be parsed.
    ParseFailed,
    /// The document does not fit the schema.
    ValidationFailed,
    /// The document has no operation of this name, or several and no name was given.
    OperationResolutionFailure,
    /// This process does not know the document; send its text once.
    PersistedQueryNotFound,
    /// The hash is not that of the text.
    PersistedQueryMismatch,
    /// Only documents of the manifest are executed.
    DocumentNotTrusted,
    /// As many operations of this client, or on this socket, run as may.
    TooManyOperations,
    /// The client sends more requests than it may.
    TooManyRequests,
    /// As many sockets and streams of events of this client are open as may be.
    TooManySockets,
    /// The process has as much in hand as it may have, from whomever.
    Overloaded,
    /// The request did not arrive in time.
    RequestTimeout,
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
            Self::Timeout => "TIMEOUT",
            Self::ParseFailed => "GRAPHQL_PARSE_FAILED",
            Self::ValidationFailed => "GRAPHQL_VALIDATION_FAILED",
            Self::OperationResolutionFailure => "OPERATION_RESOLUTION_FAILURE",
            Self::PersistedQueryNotFound => "PERSISTED_QUERY_NOT_FOUND",
            Self::PersistedQueryMismatch => "PERSISTED_QUERY_MISMATCH",
            Self::DocumentNotTrusted => "DOCUMENT_NOT_TRUSTED",
            Self::TooManyOperations => "TOO_MANY_OPERATIONS",
            Self::TooManyRequests => "TOO_MANY_REQUESTS",
            Self::TooManySockets => "TOO_MANY_SOCKETS",
            Self::Overloaded => "OVERLOADED",
            Self::RequestTimeout => "REQUEST_TIMEOUT",
            Self::Internal => "INTERNAL",
        }
    }

    /// An error of this kind with a text for the client.
    pub fn error(self, message: impl Into<String>) -> Error {
        Error::new(message).extend_with(|_, extensions| extensions.set("code", self.name()))
    }

    /// The same, as an error of a whole request.
    pub fn server_error(self, message: impl Into<String>) -> ServerError {
        self.put_on(ServerError::new(message, None))
    }

    /// Gives an error of the library this code, if it has none.
    pub fn put_on(self, mut error: ServerError) -> ServerError {
        let extensions = error.extensions.get_or_insert_default();
        if extensions.get("code").is_none() {
            extensions.set("code", self.name());
        }
        error
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
