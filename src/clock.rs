//! The ports for time and for new ids. Whoever decides is handed them; nobody asks the operating system in passing.

use crate::value::{Time, to_millis};
use std::{fmt, sync::Arc};
use uuid::Uuid;

/// Tells the time, to the millisecond, in UTC.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Time + Send + Sync>);

impl Clock {
    /// The machine's clock. A debug build can be told by a file how many milliseconds it goes wrong, so that the chaos suite can
    /// step it while the process runs.
    pub fn system() -> Self {
        #[cfg(debug_assertions)]
        if let Some(file) = std::env::var_os("ORDERFLOW_CLOCK_OFFSET_FILE") {
            return Self(Arc::new(move || Time::now_utc() + wrong_by(&file)));
        }
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

/// What the file says now; nothing when there is none.
#[cfg(debug_assertions)]
fn wrong_by(file: &std::ffi::OsStr) -> time::Duration {
    let told = std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok());
    time::Duration::milliseconds(told.unwrap_or_default())
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
