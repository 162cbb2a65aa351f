//! Signs of life: every moving part beats when it has really moved, and readiness asks when each last did.

use crate::value::Time;
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

/// The pulse of one part. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Beat(Arc<AtomicI64>);

impl Beat {
    /// Says: at this moment I have done, or looked for, my work and nothing was wrong.
    pub fn beat(&self, now: Time) {
        self.0.store(now.unix_timestamp(), Ordering::Relaxed);
    }

    /// Whether the last beat is younger than `bound`; a part that never beat is not alive.
    pub fn alive(&self, now: Time, bound: Duration) -> bool {
        let age = now.unix_timestamp().saturating_sub(self.0.load(Ordering::Relaxed));
        age <= i64::try_from(bound.as_secs()).unwrap_or(i64::MAX)
    }
}
