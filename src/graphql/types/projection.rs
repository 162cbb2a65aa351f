//! Whether a document is as new as it can be: a parked one says so itself.

use crate::{graphql::scalars::DateTime, query::Parked};
use async_graphql::{Enum, SimpleObject};

/// Whether everything that has happened to an object is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum ProjectionState {
    /// Whatever comes next will be shown as soon as it arrives.
    Current,
    /// A newer change could not be shown. The object is right as of its version; what happened since waits, in order.
    Parked,
}

/// How far the view of an object has come.
#[derive(SimpleObject)]
pub struct Projection {
    /// Whether newer changes are held up.
    state: ProjectionState,
    /// Since when; null when nothing is held up.
    since: Option<DateTime>,
    /// Why, as a sentence for people; null when nothing is held up.
    reason: Option<&'static str>,
}

impl From<Option<Parked>> for Projection {
    fn from(parked: Option<Parked>) -> Self {
        match parked {
            None => Self { state: ProjectionState::Current, since: None, reason: None },
            Some(parked) => {
                Self { state: ProjectionState::Parked, since: Some(DateTime(parked.since)), reason: Some(parked.cause.told()) }
            }
        }
    }
}
