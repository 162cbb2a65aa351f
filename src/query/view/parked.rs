//! That a document stands still, and why: as much of it as its readers need.

use super::date;
use crate::value::Time;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Why a stream stands still. Operators group by it; clients are told [`Cause::told`] and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Cause {
    /// The type of the event, or its version, is unknown to this binary: a newer one can read it.
    UnknownType,
    /// The data of the event does not have the shape of its type.
    Malformed,
    /// The event does not follow from the document that is there.
    Refused,
    /// The document cannot be loaded, or what becomes of it cannot be stored.
    Unwritable,
    /// A message that does not even say which stream it belongs to.
    Unreadable,
    /// Nothing is wrong but that an earlier event has not come yet.
    Early,
    /// As before, and the room was full: what comes next is in the event log alone.
    Missing,
}

impl Cause {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 7] =
        [Self::UnknownType, Self::Malformed, Self::Refused, Self::Unwritable, Self::Unreadable, Self::Early, Self::Missing];

    /// The name that is stored, listed, and a label of the metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::UnknownType => "UNKNOWN_TYPE",
            Self::Malformed => "MALFORMED",
            Self::Refused => "REFUSED",
            Self::Unwritable => "UNWRITABLE",
            Self::Unreadable => "UNREADABLE",
            Self::Early => "EARLY",
            Self::Missing => "MISSING",
        }
    }

    /// Whether something is wrong with an event, so that waiting alone does not help.
    pub fn is_poison(self) -> bool {
        !matches!(self, Self::Early | Self::Missing)
    }

    /// What an operator should do.
    pub fn advice(self) -> &'static str {
        match self {
            Self::UnknownType => {
                "A newer orderflow wrote it. Upgrade the projectors: they retry it when they start. Nothing else is needed."
            }
            Self::Malformed => {
                "Compare it with the event log: `parked retry --from-log` sends the log's own event again, which helps if only \
                 the message was damaged. If the log has it so, mend the code that reads it, then `parked retry`; or, as the \
                 last resort, `parked discard`."
            }
            Self::Refused => {
                "The event contradicts the document: one of the two is wrong. Look at the order's history and the event log, \
                 mend the fold or the document, then `parked retry`; or, as the last resort, `parked discard`."
            }
            Self::Unwritable => {
                "The document cannot be loaded or stored; the cause says what MongoDB or the fold answered. Mend that, then \
                 `parked retry`."
            }
            Self::Unreadable => {
                "Nobody of ours sends this. Find out who publishes to orderflow.events, then `parked discard` it. If an event \
                 of ours was damaged beyond recognition, its aggregate is listed as EARLY and `parked retry` takes it from \
                 the log."
            }
            Self::Early => {
                "It goes on by itself when the event before it comes. If that is long overdue, `parked retry` goes on with \
                 what is here and sends what is not again from the event log."
            }
            Self::Missing => "`parked retry` sends the events that were not kept again from the event log.",
        }
    }

    /// The same for a client: a short text without anything internal.
    pub fn told(self) -> &'static str {
        match self {
            Self::UnknownType => "A newer change cannot be shown until this service has been upgraded.",
            _ => "A newer change could not be shown yet and is being looked into.",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl FromStr for Cause {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|cause| cause.code().eq_ignore_ascii_case(text)).ok_or_else(|| {
            let codes: Vec<_> = Self::ALL.iter().map(|cause| cause.code()).collect();
            format!("a cause is one of {}", codes.join(", "))
        })
    }
}

/// A mark on a document whose stream is parked: it is whole and right as of its version, and newer versions wait. It is written
/// beside the documents' own fields and is no part of any fold, so whoever compares documents leaves it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    #[serde(with = "date")]
    pub since: Time,
    pub cause: Cause,
}
