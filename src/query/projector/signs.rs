//! Says that a projector moves, when it does: not that it is connected, and not that it was given something to do.
//!
//! A projector whose batches fail connects anew each time, for as long as it takes (see [`super::isolate`]). In between it is as
//! idle as one that has nothing to do, the more so when another has been given its queue and fails at the same events. So after
//! a failed batch idleness proves nothing, until a batch has been projected, or until it has lasted for [`PROBATION`]: then
//! somebody else has the queue and gets on with it.

use crate::{clock::Clock, health::Beat};
use std::time::{Duration, Instant};

/// Longer than another projector takes to fail at the same events, unless MongoDB is silent, of which readiness tells anyway. And
/// shorter than a part may be silent (15 s unless told otherwise), so that nobody is unready for a fault that has passed.
const PROBATION: Duration = Duration::from_secs(10);

/// The signs of life of one projector.
pub struct Signs {
    beat: Beat,
    clock: Clock,
    /// Set while the last batch has failed: since when nothing has come.
    failed: Option<Instant>,
}

impl Signs {
    pub fn new(beat: Beat, clock: Clock) -> Self {
        Self { beat, clock, failed: None }
    }

    /// A batch was projected and acknowledged.
    pub fn done(&mut self, live: bool) {
        self.failed = None;
        self.tell(live);
    }

    /// Nothing has come, and the broker was there.
    pub fn idle(&mut self, live: bool) {
        self.idle_at(live, Instant::now());
    }

    fn idle_at(&mut self, live: bool, now: Instant) {
        if self.failed.is_none_or(|since| now.saturating_duration_since(since) >= PROBATION) {
            self.failed = None;
            self.tell(live);
        }
    }

    /// A batch could not be projected and will come again, here or elsewhere.
    pub fn failed(&mut self) {
        self.failed = Some(Instant::now());
    }

    /// Readiness asks for the view that people see.
    fn tell(&self, live: bool) {
        if live {
            self.beat.beat(self.clock.now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Time;

    #[test]
    fn after_a_failed_batch_idleness_proves_nothing_for_a_while() {
        let (beat, now) = (Beat::default(), Time::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        let alive = || beat.alive(now, Duration::from_secs(1));
        let signs = || Signs::new(beat.clone(), Clock::from_fn(move || now));
        let mut failing = signs();
        failing.failed();
        let since = failing.failed.unwrap();
        failing.idle_at(true, since + PROBATION / 2);
        assert!(!alive(), "it has done nothing");
        failing.failed();
        failing.idle_at(true, since + PROBATION / 2);
        assert!(!alive(), "and failed again");
        failing.idle_at(false, since + PROBATION * 3);
        assert!(!alive(), "nobody sees what it projects");
        failing.idle(true);
        assert!(alive(), "somebody else has the queue");

        beat.beat(Time::UNIX_EPOCH);
        let mut recovering = signs();
        recovering.failed();
        recovering.done(true);
        assert!(alive());
        beat.beat(Time::UNIX_EPOCH);
        signs().idle(true);
        assert!(alive(), "nothing to do is no failure");
    }
}
