//! The composition root: the only place that sees both sides. It makes the parts, hands each what it needs, and starts the tasks
//! of the roles that this process has.

pub mod rebuild;

use crate::{
    auth::Keys,
    clock::{Clock, Ids},
    command::{self, Backlog, Bus, Database, relay},
    config::{Config, Parts, Role, Work},
    crash,
    graphql::{self, Writer},
    health::Beat,
    http::{Admission, Api, Checks, Health, Server, probes, router},
    query::{
        Feed, Reader, Store, StoreError,
        projector::{self, Fold},
    },
    shutdown::Shutdown,
    telemetry,
};
use axum::Router;
use futures_util::future::BoxFuture;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::sync::Notify;

/// A running process.
pub struct App {
    /// Where it listens: the API, or without that role only the probes.
    pub addr: Option<SocketAddr>,
    pub shutdown: Shutdown,
    pub reader: Reader,
    pub store: Store,
    pub database: Database,
}

/// Why the process cannot start; a line for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("PostgreSQL cannot be used: {0}; `orderflow doctor` looks closer")]
    Database(String),
    #[error("the schema is not there yet: run `orderflow migrate` first")]
    NotMigrated,
    #[error("MongoDB cannot be used: {0}; `orderflow doctor` looks closer")]
    Store(String),
    #[error("cannot listen on {addr}: {source}")]
    Listen { addr: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Schema(#[from] graphql::BadSchema),
    #[error("metrics cannot be collected: {0}")]
    Metrics(String),
    #[error("tokens cannot be checked: {0}; `orderflow doctor` looks closer")]
    Keys(String),
}

/// Connects to both stores.
///
/// # Errors
/// One of them cannot be reached.
pub async fn connect(parts: &Parts) -> Result<(Database, Store), StartError> {
    let database = command::connect(&parts.database_url, parts.database_connections).await;
    let database = database.map_err(|e| StartError::Database(e.to_string()))?;
    let store = Store::connect(&parts.mongodb_uri, parts.mongodb_connections).await;
    Ok((database, store.map_err(|e| StartError::Store(e.to_string()))?))
}

/// Brings both schemas up to date. Safe to run twice and by several processes at once.
///
/// # Errors
/// One of the stores cannot be reached or refuses.
pub async fn migrate(parts: &Parts, work: &Work) -> Result<(), StartError> {
    let (_, store) = connect(parts).await?;
    command::migrate(&parts.database_url).await.map_err(|e| StartError::Database(e.to_string()))?;
    crash::point("migration-between");
    store.migrate(work.keep_changes, Fold::CURRENT.version).await.map_err(|e| StartError::Store(e.to_string()))
}

/// Starts the roles.
///
/// # Errors
/// Something that the process needs is not there.
pub async fn start(config: &Config, roles: &[Role], clock: &Clock, ids: &Ids) -> Result<App, StartError> {
    start_folding(config, roles, clock, ids, Fold::CURRENT).await
}

/// The same with a fold of the caller's making, as the next version may have one.
///
/// # Errors
/// Something that the process needs is not there.
pub async fn start_folding(config: &Config, roles: &[Role], clock: &Clock, ids: &Ids, fold: Fold) -> Result<App, StartError> {
    let shutdown = Shutdown::new();
    // Nobody shows a token to a process without the API.
    let keys = if roles.contains(&Role::Api) {
        Some(Keys::open(&config.auth, clock, &shutdown).await.map_err(StartError::Keys)?)
    } else {
        None
    };
    let (database, store) = connect(&config.parts).await?;
    let facts = command::check(&database).await.map_err(|e| StartError::Database(e.to_string()))?;
    if !facts.migrated {
        return Err(StartError::NotMigrated);
    }
    know_generations(config, &store, &shutdown).await.map_err(|e| StartError::Store(e.to_string()))?;
    let committed = Arc::new(Notify::new());
    let has = |role| roles.contains(&role).then(Beat::default);
    let beats = Beats { relay: has(Role::Relay), projector: has(Role::Projector), feed: has(Role::Api) };
    let feed = Feed::new(store.clone());
    let reader = Reader::new(store.clone(), feed.clone());

    if let Some(beat) = &beats.relay {
        let settings = relay::Settings {
            bus: config.parts.bus.clone(),
            shards: config.work.relay_shards,
            batch: config.work.relay_batch,
            sweep: config.work.relay_sweep,
        };
        relay::start(&database, &settings, clock, &committed, beat, &shutdown);
        shutdown.supervise("backlog gauge", relay::watch_backlog(database.clone(), clock.clone(), shutdown.clone()));
        let keep = config.work.keep_outcomes;
        let housekeeping = command::housekeeping::run(database.clone(), keep, clock.clone(), shutdown.clone());
        shutdown.supervise("housekeeping", housekeeping);
    }
    if let Some(beat) = &beats.projector {
        store.keep_changes(config.work.keep_changes).await.map_err(|e| StartError::Store(e.to_string()))?;
        let settings = projecting(&config.parts, &config.work, fold);
        shutdown.supervise("parked events", projector::watch(store.clone(), fold, clock.clone(), shutdown.clone()));
        let rebuilder = rebuild::Rebuilder::new(&database, &store, settings.clone(), config.work.relay_shards, clock, ids);
        let requests = command::RebuildRequests::new(&database);
        shutdown.supervise("rebuilds", rebuild::requests::run(rebuilder, requests, clock.clone(), shutdown.clone()));
        let held_up = held_up(&database, clock);
        let caretaker = projector::look_after_queues(store.clone(), settings.clone(), held_up, shutdown.clone());
        shutdown.supervise("queues", caretaker);
        let task = projector::run(store.clone(), settings, clock.clone(), beat.clone(), shutdown.clone());
        shutdown.supervise("projector", task);
    }
    let backlog = beats.feed.as_ref().map(|_| Backlog::bounded(config.work.max_backlog));
    let health = beats.health(config, &database, &store, backlog.as_ref(), clock, &shutdown)?;
    let addr = match (&beats.feed, keys, backlog) {
        (Some(beat), Some(keys), Some(backlog)) => {
            shutdown.supervise("feed", feed.run(clock.clone(), beat.clone(), shutdown.clone()));
            shutdown.supervise("backlog", backlog.clone().watch(database.clone(), shutdown.clone()));
            let bus = Bus::start(&database, config.work.command, clock, ids, &committed, &backlog, &shutdown);
            let writer = Writer { bus, clock: clock.clone(), ids: ids.clone() };
            let requests = command::RebuildRequests::new(&database);
            let rebuilds = graphql::Rebuilds { requests, fold: fold.version, clock: clock.clone(), ids: ids.clone() };
            let executor = graphql::executor(writer, rebuilds, reader.clone(), &config.http.limits)?;
            Some(serve_api(config, executor, keys, health, clock).await?)
        }
        _ => serve_probes(config, health).await,
    };
    Ok(App { addr, shutdown, reader, store, database })
}

/// What a projector, and whoever rebuilds, has to know.
pub fn projecting(parts: &Parts, work: &Work, fold: Fold) -> projector::Settings {
    let (bus, batch, tail) = (parts.bus.clone(), work.projector_batch, work.parked_tail);
    projector::Settings { bus, batch, tail, behind: work.max_behind, replay: work.rebuild_batch, fold }
}

/// Says whether something has waited to be published for longer than a broker takes that is well; not while PostgreSQL does not
/// answer.
fn held_up(database: &Database, clock: &Clock) -> impl Fn() -> BoxFuture<'static, bool> + Send + Sync + use<> {
    const LONG: Duration = Duration::from_secs(2);
    let (database, clock) = (database.clone(), clock.clone());
    move || {
        let (database, clock) = (database.clone(), clock.clone());
        Box::pin(async move {
            let oldest = relay::oldest_unpublished(&database).await.flatten();
            oldest.is_some_and(|since| clock.now() - since > LONG)
        })
    }
}

/// Looks which read models there are, and goes on looking.
async fn know_generations(config: &Config, store: &Store, shutdown: &Shutdown) -> Result<(), StoreError> {
    // A read model from before there were generations is the first one, of the first fold.
    store.register(1).await?;
    let known = config.parts.bus.generations.clone();
    known.set(store.look().await?.ids());
    shutdown.supervise("generations", projector::keep_known(store.clone(), known, shutdown.clone()));
    Ok(())
}

struct Beats {
    relay: Option<Beat>,
    projector: Option<Beat>,
    feed: Option<Beat>,
}

impl Beats {
    fn health(
        &self,
        config: &Config,
        database: &Database,
        store: &Store,
        backlog: Option<&Backlog>,
        clock: &Clock,
        shutdown: &Shutdown,
    ) -> Result<Health, StartError> {
        let metrics = telemetry::metrics().map_err(StartError::Metrics)?;
        let upkeep = (metrics.clone(), shutdown.clone());
        shutdown.supervise("metrics upkeep", async move {
            let mut tick = tokio::time::interval(Duration::from_secs(5));
            loop {
                tokio::select! {
                    _ = tick.tick() => upkeep.0.run_upkeep(),
                    () = upkeep.1.draining() => return,
                }
            }
        });
        let checks = Checks {
            database: database.clone(),
            store: store.clone(),
            backlog: backlog.cloned(),
            feed: self.feed.clone(),
            relay: self.relay.clone(),
            projector: self.projector.clone(),
            within: config.work.ready_within,
        };
        Ok(Health { checks: Arc::new(checks), clock: clock.clone(), metrics, shutdown: shutdown.clone() })
    }
}

async fn serve_api(
    config: &Config,
    executor: graphql::Executor,
    keys: Keys,
    health: Health,
    clock: &Clock,
) -> Result<SocketAddr, StartError> {
    let admission = Admission::new(&config.http.clients);
    let api = Api {
        executor,
        documents: config.http.documents.clone(),
        sdl: graphql::sdl().into(),
        keys,
        clock: clock.clone(),
        settings: Arc::new(config.http.clone()),
        admission: admission.clone(),
        shutdown: health.shutdown.clone(),
    };
    listen(config, router(api, health.clone()), health, admission).await
}

/// A process without the API is probed all the same. Several on one machine cannot all have the same port, and none of them needs
/// it for its work, so a taken one is no reason not to start.
async fn serve_probes(config: &Config, health: Health) -> Option<SocketAddr> {
    match listen(config, probes(health.clone()), health, Admission::new(&config.http.clients)).await {
        Ok(addr) => Some(addr),
        Err(error) => {
            tracing::warn!(%error, "health and metrics of this process are not served; ORDERFLOW_HTTP_ADDR gives it an address");
            None
        }
    }
}

async fn listen(config: &Config, routes: Router, health: Health, admission: Admission) -> Result<SocketAddr, StartError> {
    let (addr, shutdown) = (config.http.addr, health.shutdown.clone());
    let refused = |source| StartError::Listen { addr, source };
    let server = Server::bind(addr, routes, health, admission, config.http.operation_timeout).await.map_err(refused)?;
    let addr = server.addr().map_err(refused)?;
    shutdown.supervise("http", server.run());
    Ok(addr)
}
