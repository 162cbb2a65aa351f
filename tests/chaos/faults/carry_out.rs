//! How each fault is done, and undone.

use super::{Faults, Kind};
use crate::{
    Failure,
    client::Client,
    pause,
    stack::{
        Server::{self, MongoDb, Postgres, RabbitMq},
        signal,
    },
};
use mongodb::bson::doc;
use rand::Rng;
use sea_orm::{ConnectionTrait, DbBackend, Statement, TransactionTrait};
use std::time::Duration;

/// All queues of the projector.
const QUEUES: &str = "^orderflow\\.projector\\.";

impl Faults<'_> {
    pub(super) async fn carry_out(&mut self, kind: Kind) -> Result<(), Failure> {
        let (shop, wires, stack) = (self.shop, self.wires, self.stack);
        let processes = &shop.processes;
        match kind {
            Kind::KillProcess => processes.send(self.process(), "KILL"),
            Kind::EndProcess => processes.send(self.process(), "TERM"),
            Kind::FreezeProcess => self.freeze().await,
            Kind::CrashPoint => {
                let index = self.process();
                let points = points_of(processes.role(index));
                let (point, nth) = (points[self.chance.random_range(0..points.len())], self.chance.random_range(1..30));
                println!("  {} is armed at {point}:{nth}", processes.role(index));
                processes.crash(index, format!("{point}:{nth}"));
            }
            Kind::Redelivery => self.projectors_die_at("before-ack"),
            Kind::HalfDone => self.projectors_die_at("before-view-commit"),
            Kind::RollingRestart => {
                for index in 0..processes.count() {
                    processes.send(index, "TERM");
                    self.moments(300..900).await;
                }
            }
            Kind::StepClock => {
                let index = self.process();
                let wrong = self.chance.random_range(-120_000..120_000);
                processes.step_clock(index, wrong)?;
                self.moments(500..3_000).await;
            }
            Kind::RestartPostgres => stack.restart(Postgres, false).await?,
            Kind::KillPostgres => stack.restart(Postgres, true).await?,
            Kind::RestartRabbitMq => stack.restart(RabbitMq, false).await?,
            Kind::KillRabbitMq => stack.restart(RabbitMq, true).await?,
            Kind::RestartMongoDb => stack.restart(MongoDb, false).await?,
            Kind::KillMongoDb => stack.restart(MongoDb, true).await?,
            Kind::StepDown => self.step_down().await?,
            Kind::CutWires => {
                let wires = &wires.0[self.chance.random_range(0..3_usize)];
                wires.cut();
                self.moments(200..4_000).await;
                wires.mend();
            }
            Kind::SlowWires => {
                let wires = &wires.0[self.chance.random_range(0..3_usize)];
                wires.slow(Duration::from_millis(self.chance.random_range(20..200)));
                self.moments(1_000..5_000).await;
                wires.mend();
            }
            Kind::ForgottenWires => wires.0[self.chance.random_range(0..3_usize)].forget(),
            Kind::FullQueue => self.fill_queues().await?,
            Kind::SilentQueue => self.silence().await?,
            Kind::StalledCommits => self.stall_commits().await?,
            Kind::LateCommits => self.delay_commits().await?,
            Kind::FullDisk => {
                let lasts = Duration::from_millis(self.chance.random_range(2_000..12_000));
                stack.full_while(pause(lasts)).await?;
            }
            Kind::Poison => self.poison().await?,
            Kind::IdleTransaction => self.idle_transaction().await?,
        }
        Ok(())
    }

    fn process(&mut self) -> usize {
        self.chance.random_range(0..self.shop.processes.count())
    }

    /// All of them, each in its twentieth batch from now.
    fn projectors_die_at(&self, point: &str) {
        let processes = &self.shop.processes;
        for index in processes.of("projector") {
            processes.crash(index, format!("{point}:20"));
        }
    }

    async fn moments(&mut self, milliseconds: std::ops::Range<u64>) {
        pause(Duration::from_millis(self.chance.random_range(milliseconds))).await;
    }

    async fn freeze(&mut self) {
        let index = self.process();
        self.shop.processes.send(index, "STOP");
        self.moments(500..8_000).await;
        self.shop.processes.send(index, "CONT");
    }

    /// The one node of the set gives up being primary, and takes it up again when its time is over.
    async fn step_down(&mut self) -> Result<(), Failure> {
        let mongo = mongodb::Client::with_uri_str(&self.stack.mongodb_uri).await?;
        let command = doc! { "replSetStepDown": 2, "secondaryCatchUpPeriodSecs": 0, "force": true };
        // It may break the connection on which it was asked.
        let _ = mongo.database("admin").run_command(command).await;
        self.moments(1_000..3_000).await;
        Ok(())
    }

    /// Queues that hold one message, while nobody takes any.
    async fn fill_queues(&mut self) -> Result<(), Failure> {
        let projectors = self.shop.processes.of("projector");
        let policy = r#"{"pattern":"PATTERN","definition":{"max-length":1},"apply-to":"queues"}"#;
        self.policy(reqwest::Method::PUT, &policy.replace("PATTERN", &QUEUES.replace('\\', "\\\\"))).await?;
        projectors.iter().for_each(|index| self.shop.processes.send(*index, "STOP"));
        self.moments(1_500..5_000).await;
        projectors.iter().for_each(|index| self.shop.processes.send(*index, "CONT"));
        self.moments(500..1_500).await;
        self.policy(reqwest::Method::DELETE, "").await
    }

    async fn policy(&self, method: reqwest::Method, body: &str) -> Result<(), Failure> {
        let api = self.stack.broker_api.trim_start_matches("http://");
        let (credentials, host) = api.split_once('@').ok_or("the API has credentials")?;
        let (user, password) = credentials.split_once(':').ok_or("the API has a password")?;
        let request = Client::http()?.request(method, format!("http://{host}/api/policies/%2F/chaos"));
        let request = request.basic_auth(user, Some(password)).header("content-type", "application/json");
        let answer = request.body(body.to_owned()).send().await?;
        if !answer.status().is_success() && answer.status() != reqwest::StatusCode::NOT_FOUND {
            return Err(format!("the broker's API refused a policy: {}", answer.status()).into());
        }
        Ok(())
    }

    /// Nobody's outcome can be written, so all lanes of all processes stand still with positions in their hands; then all commit
    /// at once, in whatever order.
    async fn stall_commits(&mut self) -> Result<(), Failure> {
        let database = sea_orm::Database::connect(&self.stack.database_url).await?;
        for _ in 0..self.chance.random_range(2..8) {
            let stall = database.begin().await?;
            stall.execute_unprepared("LOCK TABLE commands IN SHARE MODE").await?;
            self.moments(50..700).await;
            stall.rollback().await?;
            self.moments(20..150).await;
        }
        Ok(database.close().await?)
    }

    /// One backend of PostgreSQL stands still with positions in its hands while those of other transactions go on: what it then
    /// commits has lower positions than what has been published long ago.
    async fn delay_commits(&mut self) -> Result<(), Failure> {
        // It has written, and the last of what it was told is the appending of events or what comes after.
        const APPENDED: &str = "SELECT pid FROM pg_stat_activity WHERE application_name = 'orderflow' AND backend_xid IS NOT NULL
             AND (query LIKE '%appended%' OR query LIKE '%orderflow_outbox%' OR query LIKE '%commands%') LIMIT 1";
        let database = sea_orm::Database::connect(&self.stack.database_url).await?;
        for _ in 0..self.chance.random_range(5..15) {
            let mut found = None;
            for _ in 0..200 {
                found = database.query_one_raw(Statement::from_string(DbBackend::Postgres, APPENDED)).await?;
                if found.is_some() {
                    break;
                }
                pause(Duration::from_millis(2)).await;
            }
            let Some(row) = found else { continue };
            let pid = row.try_get::<i32>("", "pid")?.unsigned_abs();
            signal(pid, "STOP");
            self.moments(100..700).await;
            signal(pid, "CONT");
            self.moments(50..200).await;
        }
        Ok(database.close().await?)
    }

    /// Somebody leaves a transaction open for a while, with an id that is lower than all that follow.
    async fn idle_transaction(&mut self) -> Result<(), Failure> {
        let database = sea_orm::Database::connect(&self.stack.database_url).await?;
        let forgotten = database.begin().await?;
        forgotten.execute_unprepared("CREATE TABLE elsewhere (id integer)").await?;
        self.moments(2_000..6_000).await;
        forgotten.rollback().await?;
        Ok(database.close().await?)
    }
}

/// The crash points that a role comes by while it works.
fn points_of(role: &str) -> &'static [&'static str] {
    match role {
        "api" => &["before-commit", "after-commit", "after-reply"],
        "relay" => &["before-publish", "after-publish", "after-confirm", "before-outbox-commit", "after-outbox-commit"],
        _ => &["batch-taken", "between-collections", "before-view-commit", "before-ack", "after-ack"],
    }
}

/// The wires are in the order of the servers.
const _: () = assert!(Server::Postgres as usize == 0 && Server::RabbitMq as usize == 1 && Server::MongoDb as usize == 2);
