//! What to believe of a difference while the shop goes on.
//!
//! Everything suspicious is looked at again, with fresh documents and a fresh log. What is wrong twice in the same way is wrong:
//! folds are compared at the versions that documents have, so nothing that is on its way can make it look so. What is behind is
//! behind the heads of the first look; what has come since is not waited for. It stops being behind when it gets there. It is a
//! difference when its next event is neither in the outbox, nor parked, nor, for some seconds since all queues were seen empty,
//! in the hands of a projector: then it has been lost on the way. When the patience is over before that can be said, it is
//! unsettled.

use super::{Report, Verifier, VerifyError, scene::Found};
use crate::{
    bus::{Backlog, Queues},
    command::Head,
    event::Stream,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};
use uuid::Uuid;

/// The most keys under suspicion at once; then they are settled before the walk goes on.
const MOST: usize = 2_000;

/// The most lost orders that the comparison of sales makes allowance for.
const MOST_LOST: usize = 1_000;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// How long a projector may hold what it has been given: a batch is written within a fraction of this.
const IN_HAND: Duration = Duration::from_secs(3);

/// Keys looked at together again.
const TOGETHER: usize = 50;

/// What is under suspicion, and how patiently it is looked at.
pub(super) struct Settling {
    suspects: BTreeMap<Uuid, Suspect>,
    patience: Duration,
    /// When all queues were seen empty, in order.
    empty: Vec<Instant>,
    lost: BTreeSet<Stream>,
}

struct Suspect {
    found: Found,
    /// Whether it has been seen twice, so that what is wrong is.
    confirmed: bool,
    /// Since when nothing of what is behind is in the outbox.
    published: Option<Instant>,
}

impl Settling {
    pub fn new(patience: Duration) -> Self {
        Self { suspects: BTreeMap::new(), patience, empty: Vec::new(), lost: BTreeSet::new() }
    }

    pub fn suspect(&mut self, found: BTreeMap<Uuid, Found>) {
        let suspect = |found| Suspect { found, confirmed: false, published: None };
        self.suspects.extend(found.into_iter().filter(|(_, found)| !found.is_empty()).map(|(key, found)| (key, suspect(found))));
    }

    pub fn is_full(&self) -> bool {
        self.suspects.len() >= MOST
    }

    /// Orders that will not get where the log is, at most 1,000 of them.
    pub fn lost(&self) -> &BTreeSet<Stream> {
        &self.lost
    }

    fn lose(&mut self, found: &Found) {
        let room = MOST_LOST.saturating_sub(self.lost.len());
        let orders = found.behind.keys().filter(|stream| matches!(stream, Stream::Order(_)));
        self.lost.extend(orders.take(room));
    }

    /// Whether all queues have been empty since, long enough ago for a projector to have done what it had in hand.
    fn is_drained(&self, published: Option<Instant>) -> bool {
        let Some(published) = published else { return false };
        let first = self.empty.partition_point(|at| *at < published);
        self.empty.get(first).is_some_and(|at| at.elapsed() >= IN_HAND)
    }
}

impl Verifier {
    /// Looks again until everything is said or the patience is over; nobody is under suspicion afterwards.
    pub(super) async fn settle(&self, settling: &mut Settling, report: &mut Report) -> Result<(), VerifyError> {
        let mut queues = None;
        while !settling.suspects.is_empty() {
            let started = Instant::now();
            self.look_again(settling, report).await?;
            if settling.suspects.is_empty() || settling.patience.is_zero() {
                break;
            }
            self.look_at_queues(&mut queues, settling).await;
            tokio::time::sleep(PAUSE).await;
            settling.patience = settling.patience.saturating_sub(started.elapsed());
        }
        for suspect in std::mem::take(&mut settling.suspects).into_values() {
            report.unsettled.extend(suspect.found.missing());
            report.differences.merge(suspect.found.wrong);
        }
        if let Some(queues) = queues {
            queues.close().await;
        }
        Ok(())
    }

    async fn look_again(&self, settling: &mut Settling, report: &mut Report) -> Result<(), VerifyError> {
        let keys: Vec<Uuid> = settling.suspects.keys().copied().collect();
        for keys in keys.chunks(TOGETHER) {
            let mut heads: Vec<Head> = Vec::new();
            for key in keys {
                heads.extend(self.all_of(*key, None).await?);
            }
            // What is compared here has been counted before.
            let mut again = self.check(&heads, &mut Report::default(), None).await?;
            let mut waiting: Vec<Stream> = Vec::new();
            for key in keys {
                let Some(suspect) = settling.suspects.get_mut(key) else { continue };
                suspect.look(again.remove(key).unwrap_or_default());
                waiting.extend(suspect.found.behind.keys());
            }
            let unpublished = if waiting.is_empty() { None } else { Some(self.books.unpublished(&waiting).await?) };
            for key in keys {
                let Some(mut suspect) = settling.suspects.remove(key) else { continue };
                let on_its_way =
                    unpublished.as_ref().is_some_and(|some| suspect.found.behind.keys().any(|it| some.streams.contains(it)));
                suspect.published = if on_its_way { None } else { suspect.published.or_else(|| Some(Instant::now())) };
                let lost = settling.is_drained(suspect.published);
                if suspect.confirmed && (suspect.found.behind.is_empty() || lost) {
                    settling.lose(&suspect.found);
                    report.differences.extend(suspect.found.missing());
                    report.differences.merge(suspect.found.wrong);
                } else if !suspect.found.is_empty() {
                    settling.suspects.insert(*key, suspect);
                }
            }
        }
        Ok(())
    }

    /// Without a broker nobody knows what is on its way, and it stays unsettled.
    async fn look_at_queues(&self, queues: &mut Option<Queues>, settling: &mut Settling) {
        if queues.is_none() {
            match Queues::connect(&self.bus).await {
                Ok(connected) => *queues = Some(connected),
                Err(error) => tracing::warn!(%error, "the broker does not tell what is on its way"),
            }
        }
        let Some(connected) = queues else { return };
        // Those of the read model that is looked at.
        let Ok(generation) = self.audit.generation().await else { return };
        let asked = Instant::now();
        match connected.backlog(generation).await {
            Ok(Some(Backlog { messages: 0, .. })) => settling.empty.push(asked),
            Ok(Some(_)) => {}
            Ok(None) => tracing::warn!(generation, "there are no queues for this number of partitions"),
            Err(error) => {
                tracing::warn!(%error, "the broker does not tell what is on its way");
                *queues = None;
            }
        }
    }
}

impl Suspect {
    /// Another look at the same.
    fn look(&mut self, mut again: Found) {
        let first: HashMap<Stream, i64> = self.found.behind.iter().map(|(stream, (_, head))| (*stream, *head)).collect();
        // Only as far as the first look: what has come since is not waited for.
        again.behind = again
            .behind
            .into_iter()
            .filter_map(|(stream, (have, _))| {
                let head = *first.get(&stream)?;
                (have < head).then_some((stream, (have, head)))
            })
            .collect();
        self.confirmed = again == self.found;
        if !self.confirmed {
            self.published = None;
        }
        self.found = again;
    }
}
