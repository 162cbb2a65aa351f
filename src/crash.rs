//! Crash points and planted bugs: how a debug build proves that dying anywhere loses nothing, and that the proof would notice
//! if it did. A release build has neither; what is left of this module there are empty functions.
//!
//! - `ORDERFLOW_CRASH_AT=after-commit` lets the process abort the first time it comes to that point, `after-commit:3` the third.
//! - `ORDERFLOW_CRASH_SEED=7` chooses a point and a count from the seed and prints them.
//! - `ORDERFLOW_PLANTED_BUG=ack-before-effect` makes one classic mistake, so that the chaos suite can show that it turns red.
//!
//! Aborting is as sudden as `kill -9`: nothing is dropped, flushed or said goodbye to.

/// Every point at which a process can be made to die, in the order of the path that an event takes.
pub const POINTS: &[&str] = &[
    // A group of commands: all is written and not committed; committed and nobody told; everybody told.
    "before-commit",
    "after-commit",
    "after-reply",
    // The relay: events are taken and not sent; sent and not confirmed; confirmed and still in the outbox; deleted and not
    // committed; gone from the outbox.
    "before-publish",
    "after-publish",
    "after-confirm",
    "before-outbox-commit",
    "after-outbox-commit",
    // The projector: a batch is here and nothing done; a part of a long renaming is done; one collection of a batch is written
    // (its next comes with the next count); all are written and not committed; committed and not acknowledged; acknowledged.
    "batch-taken",
    "after-rename-chunk",
    "between-collections",
    "before-view-commit",
    "before-ack",
    "after-ack",
    // An operator: what was asked for is done in the live read model, and not in those beside it.
    "between-generations",
    // Migration: it is our turn and nothing done; PostgreSQL is done and keeps the turn; MongoDB is next; some of its collections
    // are made; some of their indexes.
    "migration-turn",
    "migration-postgres",
    "migration-between",
    "migration-collections",
    "migration-indexes",
    // Shutdown: the drain has begun; every task is done.
    "shutdown-draining",
    "shutdown-drained",
    // Building a read model: it is registered and nothing is made; its collections are made; its queues, and nothing is
    // replayed; a batch of the log is folded (the next one with the next count); all of them, and indexes are missing; the
    // indexes are made, and nobody may follow its queues yet; it is ready.
    "rebuild-registered",
    "rebuild-collections",
    "rebuild-queues",
    "rebuild-replaying",
    "rebuild-replayed",
    "rebuild-indexed",
    "rebuild-ready",
    // Making it live, or the one before it again: it has caught up; it is compared; the places of orders are taken over; a part
    // of those that changed meanwhile; relays are held and nothing is at rest; all is at rest; numbers are left out in the change
    // log, where the old one has not seen everything; all of the switch is written and not committed; it is committed and nobody
    // has waited; everybody has seen it and relays are still held.
    "switch-caught-up",
    "switch-compared",
    "switch-places",
    "switch-late-places",
    "switch-paused",
    "switch-at-rest",
    "switch-told",
    "switch-before-commit",
    "switch-committed",
    "switch-seen",
    // Removing one: it is struck off the list and all of it is there; its queues are gone; its guards; one of its collections
    // (its next comes with the next count).
    "drop-struck",
    "drop-queues",
    "drop-guards",
    "drop-collections",
    // Fulfilling an administrator's wish: it is done, and the wish is still open.
    "wish-fulfilled",
];

/// Mistakes that others made, one at a time: what is acknowledged before it has had its effect, forgotten before it is confirmed,
/// passed by a cursor, counted twice, told twice.
pub const BUGS: &[&str] =
    &["ack-before-effect", "mark-before-confirm", "cursor-that-skips", "counter-without-guard", "resume-that-repeats"];

pub use mode::{arm, behind_cursor, move_cursor, planted, point};

#[cfg(debug_assertions)]
mod mode {
    use super::{BUGS, POINTS};
    use rand::{Rng, SeedableRng, rngs::StdRng};
    use std::{
        env,
        sync::{
            OnceLock,
            atomic::{AtomicI64, AtomicU64, Ordering},
        },
    };

    /// A seed never lets a process live longer than this many passes of its point.
    const LONGEST: u64 = 20;

    #[derive(Debug)]
    struct Armed {
        point: &'static str,
        /// Passes that are left.
        left: AtomicU64,
    }

    static ARMED: OnceLock<Armed> = OnceLock::new();
    static PLANTED: OnceLock<&'static str> = OnceLock::new();

    /// Reads the environment, once, at the start of the process, and prints what it has chosen.
    ///
    /// # Errors
    /// A name is unknown, or a number is none: a misspelt proof must not pass for one.
    pub fn arm() -> Result<(), String> {
        let told = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let chosen = match (told("ORDERFLOW_CRASH_AT"), told("ORDERFLOW_CRASH_SEED")) {
            (Some(at), _) => Some(by_name(&at)?),
            (None, Some(seed)) => Some(by_seed(seed.parse().map_err(|_| "ORDERFLOW_CRASH_SEED: not a whole number")?)),
            (None, None) => None,
        };
        if let Some((point, nth)) = chosen {
            eprintln!("crash: armed at {point}:{nth}");
            let _ = ARMED.set(Armed { point, left: AtomicU64::new(nth) });
        }
        if let Some(bug) = told("ORDERFLOW_PLANTED_BUG") {
            let bug = known(BUGS, &bug).ok_or_else(|| format!("ORDERFLOW_PLANTED_BUG: one of {}", BUGS.join(", ")))?;
            eprintln!("crash: planted {bug}");
            let _ = PLANTED.set(bug);
        }
        Ok(())
    }

    fn known(names: &[&'static str], name: &str) -> Option<&'static str> {
        names.iter().find(|known| **known == name).copied()
    }

    pub(super) fn by_name(at: &str) -> Result<(&'static str, u64), String> {
        let (name, nth) = at.split_once(':').unwrap_or((at, "1"));
        let point = known(POINTS, name).ok_or_else(|| format!("ORDERFLOW_CRASH_AT: one of {}", POINTS.join(", ")))?;
        let nth = nth.parse().ok().filter(|nth| *nth > 0);
        Ok((point, nth.ok_or("ORDERFLOW_CRASH_AT: the count after the colon is a whole number from 1")?))
    }

    pub(super) fn by_seed(seed: u64) -> (&'static str, u64) {
        let mut chance = StdRng::seed_from_u64(seed);
        (POINTS[chance.random_range(0..POINTS.len())], chance.random_range(1..=LONGEST))
    }

    /// Dies here, if this is the point and this the pass that the process is armed with.
    pub fn point(name: &'static str) {
        if let Some(armed) = ARMED.get()
            && armed.point == name
            && armed.left.fetch_sub(1, Ordering::Relaxed) == 1
        {
            eprintln!("crash: aborted at {name}");
            std::process::abort();
        }
    }

    /// Whether this mistake is to be made.
    pub fn planted(bug: &str) -> bool {
        PLANTED.get().is_some_and(|planted| *planted == bug)
    }

    static CURSOR: AtomicI64 = AtomicI64::new(0);

    /// Those of the positions that a reader with a cursor would never have seen: it has been past them before.
    pub fn behind_cursor(positions: impl Iterator<Item = i64>) -> Vec<i64> {
        positions.filter(|position| *position <= CURSOR.load(Ordering::Relaxed)).collect()
    }

    /// Moves that cursor past the positions.
    pub fn move_cursor(positions: impl Iterator<Item = i64>) {
        CURSOR.fetch_max(positions.max().unwrap_or_default(), Ordering::Relaxed);
    }
}

#[cfg(not(debug_assertions))]
mod mode {
    /// Nothing can be armed in a release build.
    ///
    /// # Errors
    /// None; the debug build has some.
    pub fn arm() -> Result<(), String> {
        Ok(())
    }

    #[inline(always)]
    pub fn point(_: &'static str) {}

    #[inline(always)]
    pub const fn planted(_: &str) -> bool {
        false
    }

    #[inline(always)]
    pub fn behind_cursor(_: impl Iterator<Item = i64>) -> Vec<i64> {
        Vec::new()
    }

    #[inline(always)]
    pub fn move_cursor(_: impl Iterator<Item = i64>) {}
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::{POINTS, mode::by_name, mode::by_seed};

    #[test]
    fn a_point_has_a_name_and_a_count() {
        assert_eq!(by_name("after-commit").unwrap(), ("after-commit", 1));
        assert_eq!(by_name("before-ack:12").unwrap(), ("before-ack", 12));
        for wrong in ["", "after", "after-commit:", "after-commit:0", "after-commit:-1", "after-commit:x"] {
            assert!(by_name(wrong).unwrap_err().starts_with("ORDERFLOW_CRASH_AT: "), "{wrong}");
        }
    }

    #[test]
    fn a_seed_chooses_the_same_again_and_all_seeds_choose_all_points() {
        assert_eq!(by_seed(7), by_seed(7));
        let mut chosen: Vec<_> = (0..1_000).map(|seed| by_seed(seed).0).collect();
        chosen.sort_unstable();
        chosen.dedup();
        assert_eq!(chosen.len(), POINTS.len());
    }
}
