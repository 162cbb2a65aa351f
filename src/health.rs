//! Signs of life: every moving part beats when it has really moved, and readiness asks when each last did.

use crate::value::Time;
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

/// How often a part beats that has nothing to do: several times within the shortest bound that readiness may be given, which is
/// a second.
pub const PULSE: Duration = Duration::from_millis(300);

/// The pulse of one part, to the millisecond. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Beat(Arc<AtomicI64>);

impl Beat {
    /// Says: at this moment I have done, or looked for, my work and nothing was wrong.
    pub fn beat(&self, now: Time) {
        self.0.store(millis(now), Ordering::Relaxed);
    }

    /// Whether the last beat is younger than `bound`; a part that never beat is not alive.
    pub fn alive(&self, now: Time, bound: Duration) -> bool {
        let age = millis(now).saturating_sub(self.0.load(Ordering::Relaxed));
        age <= i64::try_from(bound.as_millis()).unwrap_or(i64::MAX)
    }
}

fn millis(time: Time) -> i64 {
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Beat, PULSE, Time};
    use std::time::Duration;

    #[test]
    fn a_part_is_alive_for_exactly_as_long_as_it_may_be_silent() {
        // Almost a second after a full one: whole seconds would count it as one more than it is.
        let start = Time::UNIX_EPOCH + Duration::from_millis(1_700_000_000_990);
        let beat = Beat::default();
        let bound = Duration::from_secs(1);
        assert!(!beat.alive(start, bound), "it never beat");
        beat.beat(start);
        assert!(beat.alive(start + PULSE, bound));
        assert!(beat.alive(start + bound, bound));
        assert!(!beat.alive(start + Duration::from_millis(1_001), bound));
    }
}
