//! The operator: all day long read models are rebuilt, switched back and dropped, by the command line and by the API, beside the
//! load and whatever fault comes; some who rebuild are killed or die at a crash point in the middle. A rebuild may fail while
//! servers are away. One that finds the live read model different from the log has found a bug, and must not switch: a new read
//! model would heal what was lost, and nobody would ever know.

use crate::{
    Failure,
    client::Answer,
    load::{Shop, Till},
    pause,
};
use orderflow::crash::POINTS;
use rand::Rng;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// How long one job may take; far longer than it does.
const PATIENCE: Duration = Duration::from_secs(120);

/// Stops where the live read model differs.
const REBUILD: &[&str] = &["rebuild", "--strict", "--json"];

/// How an administrator's wish is told the same; see `RebuildError::Differs`.
const DIFFERS: &str = "documents differ from the live ones";

/// How often which job came to which end.
pub type Ended = BTreeMap<String, u32>;

pub struct Operator {
    shop: Arc<Shop>,
    database_url: String,
    till: Till,
    jobs: u32,
    ended: Ended,
}

impl Operator {
    pub fn new(shop: &Arc<Shop>, database_url: &str) -> Self {
        let till = Till::new(shop, "operator", 0);
        Self { shop: Arc::clone(shop), database_url: database_url.to_owned(), till, jobs: 0, ended: Ended::new() }
    }

    /// Works until the day is over.
    pub async fn work(mut self, over: watch::Receiver<bool>) -> Result<Ended, Failure> {
        while !*over.borrow() {
            pause(Duration::from_millis(self.till.chance.random_range(500..5_000))).await;
            let shop = Arc::clone(&self.shop);
            let _alone = shop.read_models.lock().await;
            match self.till.chance.random_range(0..10) {
                0..3 => self.job("rebuild", REBUILD, false).await?,
                3..6 => self.job("rebuild", REBUILD, true).await?,
                6 => self.job("undo", &["rebuild", "--undo", "--json"], false).await?,
                7 => self.job("undo", &["rebuild", "--undo", "--json"], true).await?,
                8 => self.job("drop", &["rebuild", "--drop-previous", "--json"], self.jobs.is_multiple_of(2)).await?,
                _ => self.wish().await?,
            }
        }
        Ok(self.ended)
    }

    fn ends(&mut self, job: &str, how: &str) {
        *self.ended.entry(format!("{job} {how}")).or_default() += 1;
    }

    fn name(&mut self, job: &str) -> String {
        self.jobs += 1;
        format!("{job}-{}", self.jobs)
    }

    /// A job of the command line, which dies in the middle if it is to.
    async fn job(&mut self, job: &str, words: &[&str], dies: bool) -> Result<(), Failure> {
        let name = self.name(job);
        let of_the_job = |point: &&&str| ["rebuild-", "switch-", "drop-"].iter().any(|begin| point.starts_with(begin));
        let points: Vec<_> = POINTS.iter().filter(of_the_job).collect();
        let (armed, killed_after) = match self.till.chance.random_range(0..2) {
            0 if dies => (Some(points[self.till.chance.random_range(0..points.len())]), None),
            _ if dies => (None, Some(Duration::from_millis(self.till.chance.random_range(100..3_000)))),
            _ => (None, None),
        };
        let processes = &self.shop.processes;
        let (code, out) = processes.run_for(&name, words, armed.copied(), killed_after.unwrap_or(PATIENCE)).await?;
        match code {
            Some(0) => {
                self.ends(job, "done");
                self.compared(&name, &out);
            }
            Some(_) => {
                self.ends(job, "given up");
                self.compared(&name, &out);
            }
            None if killed_after.is_some() || armed.is_some() => self.ends(job, "died"),
            None => self.shop.book.finds(format!("{name} was not done after {PATIENCE:?}")),
        }
        Ok(())
    }

    /// Reads what a job has found: in its end, or in what kept it from switching.
    fn compared(&self, name: &str, out: &str) {
        let told: Value = serde_json::from_str(out).unwrap_or_default();
        let comparison = if told["job"].is_object() { &told["job"]["comparison"] } else { &told };
        if comparison["differing"].as_i64().is_some_and(|differing| differing > 0) {
            self.shop.book.finds(format!("{name} found the live read model different from the log: {comparison}"));
        }
    }

    /// A wish told to the API, which a projector fulfils, whoever of them lives to do it.
    async fn wish(&mut self) -> Result<(), Failure> {
        const MUTATION: &str = "mutation($input: RebuildReadModelInput!) {
            rebuildReadModel(input: $input) { receipt { commandId } errors { code message } } }";
        let name = self.name("wish");
        let since = Instant::now();
        loop {
            let node = self.till.node(&self.shop).await;
            match self.shop.staff.ask(node, MUTATION, json!({ "input": { "commandId": name, "strict": true } })).await {
                Answer::Data(data) if data["rebuildReadModel"]["receipt"].is_object() => break,
                other if since.elapsed() > PATIENCE => {
                    self.shop.book.finds(format!("{name} was not answered: {other:?}"));
                    return Ok(());
                }
                _ => pause(Duration::from_millis(200)).await,
            }
        }
        loop {
            pause(Duration::from_millis(500)).await;
            // Also the database is away at times.
            if let Ok(Some(failure)) = self.fulfilled(&name).await {
                self.ends("wish", if failure.is_empty() { "done" } else { "given up" });
                if failure.contains(DIFFERS) {
                    self.shop.book.finds(format!("{name} found the live read model different from the log: {failure}"));
                }
                return Ok(());
            }
            if since.elapsed() > PATIENCE {
                self.shop.book.finds(format!("{name} was not fulfilled after {PATIENCE:?}"));
                return Ok(());
            }
        }
    }

    /// Why a wish failed, or nothing of that, once it is closed.
    async fn fulfilled(&self, name: &str) -> Result<Option<String>, Failure> {
        let database = sea_orm::Database::connect(&self.database_url).await?;
        let sql = format!(
            "SELECT coalesce(failure, '') AS failure FROM rebuild_requests
             WHERE command_id = '{name}' AND finished_at IS NOT NULL"
        );
        let row = database.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await;
        database.close().await?;
        Ok(row?.map(|row| row.try_get("", "failure")).transpose()?)
    }
}
