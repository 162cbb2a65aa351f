//! Why somebody is not let in, and what they are told: by a status with Retry-After, by an error with the same in its extensions,
//! and on a socket by a close.

use crate::{
    graphql::ErrorCode,
    http::{answer, negotiate::Form},
};
use async_graphql::ServerError;
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use std::time::Duration;

/// Nothing that is refused here has been carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The client sends too much; after this time there is room for one more.
    Requests(Duration),
    /// As many operations of the client run as may.
    Operations,
    /// As many sockets of the client are open as may be.
    Sockets,
    /// As many connections from this address are open as may be.
    Connections,
    /// The process is full; of what, only the metrics tell.
    Overloaded(&'static str),
}

impl Refusal {
    /// Counts it.
    pub fn counted(self) -> Self {
        let reason = match self {
            Self::Requests(_) => "client_requests",
            Self::Operations => "client_operations",
            Self::Sockets => "client_sockets",
            Self::Connections => "client_connections",
            Self::Overloaded(what) => what,
        };
        metrics::counter!("orderflow_refused_total", "reason" => reason).increment(1);
        self
    }

    fn code(self) -> ErrorCode {
        match self {
            Self::Requests(_) | Self::Connections => ErrorCode::TooManyRequests,
            Self::Operations => ErrorCode::TooManyOperations,
            Self::Sockets => ErrorCode::TooManySockets,
            Self::Overloaded(_) => ErrorCode::Overloaded,
        }
    }

    pub fn message(self) -> &'static str {
        match self {
            Self::Requests(_) => "You send more requests than one client may; wait a little.",
            Self::Operations => "As many of your operations run as one client may have; wait until one has ended.",
            Self::Sockets => "As many of your sockets and event streams are open as one client may have; close one.",
            Self::Connections => "As many connections from your address are open as may be; close one.",
            Self::Overloaded(_) => "The server has as much in hand as it may have; try again.",
        }
    }

    /// Whole seconds, so never less than one.
    fn retry_after(self) -> u64 {
        match self {
            Self::Requests(wait) => wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1),
            _ => 1,
        }
    }

    pub fn error(self) -> ServerError {
        let mut error = self.code().server_error(self.message());
        error.extensions.get_or_insert_default().set("retryAfter", self.retry_after());
        error
    }

    pub fn answer(self, form: Form) -> Response {
        let status = match self {
            Self::Overloaded(_) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::TOO_MANY_REQUESTS,
        };
        let mut response = answer::refused(form, status, vec![self.error()]);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(self.retry_after()));
        response
    }
}
