//! Proves that the read model is the fold of the log, and the write model too: `orderflow verify`.
//!
//! The log is walked customer by customer and product by product. Every document and every row is compared with the fold of its
//! stream up to the version that it says it has, so the shop need not stand still: `check` for documents, summaries and state,
//! `sales` for the report's buckets, `strangers` for what no event tells of. What is behind the log is given time (`settle`): it
//! is a difference only when nothing of it is on its way any more, and unsettled as long as nobody can say.
//!
//! It only reads, and it is the one place beside `app` that sees both sides. In memory it holds a page of at most 500 streams, or
//! of one customer with more orders some 200 bytes an order; 60 bytes a product for the balance of stock, and as much for every
//! hour in which something was sold; and what it has found, up to fixed numbers.

mod check;
mod order;
mod report;
mod sales;
mod sample;
mod scene;
mod settle;
mod strangers;

pub use report::{Findings, Report};

use crate::{
    bus,
    clock::Clock,
    command::{Balance, Books, Database, EventLog, Head, LogError},
    query::{
        Store, StoreError,
        audit::{Audit, Discards, Sums},
    },
};
use indicatif::ProgressBar;
use settle::Settling;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Streams in one step of the walk.
const PAGE: u32 = 500;

/// An event that waits longer for the relay is told of.
pub const OVERDUE: Duration = Duration::from_secs(60);

/// What to compare, and how patiently.
#[derive(Debug, Clone)]
pub struct Options {
    /// So many customers, each with all their orders, and so many products, chosen by this seed; without it, everything.
    pub sample: Option<(u32, u64)>,
    /// How long to wait in all for what is behind the log.
    pub wait: Duration,
}

/// Why it could not be said whether everything is right.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("the read model cannot be read: {0}")]
    Store(#[from] StoreError),
}

/// Compares both sides with the log. Cheap to make.
pub struct Verifier {
    log: EventLog,
    books: Books,
    audit: Audit,
    bus: bus::Settings,
    clock: Clock,
    discards: Discards,
}

/// What a walk adds up along its way. A sample adds up nothing: it does not see everything.
#[derive(Debug, Default)]
struct Accounts {
    sales: Sums,
    balance: Balance,
}

impl Verifier {
    pub fn new(database: &Database, store: &Store, bus: &bus::Settings, clock: &Clock) -> Self {
        Self {
            log: EventLog::new(database),
            books: Books::new(database),
            audit: Audit::new(store),
            bus: bus.clone(),
            clock: clock.clone(),
            discards: Discards::default(),
        }
    }

    /// Compares, and says what was found. Progress is shown on the bar, in streams.
    ///
    /// # Errors
    /// One of the databases cannot be read, or the log is damaged.
    pub async fn run(&mut self, options: &Options, bar: &ProgressBar) -> Result<Report, VerifyError> {
        let started = Instant::now();
        self.discards = self.audit.discards().await?;
        let mut report = Report::default();
        let mut settling = Settling::new(options.wait);
        match options.sample {
            Some((many, seed)) => {
                report.seed = Some(seed);
                self.sampled(many, seed, &mut report, &mut settling, bar).await?;
            }
            None => self.whole(&mut report, &mut settling, bar).await?,
        }
        report.parked = self.audit.parked().await?;
        self.look_at_outbox(&mut report).await?;
        report.seconds = started.elapsed().as_secs_f64();
        Ok(report)
    }

    async fn whole(&self, report: &mut Report, settling: &mut Settling, bar: &ProgressBar) -> Result<(), VerifyError> {
        // Only for the bar: of a very large log the count may take longer than a statement may.
        if let Ok(streams) = self.log.count().await {
            bar.set_length(streams);
        }
        // Before the walk, so that everything up to these levels is in the log that is walked.
        let mut accounts = Accounts { sales: Sums::new(), balance: self.books.balance().await? };
        let mut place: Option<Head> = None;
        loop {
            let heads = self.batch(place.as_ref()).await?;
            let Some(last) = heads.last() else { break };
            place = Some(*last);
            let found = self.check(&heads, report, Some(&mut accounts)).await?;
            settling.suspect(found);
            if settling.is_full() {
                self.settle(settling, report).await?;
            }
            bar.inc(heads.len() as u64);
        }
        self.settle(settling, report).await?;
        report.compared("postgresql.stock (balance)", accounts.balance.len() as u64);
        report.differences.extend(accounts.balance.close());
        self.compare_sales(&accounts.sales, settling, report).await?;
        self.find_strangers(report).await
    }

    /// The next streams of the walk, with all of the last key's.
    async fn batch(&self, place: Option<&Head>) -> Result<Vec<Head>, VerifyError> {
        let mut heads = self.log.page(place, PAGE).await?;
        if let Some(last) = heads.last().copied() {
            heads.extend(self.all_of(last.partition_key, Some(last)).await?);
        }
        Ok(heads)
    }

    /// All streams of a key after a place.
    async fn all_of(&self, key: Uuid, mut place: Option<Head>) -> Result<Vec<Head>, VerifyError> {
        let mut heads: Vec<Head> = Vec::new();
        loop {
            let more = self.log.page_of(key, place.as_ref(), PAGE).await?;
            place = more.last().copied();
            let whole = more.len() < PAGE as usize;
            heads.extend(more);
            if whole {
                return Ok(heads);
            }
        }
    }

    async fn look_at_outbox(&self, report: &mut Report) -> Result<(), VerifyError> {
        let outbox = self.books.unpublished(&[]).await?;
        report.outbox_waiting = outbox.waiting;
        report.outbox_since = outbox.since;
        report.outbox_overdue = outbox.since.is_some_and(|since| self.clock.now() - since > OVERDUE);
        if outbox.orphans > 0 {
            let found = Some(format!("{} rows that stand for no event", outbox.orphans).into());
            report.differences.add(crate::difference::Difference::new("postgresql.outbox", "", "position", None, found));
        }
        Ok(())
    }
}
