//! Collects everything that is wrong with an input, so that a person is told all at once.

use crate::{command::Refusal, value::Invalid};
use async_graphql::ID;
use std::str::FromStr;

/// What has been found wrong so far.
#[derive(Debug, Default)]
pub struct Check(Vec<Refusal>);

impl Check {
    /// Takes a parsed value, or notes what is wrong at `path`.
    pub fn take<T>(&mut self, path: &str, parsed: Result<T, Invalid>) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(invalid) => {
                self.note(path, invalid.0);
                None
            }
        }
    }

    /// As [`Self::take`], for what need not be there.
    pub fn optional<T>(&mut self, path: &str, parsed: Option<Result<T, Invalid>>) -> Option<T> {
        parsed.and_then(|parsed| self.take(path, parsed))
    }

    /// Parses an id. A malformed one names nothing that exists, but saying what is wrong with it helps more than "not found".
    pub fn id<T: FromStr<Err = Invalid>>(&mut self, path: &str, id: &ID) -> Option<T> {
        self.take(path, id.parse())
    }

    pub fn note(&mut self, path: &str, message: impl Into<String>) {
        self.0.push(Refusal::invalid(message).at(path));
    }

    /// Nothing was wrong.
    pub fn is_clean(&self) -> bool {
        self.0.is_empty()
    }

    pub fn into_errors(self) -> Vec<Refusal> {
        self.0
    }
}
