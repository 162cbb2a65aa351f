//! `orderflow doctor`: looks at the three servers, and at the public keys of tokens if there are to be some, and says what is
//! wrong, one line each.

use super::{Failure, say};
use crate::{
    auth, bus, command,
    config::{Config, ConfigError, KeyOptions, Parts, PartsOptions},
    query::Store,
};
use clap::Args;
use std::{path::Path, time::Duration};

/// No transaction of ours is open for so long in a healthy system.
const LONG: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub struct Doctor {
    #[command(flatten)]
    parts: PartsOptions,
    #[command(flatten)]
    keys: KeyOptions,
}

impl Doctor {
    /// # Errors
    /// Everything that is wrong with the settings.
    pub fn check(&self) -> Result<Parts, ConfigError> {
        Config::parts(&self.parts)
    }

    pub async fn run(self) -> Result<(), Failure> {
        let parts = self.check()?;
        let mut findings = vec![
            ("PostgreSQL", postgresql(&parts.database_url).await),
            ("RabbitMQ", rabbitmq(&parts.bus).await),
            ("MongoDB", mongodb(&parts.mongodb_uri).await),
        ];
        if findings.iter().all(|(_, finding)| finding.is_ok()) {
            findings.push(("the queues", queues(&parts).await));
        }
        if let Some(file) = &self.keys.jwt_public_key {
            findings.push(("the key file", auth::look_at_file(Path::new(file))));
        }
        if let Some(url) = &self.keys.jwks_url {
            findings.push(("the key set", key_set(url).await));
        }
        let (all, mut wrong, mut well) = (findings.len(), 0, Vec::new());
        for (name, finding) in findings {
            match finding {
                Ok(good) => {
                    well.push(name);
                    say(&format!("ok     {name}: {good}\n"))?;
                }
                Err(bad) => {
                    wrong += 1;
                    say(&format!("WRONG  {name}: {bad}\n"))?;
                }
            }
        }
        // Not an outage: everything else goes on. But somebody should know.
        for note in notes(&parts, &well).await {
            say(&format!("note   {note}\n"))?;
        }
        if wrong > 0 { Err(format!("{wrong} of {all} parts cannot be used as they are").into()) } else { Ok(()) }
    }
}

async fn key_set(url: &str) -> Result<String, String> {
    auth::look_at_url(&url.parse().map_err(|why| format!("ORDERFLOW_JWKS_URL {why}"))?).await
}

async fn postgresql(url: &str) -> Result<String, String> {
    let database = command::connect(url, 1).await.map_err(|e| format!("cannot be reached: {e}"))?;
    let facts = command::check(&database).await.map_err(|e| e.to_string())?;
    let major: u32 = facts.version.split(['.', ' ']).next().and_then(|major| major.parse().ok()).unwrap_or(0);
    if major < 15 {
        return Err(format!("version {} is too old; 15 or newer is needed", facts.version));
    }
    if facts.synchronous_commit == "off" || facts.fsync == "off" {
        return Err("commits are not durable: synchronous_commit and fsync must be on".into());
    }
    if !facts.migrated {
        return Err(format!("version {} answers, but has no schema: run `orderflow migrate`", facts.version));
    }
    Ok(format!("version {}, commits are durable, the schema is there", facts.version))
}

async fn rabbitmq(settings: &bus::Settings) -> Result<String, String> {
    bus::check(settings).await.map(|()| "answers; exchanges and queues are there".to_owned()).map_err(|error| {
        let text = error.to_string();
        if text.contains("x-consistent-hash") || text.contains("unknown exchange type") {
            return "the plugin rabbitmq_consistent_hash_exchange is not enabled: rabbitmq-plugins enable it".to_owned();
        }
        format!("cannot be used: {text}")
    })
}

/// Whether the queues of every read model take messages. Those that are not there yet are made by the first relay or projector.
async fn queues(parts: &Parts) -> Result<String, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("cannot be looked at: {error}");
    let store = Store::connect(&parts.mongodb_uri, 2).await.map_err(|e| wrong(&e))?;
    let registry = store.look().await.map_err(|e| wrong(&e))?;
    let links = bus::Queues::connect(&parts.bus).await.map_err(|e| wrong(&e))?;
    let mut deaf = Vec::new();
    for generation in registry.ids() {
        deaf.extend(links.probe(generation).await.map_err(|e| wrong(&e))?.deaf);
    }
    links.close().await;
    if deaf.is_empty() {
        return Ok("those of every read model take messages".to_owned());
    }
    Err(format!(
        "{} take nothing, and until they do no event counts as published; none is lost. Full? Start projectors. Without a leader \
         (rabbitmq-queues quorum_status NAME)? `orderflow rebuild` makes another read model, with queues of its own",
        deaf.join(", ")
    ))
}

async fn mongodb(uri: &str) -> Result<String, String> {
    let store = Store::connect(uri, 2).await.map_err(|e| format!("cannot be used: {e}"))?;
    let (version, replica_set, writable) = store.check().await.map_err(|e| format!("cannot be reached: {e}"))?;
    let Some(set) = replica_set else {
        return Err(format!("version {version} is not a replica set; transactions and change streams need one (--replSet)"));
    };
    if !writable {
        return Err(format!("version {version}, replica set {set}: this member is not the primary; leave directConnection out"));
    }
    Ok(format!("version {version}, replica set {set}, writable"))
}

/// What works and should be looked at all the same.
async fn notes(parts: &Parts, well: &[&str]) -> Vec<String> {
    let mut notes = Vec::new();
    if well.contains(&"PostgreSQL")
        && let Ok(database) = command::connect(&parts.database_url, 1).await
        && let Ok(Some(open)) = command::oldest_transaction(&database).await
        && open.open_for > LONG
    {
        let (seconds, pid, application, state) = (open.open_for.as_secs(), open.pid, open.application, open.state);
        notes.push(format!(
            "PostgreSQL: a transaction of {application:?} ({state}) has been open for {seconds} s; no event waits for it, but \
             nothing behind it can be cleaned up. To end it: SELECT pg_terminate_backend({pid})"
        ));
    }
    if well.contains(&"MongoDB")
        && let Ok(store) = Store::connect(&parts.mongodb_uri, 2).await
    {
        if let Some(limit) = store.transaction_lifetime().await.filter(|limit| *limit > 2 * LONG) {
            notes.push(format!(
                "MongoDB: a projector that is killed can hold up its customers for {} s, until its transaction is ended; set \
                 the server's parameter transactionLifetimeLimitSeconds to {}",
                limit.as_secs(),
                LONG.as_secs()
            ));
        }
        notes.extend(super::parked::notes(&store).await);
    }
    notes
}
