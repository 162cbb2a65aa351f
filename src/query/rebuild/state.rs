//! Whether the queues of a generation are well. One try that is not answered says little: a line can be slow for a moment, and
//! a broker too. So what a generation is accused of is weighed against what another one's queues did at the same time.

use super::RebuildError;
use crate::bus::{Probe, Queues};

/// How often queues are tried that take nothing.
const TRIES: usize = 3;

/// How the queues of a generation are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Well,
    /// One is missing, or took nothing twice, while those of another generation did.
    Broken,
    /// Those of the other took nothing either: the line or the whole broker is not well.
    Unknown,
}

/// How the queues of a generation are, told from those of the `other`.
pub(super) async fn of(generation: i32, other: i32, queues: &Queues) -> Result<State, RebuildError> {
    let mut evidence = Evidence::default();
    loop {
        let own = queues.probe(generation).await?;
        if let Some(state) = at_once(&own) {
            return Ok(state);
        }
        if let Some(state) = evidence.add(&queues.probe(other).await?) {
            return Ok(state);
        }
    }
}

/// What a try says by itself: queues that took something are well, and one that is missing stays so.
fn at_once(own: &Probe) -> Option<State> {
    match (own.deaf.is_empty(), own.missing.is_empty()) {
        (true, true) => Some(State::Well),
        (true, false) => Some(State::Broken),
        (false, _) => None,
    }
}

/// Tries that the queues in question did not answer.
#[derive(Debug, Default)]
struct Evidence {
    tries: usize,
    /// Of them those that the other generation's queues did answer.
    alone: usize,
}

impl Evidence {
    /// Adds what the other generation's queues did when those in question took nothing; what it says all in all, if it is enough.
    fn add(&mut self, other: &Probe) -> Option<State> {
        self.tries += 1;
        self.alone += usize::from(other.deaf.is_empty());
        if self.alone == 2 {
            return Some(State::Broken);
        }
        (self.tries == TRIES).then_some(State::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes() -> Probe {
        Probe::default()
    }

    fn deaf() -> Probe {
        Probe { deaf: vec!["orderflow.1.events-0".to_owned()], missing: Vec::new() }
    }

    fn all_in_all(others: &[Probe]) -> Option<State> {
        let mut evidence = Evidence::default();
        let (last, before) = others.split_last().expect("at least one try");
        for other in before {
            assert_eq!(evidence.add(other), None, "not enough yet");
        }
        evidence.add(last)
    }

    #[test]
    fn queues_that_take_are_well_and_a_missing_one_is_broken_whatever_others_do() {
        let missing = Probe { deaf: Vec::new(), missing: vec!["orderflow.1.events-0".to_owned()] };
        assert_eq!(at_once(&takes()), Some(State::Well));
        assert_eq!(at_once(&missing), Some(State::Broken));
        assert_eq!(at_once(&deaf()), None, "a line may be slow for a moment: chaos, seed 411");
        assert_eq!(at_once(&Probe { missing: missing.missing, ..deaf() }), None);
    }

    #[test]
    fn queues_that_take_nothing_twice_while_others_do_are_broken() {
        assert_eq!(all_in_all(&[takes()]), None);
        assert_eq!(all_in_all(&[takes(), takes()]), Some(State::Broken));
        assert_eq!(all_in_all(&[deaf(), takes(), takes()]), Some(State::Broken));
    }

    #[test]
    fn nobody_is_accused_while_nobody_answers() {
        assert_eq!(all_in_all(&[deaf(), deaf(), deaf()]), Some(State::Unknown));
        assert_eq!(all_in_all(&[deaf(), takes(), deaf()]), Some(State::Unknown));
    }
}
