//! The ports for time and for new ids. Whoever decides is handed them; nobody asks the operating system in passing.

use crate::value::{Time, to_millis};
use std::{fmt, sync::Arc};
use uuid::Uuid;

/// Tells the time, to the millisecond, in UTC.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Time + Send + Sync>);

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Arc::new(Time::now_utc))
    }

    /// A clock of the caller's making, for tests.
    pub fn from_fn(now: impl Fn() -> Time + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub fn now(&self) -> Time {
        to_millis((self.0)())
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// Makes new ids.
#[derive(Clone)]
pub struct Ids(Arc<dyn Fn() -> Uuid + Send + Sync>);

impl Ids {
    /// UUIDv7: they sort by age, which keeps both stores' indexes dense.
    pub fn system() -> Self {
        Self(Arc::new(Uuid::now_v7))
    }

    /// Ids of the caller's making, for tests and for imports that derive them from content.
    pub fn from_fn(next: impl Fn() -> Uuid + Send + Sync + 'static) -> Self {
        Self(Arc::new(next))
    }

    pub fn next(&self) -> Uuid {
        (self.0)()
    }
}

impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ids")
    }
}
