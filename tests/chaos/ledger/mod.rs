//! The ledger: waits until nothing is on its way any more, and then holds what the clients were told against what both sides
//! have. Whatever does not fit is written into the book as a finding.

mod read_side;
mod write_side;

use crate::{Failure, load::Shop, pause, stack::Stack, subscribers::Ends, table::Counts};
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, QueryResult, Statement};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long everything may take to arrive after the last fault.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a job of a rebuild may look alive after its death, and some more.
const DEAD: Duration = Duration::from_secs(15);

/// The most memory that a process should ever have, in MB: a debug build, which needs more than what is shipped.
const MOST_MEMORY_MB: u64 = 400;

pub struct Ledger<'a> {
    pub shop: &'a Shop,
    database: DatabaseConnection,
    mongo: mongodb::Database,
}

impl<'a> Ledger<'a> {
    pub async fn open(shop: &'a Shop, stack: &Stack) -> Result<Self, Failure> {
        let database = sea_orm::Database::connect(&stack.database_url).await?;
        let client = mongodb::Client::with_uri_str(&stack.mongodb_uri).await?;
        let mongo = client.default_database().ok_or("the address of MongoDB names a database")?;
        Ok(Self { shop, database, mongo })
    }

    fn finds(&self, what: impl Into<String>) {
        self.shop.book.finds(what);
    }

    async fn rows(&self, sql: &str) -> Result<Vec<QueryResult>, Failure> {
        Ok(self.database.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await?)
    }

    async fn number(&self, sql: &str) -> Result<i64, Failure> {
        let row = self.rows(sql).await?.pop().ok_or("a row")?;
        Ok(row.try_get_by_index(0)?)
    }

    /// Waits until the outbox is empty, nothing waits for an earlier event, and the read model has every newest version. Gives
    /// how long that took.
    pub async fn settle(&self) -> Result<Duration, Failure> {
        let since = Instant::now();
        loop {
            let outbox = self.number("SELECT count(*) FROM outbox").await?;
            let waiting = self.mongo.collection::<Document>(&self.live("waiting").await?).count_documents(doc! {}).await?;
            let behind = self.behind().await?;
            if (outbox, waiting, behind) == (0, 0, 0) {
                return Ok(since.elapsed());
            }
            if since.elapsed() > PATIENCE {
                self.finds(format!(
                    "{PATIENCE:?} after the last fault {outbox} events are in the outbox, {waiting} wait for an earlier one, \
                     and the read model is {behind} versions behind"
                ));
                return Ok(since.elapsed());
            }
            pause(Duration::from_millis(250)).await;
        }
    }

    /// The collection that a view of the live read model is.
    async fn live(&self, view: &str) -> Result<String, Failure> {
        let registry = self.mongo.collection::<Document>("generations").find_one(doc! { "_id": "registry" }).await?;
        let live = registry.ok_or("a registry")?.get_document("live")?.get_i32("id")?;
        Ok(if live == 1 { view.to_owned() } else { format!("{view}.generation.{live}") })
    }

    /// Versions that the log has and the read model has not; a sum, because neither can be ahead of the other in any stream.
    async fn behind(&self) -> Result<i64, Failure> {
        let log = "SELECT coalesce(sum(newest), 0)::bigint FROM (SELECT max(version) AS newest FROM event_log
                   GROUP BY stream_kind, stream_id) streams";
        let mut behind = self.number(log).await?;
        for (collection, field) in
            [("orders", "$version"), ("users", "$version"), ("products", "$version"), ("products", "$stockVersion")]
        {
            let sum = [doc! { "$group": { "_id": null, "sum": { "$sum": field } } }];
            let told: Vec<Document> =
                self.mongo.collection::<Document>(&self.live(collection).await?).aggregate(sum).await?.try_collect().await?;
            for document in told {
                behind -= document.get_i64("sum").or_else(|_| document.get_i32("sum").map(i64::from))?;
            }
        }
        Ok(behind)
    }

    /// How far every order that was placed during the run has come.
    pub async fn ends(&self, early: &[String]) -> Result<Ends, Failure> {
        let sql = "SELECT replace(id::text, '-', '') AS id, replace(customer_id::text, '-', '') AS customer, version FROM orders";
        let mut ends = Ends::new();
        for row in self.rows(sql).await? {
            let order = format!("order_{}", row.try_get::<String>("", "id")?);
            let customer = format!("user_{}", row.try_get::<String>("", "customer")?);
            if !early.contains(&order) {
                ends.insert(order, (customer, row.try_get("", "version")?));
            }
        }
        Ok(ends)
    }

    /// Everything that can be held against each other.
    pub async fn check(&self, counts: &mut Counts) -> Result<(), Failure> {
        self.check_commands(counts).await?;
        self.check_log(counts).await?;
        let orders = self.check_orders().await?;
        counts.orders = orders.len();
        self.check_products(&orders).await?;
        self.check_customers(&orders).await?;
        self.check_sales(&orders).await?;
        self.check_processes(counts).await;
        self.check_memory(counts);
        self.prove().await
    }

    /// Every process is there and ready.
    async fn check_processes(&self, counts: &mut Counts) {
        let (since, processes) = (Instant::now(), &self.shop.processes);
        counts.starts = processes.starts();
        loop {
            let mut unready = None;
            match processes.all() {
                None => unready = Some("a process is not there".to_owned()),
                Some(places) => {
                    for place in places {
                        let answer = reqwest::get(format!("http://{place}/readyz")).await;
                        let ready = answer.as_ref().is_ok_and(|answer| answer.status().is_success());
                        if !ready {
                            unready = Some(format!("{place} is not ready: {answer:?}"));
                        }
                    }
                }
            }
            let Some(why) = unready else { break };
            if since.elapsed() > PATIENCE {
                self.finds(why);
                break;
            }
            pause(Duration::from_millis(250)).await;
        }
        processes.accidents().into_iter().for_each(|accident| self.finds(accident));
    }

    /// Whoever has held more than this at any time has a queue without an end.
    fn check_memory(&self, counts: &mut Counts) {
        counts.peaks = self.shop.processes.peaks();
        for (role, peak) in counts.peaks.iter().filter(|(_, peak)| **peak > MOST_MEMORY_MB) {
            self.finds(format!("the {role} has held {peak} MB, and {MOST_MEMORY_MB} should be more than enough"));
        }
    }

    /// The binary's own proofs: what it serves is the fold of the log; so is what it builds anew, which must be the same; and so
    /// is what was kept of the one before, after one has gone back to it.
    async fn prove(&self) -> Result<(), Failure> {
        self.succeeds("verify", &["verify", "--json"]).await?;
        self.succeeds("rebuild-strictly", &["rebuild", "--strict", "--json"]).await?;
        self.succeeds("verify-rebuilt", &["verify", "--json"]).await?;
        self.succeeds("rebuild-undo", &["rebuild", "--undo", "--json"]).await?;
        self.succeeds("verify-undone", &["verify", "--json"]).await?;
        let (_, parked) = self.shop.processes.run("parked-at-the-end", &["parked", "list", "--json"]).await?;
        if serde_json::from_str::<Value>(&parked)?["aggregates"] != json!([]) {
            self.finds(format!("in the end this stands still: {parked}"));
        }
        Ok(())
    }

    async fn succeeds(&self, name: &str, words: &[&str]) -> Result<(), Failure> {
        let since = Instant::now();
        loop {
            let (code, _) = self.shop.processes.run(name, words).await?;
            // Somebody who has died in the middle of a rebuild is known to be dead after a while.
            if code == Some(0) || since.elapsed() > DEAD {
                if code != Some(0) {
                    self.finds(format!("orderflow {} ended with {code:?}; see {name}.out and {name}.log", words.join(" ")));
                }
                return Ok(());
            }
            pause(Duration::from_secs(1)).await;
        }
    }
}
