//! Settings. Every one is a variable of the environment and a flag, with its default and its meaning in `orderflow serve --help`;
//! all that is wrong is told at once.

mod auth;
mod clients;
mod options;
mod parse;

pub use auth::{AuthOptions, KeyOptions, RuleOptions, warnings};
pub use clients::{ClientOptions, Clients, Rate};
pub use options::{HttpOptions, LogOptions, Options, PartsOptions, WorkOptions};
use parse::Problems;

use crate::{
    auth::{Rules, Settings as Auth},
    bus,
    graphql::{Documents, Limits, PayloadWait},
};
use axum::http::HeaderValue;
use std::{net::SocketAddr, time::Duration};
use tracing_subscriber::EnvFilter;

/// A part of the work; a process does all of them unless told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Answers HTTP: commands, queries, subscriptions.
    Api,
    /// Publishes committed events to the broker.
    Relay,
    /// Folds events into the read model.
    Projector,
}

/// Everything, checked.
#[derive(Debug, Clone)]
pub struct Config {
    pub parts: Parts,
    pub work: Work,
    pub http: Http,
    pub auth: Auth,
    pub shutdown_grace: Duration,
}

/// Where the three servers are.
#[derive(Debug, Clone)]
pub struct Parts {
    pub database_url: String,
    pub database_connections: u32,
    pub mongodb_uri: String,
    pub mongodb_connections: u32,
    pub bus: bus::Settings,
}

/// Bounds of bus, relay, projector and feed.
#[derive(Debug, Clone)]
pub struct Work {
    pub command: crate::command::Settings,
    /// Events that may wait in the outbox; at that commands are refused.
    pub max_backlog: u64,
    pub relay_shards: u32,
    pub relay_batch: u32,
    pub relay_sweep: Duration,
    pub projector_batch: u16,
    /// The most events that wait behind a parked one.
    pub parked_tail: usize,
    /// Messages that may wait for a read model that is not live; one further behind is given up.
    pub max_behind: u64,
    /// Events of the log that a rebuild folds in one batch.
    pub rebuild_batch: usize,
    pub keep_outcomes: Duration,
    pub keep_changes: Duration,
    /// How long a part may be silent, or an event unpublished, before the process is not ready.
    pub ready_within: Duration,
}

/// The API's address and bounds.
#[derive(Debug, Clone)]
pub struct Http {
    pub addr: SocketAddr,
    pub dev: bool,
    pub graphiql: bool,
    pub documents: Documents,
    pub cors_origins: Vec<HeaderValue>,
    pub body_limit: usize,
    pub operation_timeout: Duration,
    pub limits: Limits,
    pub clients: Clients,
}

/// What is wrong with the settings, one line each.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the settings are not right:\n{}", .0.iter().map(|p| format!("  - {p}")).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError(Vec<String>);

impl ConfigError {
    /// With more that is wrong, told after the rest.
    #[must_use]
    pub fn and(self, more: Self) -> Self {
        Self(self.0.into_iter().chain(more.0).collect())
    }
}

/// Secrets of HS256 should have as many bytes as its hash (RFC 7518, section 3.2); shorter ones are warned about at start.
pub const GOOD_SECRET: usize = 32;

/// The secret of `--dev`. Anybody knows it, so nothing but `--dev` accepts it.
pub const DEV_SECRET: &str = "orderflow development secret, known to everybody";

impl Config {
    /// Checks all settings.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn new(options: &Options) -> Result<Self, ConfigError> {
        let mut problems = Problems::default();
        let parts = parts(&options.parts, &mut problems);
        let work = work(&options.work, &mut problems);
        let http = http(&options.http, &options.clients, &mut problems);
        let auth = auth::settings(&options.auth, options.http.dev, &mut problems);
        let shutdown_grace = problems.duration("ORDERFLOW_SHUTDOWN_GRACE", &options.http.shutdown_grace, 0, 600);
        problems.finish(Self { parts, work, http, auth, shutdown_grace })
    }

    /// Checks only the rules for tokens.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn rules(options: &RuleOptions) -> Result<Rules, ConfigError> {
        let mut problems = Problems::default();
        let rules = auth::rules(options, &mut problems);
        problems.finish(rules)
    }

    /// Checks only where the parts are, for commands that need no more.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn parts(options: &PartsOptions) -> Result<Parts, ConfigError> {
        let mut problems = Problems::default();
        let parts = parts(options, &mut problems);
        problems.finish(parts)
    }

    /// Checks only the bounds of the work.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn work(options: &WorkOptions) -> Result<Work, ConfigError> {
        let mut problems = Problems::default();
        let work = work(options, &mut problems);
        problems.finish(work)
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

impl LogOptions {
    /// Checks the filter and the format.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn check(&self) -> Result<(EnvFilter, LogFormat), ConfigError> {
        let mut problems = Problems::default();
        let filter = EnvFilter::try_new(&self.log).unwrap_or_else(|error| {
            problems.note(&format!("ORDERFLOW_LOG: {:?} is no filter: {error}", self.log));
            EnvFilter::default()
        });
        let format = match self.log_format.as_str() {
            "text" => LogFormat::Text,
            "json" => LogFormat::Json,
            other => {
                problems.note(&format!("ORDERFLOW_LOG_FORMAT: {other:?} is neither text nor json"));
                LogFormat::Text
            }
        };
        problems.finish((filter, format))
    }
}

fn parts(options: &PartsOptions, problems: &mut Problems) -> Parts {
    Parts {
        database_url: problems.url("DATABASE_URL", options.database_url.as_deref(), &["postgres://", "postgresql://"]),
        database_connections: problems.number("ORDERFLOW_DATABASE_CONNECTIONS", &options.database_connections, 2, 1_000),
        mongodb_uri: problems.url("MONGODB_URI", options.mongodb_uri.as_deref(), &["mongodb://", "mongodb+srv://"]),
        mongodb_connections: problems.number("ORDERFLOW_MONGODB_CONNECTIONS", &options.mongodb_connections, 2, 10_000),
        bus: bus::Settings {
            url: problems.url("AMQP_URL", options.amqp_url.as_deref(), &["amqp://", "amqps://"]),
            partitions: problems.number("ORDERFLOW_PARTITIONS", &options.partitions, 1, 256),
            generations: bus::Generations::default(),
        },
    }
}

fn work(options: &WorkOptions, problems: &mut Problems) -> Work {
    Work {
        command: crate::command::Settings {
            lanes: problems.number("ORDERFLOW_COMMAND_LANES", &options.command_lanes, 1, 64),
            queue: problems.number("ORDERFLOW_COMMAND_QUEUE", &options.command_queue, 1, 100_000),
            group: problems.number("ORDERFLOW_COMMAND_GROUP", &options.command_group, 1, 1_000),
            patience: problems.duration("ORDERFLOW_COMMAND_PATIENCE", &options.command_patience, 1, 600),
        },
        max_backlog: problems.number("ORDERFLOW_MAX_BACKLOG", &options.max_backlog, 1, 10_000_000),
        relay_shards: problems.number("ORDERFLOW_RELAY_SHARDS", &options.relay_shards, 1, 64),
        relay_batch: problems.number("ORDERFLOW_RELAY_BATCH", &options.relay_batch, 1, 10_000),
        // Never without a pause: an empty outbox would be looked at all the time.
        relay_sweep: problems.duration("ORDERFLOW_RELAY_SWEEP", &options.relay_sweep, 0, 60).max(Duration::from_millis(10)),
        projector_batch: problems.number("ORDERFLOW_PROJECTOR_BATCH", &options.projector_batch, 1, 5_000),
        // All of a tail that goes on by itself goes in one transaction.
        parked_tail: problems.number("ORDERFLOW_PARKED_TAIL", &options.parked_tail, 1, 5_000),
        max_behind: problems.number("ORDERFLOW_MAX_BEHIND", &options.max_behind, 1, 1_000_000_000),
        rebuild_batch: problems.number("ORDERFLOW_REBUILD_BATCH", &options.rebuild_batch, 1, 100_000),
        keep_outcomes: problems.duration("ORDERFLOW_KEEP_OUTCOMES", &options.keep_outcomes, 3_600, 3_660 * 86_400),
        keep_changes: problems.duration("ORDERFLOW_KEEP_CHANGES", &options.keep_changes, 60, 366 * 86_400),
        ready_within: problems.duration("ORDERFLOW_READY_WITHIN", &options.ready_within, 1, 3_600),
    }
}

fn http(options: &HttpOptions, clients: &ClientOptions, problems: &mut Problems) -> Http {
    let body_limit = problems.number("ORDERFLOW_BODY_LIMIT", &options.body_limit, 1_024, 64 * 1024 * 1024);
    Http {
        addr: problems
            .parse("ORDERFLOW_HTTP_ADDR", &options.addr, "an address and port such as 127.0.0.1:8080")
            .unwrap_or_else(fallback),
        dev: options.dev,
        graphiql: problems.switch("ORDERFLOW_GRAPHIQL", options.graphiql.as_deref(), options.dev),
        documents: match &options.trusted_documents {
            None => Documents::open(),
            Some(manifest) => Documents::trusted(manifest).unwrap_or_else(|problem| {
                problems.note(&format!("ORDERFLOW_TRUSTED_DOCUMENTS: {problem}"));
                Documents::open()
            }),
        },
        cors_origins: problems.origins("ORDERFLOW_CORS_ORIGINS", options.cors_origins.as_deref()),
        body_limit,
        operation_timeout: problems.duration("ORDERFLOW_OPERATION_TIMEOUT", &options.operation_timeout, 1, 600),
        limits: Limits {
            tokens: problems.number("ORDERFLOW_MAX_TOKENS", &options.max_tokens, 100, 1_000_000),
            selections: problems.number("ORDERFLOW_MAX_SELECTIONS", &options.max_selections, 100, 10_000_000),
            variables: problems.number("ORDERFLOW_MAX_VARIABLES", &options.max_variables, 1_024, 64 * 1024 * 1024),
            depth: problems.number("ORDERFLOW_MAX_DEPTH", &options.max_depth, 5, 200),
            cost: problems.number("ORDERFLOW_MAX_COST", &options.max_cost, 10, 100_000_000),
            aliases: problems.number("ORDERFLOW_MAX_ALIASES", &options.max_aliases, 0, 10_000),
            directives: problems.number("ORDERFLOW_MAX_DIRECTIVES", &options.max_directives, 0, 10_000),
            introspection: problems.switch("ORDERFLOW_INTROSPECTION", options.introspection.as_deref(), options.dev),
            payload_wait: PayloadWait(problems.duration("ORDERFLOW_PAYLOAD_WAIT", &options.payload_wait, 0, 10)),
        },
        clients: clients::read(clients, options.dev, body_limit, problems),
    }
}

/// Never used: a problem has been noted, so the configuration is not made.
fn fallback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8080))
}
