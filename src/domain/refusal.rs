//! Refusals: the ways in which the shop says no. They are data for the client, never errors of the server.

use serde::{Deserialize, Serialize};

/// The name of a refusal; clients program against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    InvalidInput,
    NotFound,
    Forbidden,
    Conflict,
    CommandIdReused,
    EmailTaken,
    SkuTaken,
    EmptyOrder,
    ProductUnavailable,
    InsufficientStock,
    CurrencyMismatch,
    WrongStatus,
    AmountMismatch,
    QuantityExceeded,
}

/// One reason why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub code: Code,
    /// A sentence for a person.
    pub message: String,
    /// Where in the input the reason lies, from `input` down; empty when it lies nowhere in particular.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub path: Vec<String>,
    /// With [`Code::Conflict`]: the version that is there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub current_version: Option<i64>,
}

impl Refusal {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), path: Vec::new(), current_version: None }
    }

    /// The same refusal, pointing at a part of the input: `at("lines.0.quantity")`.
    #[must_use]
    pub fn at(mut self, path: &str) -> Self {
        self.path = std::iter::once("input").chain(path.split('.')).map(str::to_owned).collect();
        self
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidInput, message)
    }

    pub fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("There is no such {what}."))
    }

    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(Code::Forbidden, message)
    }

    pub fn conflict(current: i64) -> Self {
        Self {
            current_version: Some(current),
            ..Self::new(
                Code::Conflict,
                format!("It has changed meanwhile: its version is {current} now. Read it again and decide anew."),
            )
            .at("expectedVersion")
        }
    }
}
