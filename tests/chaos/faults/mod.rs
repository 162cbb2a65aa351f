//! The faults: a deck of all kinds, shuffled by the seed and dealt one after the other for as long as the run lasts. After each,
//! the time is taken until somebody who puts goods on a shelf can see them there.

mod carry_out;
mod poison;
mod silence;

use crate::{
    Failure,
    lives::put,
    load::{Shop, Till},
    pause,
    proxy::Proxy,
    stack::Stack,
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// What is down longer than this after a fault has not recovered.
const PATIENCE: Duration = Duration::from_secs(60);

/// Every kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Kind {
    KillProcess,
    FreezeProcess,
    EndProcess,
    CrashPoint,
    /// Projectors die between effect and acknowledgement, so that what they have done comes again.
    Redelivery,
    /// Projectors die with a batch written and not committed, so that all of it must come again.
    HalfDone,
    RollingRestart,
    StepClock,
    RestartPostgres,
    KillPostgres,
    RestartRabbitMq,
    KillRabbitMq,
    RestartMongoDb,
    KillMongoDb,
    StepDown,
    CutWires,
    SlowWires,
    ForgottenWires,
    FullQueue,
    /// A queue of a read model that is not live takes nothing any more.
    SilentQueue,
    /// Nobody can write anything, where the machine grants a disk of our own.
    FullDisk,
    /// Messages that nobody can read, and an operator who sees to them.
    Poison,
    StalledCommits,
    LateCommits,
    IdleTransaction,
}

const DECK: [Kind; 33] = [
    // What is cheap and bites comes more than once.
    Kind::KillProcess,
    Kind::KillProcess,
    Kind::KillProcess,
    Kind::FreezeProcess,
    Kind::FreezeProcess,
    Kind::EndProcess,
    Kind::CrashPoint,
    Kind::CrashPoint,
    Kind::Redelivery,
    Kind::HalfDone,
    Kind::RollingRestart,
    Kind::StepClock,
    Kind::RestartPostgres,
    Kind::KillPostgres,
    Kind::RestartRabbitMq,
    Kind::KillRabbitMq,
    Kind::RestartMongoDb,
    Kind::KillMongoDb,
    Kind::StepDown,
    Kind::CutWires,
    Kind::CutWires,
    Kind::SlowWires,
    Kind::ForgottenWires,
    Kind::FullQueue,
    Kind::SilentQueue,
    Kind::FullDisk,
    Kind::Poison,
    Kind::Poison,
    Kind::StalledCommits,
    Kind::LateCommits,
    Kind::LateCommits,
    Kind::LateCommits,
    Kind::IdleTransaction,
];

/// The wires to each server, in the order of [`crate::stack::Server`].
pub struct Wires(pub [Proxy; 3]);

/// What came of the schedule.
#[derive(Debug, Default)]
pub struct Dealt {
    pub kinds: BTreeMap<Kind, u32>,
    pub recoveries: Vec<Duration>,
}

pub struct Faults<'a> {
    pub shop: &'a Arc<Shop>,
    pub stack: &'a Stack,
    pub wires: &'a Wires,
    chance: StdRng,
    till: Till,
    /// Goods that nobody else puts on a shelf.
    probe: String,
    /// Commands of an operator so far.
    operations: u32,
}

impl<'a> Faults<'a> {
    pub fn new(shop: &'a Arc<Shop>, stack: &'a Stack, wires: &'a Wires) -> Self {
        let mut till = Till::new(shop, "probe", 0);
        till.patient = true;
        let probe = shop.products().into_iter().next().map(|(id, _)| id).unwrap_or_default();
        Self { shop, stack, wires, chance: StdRng::seed_from_u64(shop.seed), till, probe, operations: 0 }
    }

    /// Deals until the time is over: all kinds, or only one.
    pub async fn deal(&mut self, time: Duration, only: Option<Kind>) -> Result<Dealt, Failure> {
        let (mut dealt, over) = (Dealt::default(), Instant::now() + time);
        // First those that find out who counts twice, who skips what comes late, who acknowledges what is not done, and who
        // forgets what was not confirmed; the others come as they come. The two that kill projectors stand apart: what dies
        // by the second must have died by the first.
        let first = vec![Kind::KillRabbitMq, Kind::HalfDone, Kind::LateCommits, Kind::Redelivery];
        let mut deck = only.map_or(first, |only| vec![only]);
        while Instant::now() < over {
            let Some(kind) = deck.pop() else {
                deck = only.map_or_else(|| DECK.to_vec(), |only| vec![only]);
                deck.retain(|kind| *kind != Kind::FullDisk || self.stack.can_be_full());
                deck.shuffle(&mut self.chance);
                continue;
            };
            println!("  fault {kind:?}");
            self.carry_out(kind).await?;
            *dealt.kinds.entry(kind).or_default() += 1;
            dealt.recoveries.extend(self.recovered(kind).await);
            pause(Duration::from_millis(self.chance.random_range(500..2_500))).await;
        }
        Ok(dealt)
    }

    /// How long it takes until goods that are put on a shelf are seen there.
    async fn recovered(&mut self, kind: Kind) -> Option<Duration> {
        let since = Instant::now();
        let receipt = put(self.shop, &mut self.till, &self.probe, 1).await?;
        while !self.till.sees(self.shop, &receipt).await {
            if since.elapsed() > PATIENCE {
                self.shop.book.finds(format!("{PATIENCE:?} after {kind:?} goods that were put on a shelf are not seen there"));
                return None;
            }
            pause(Duration::from_millis(50)).await;
        }
        Some(since.elapsed())
    }
}
