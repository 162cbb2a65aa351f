//! The composition root: the only place that sees both sides. It makes the parts, hands each what it needs, and starts the tasks
//! of the roles that this process has.

pub mod rebuild;

use crate::{
    auth::Keys,
    clock::{Clock, Ids},
    command::{self, Bus, Database, relay},
    config::{Config, Parts, Role, Work},
    graphql::{self, Writer},
    health::Beat,
    http::{Api, Checks, Health, probes, router},
    query::{
        Feed, Reader, Store,
        projector::{self, Fold},
    },
    shutdown::Shutdown,
    telemetry,
};
use axum::{Router, serve::ListenerExt};
use std::{future::IntoFuture, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::Notify};

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
    #[error("metrics cannot be collected: {0}")]
    Metrics(String),
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
    let (database, store) = connect(&config.parts).await?;
    let facts = command::check(&database).await.map_err(|e| StartError::Database(e.to_string()))?;
    if !facts.migrated {
        return Err(StartError::NotMigrated);
    }
    // A read model from before there were generations is the first one, of the first fold.
    store.register(1).await.map_err(|e| StartError::Store(e.to_string()))?;
    let registry = store.look().await.map_err(|e| StartError::Store(e.to_string()))?;
    config.parts.bus.generations.set(registry.ids());
    let shutdown = Shutdown::new();
    let knowing = projector::keep_known(store.clone(), config.parts.bus.generations.clone(), shutdown.clone());
    shutdown.supervise("generations", knowing);
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
        let settings = projector::Settings { bus: config.parts.bus.clone(), batch: config.work.projector_batch, fold };
        let rebuilder = rebuild::Rebuilder::new(&database, &store, settings.clone(), config.work.relay_shards, clock, ids);
        let requests = command::RebuildRequests::new(&database);
        shutdown.supervise("rebuilds", rebuild::requests::run(rebuilder, requests, clock.clone(), shutdown.clone()));
        let task = projector::run(store.clone(), settings, clock.clone(), beat.clone(), shutdown.clone());
        shutdown.supervise("projector", task);
    }
    let health = beats.health(config, &database, &store, clock, &shutdown)?;
    let addr = match &beats.feed {
        None => serve_probes(config, health).await,
        Some(beat) => {
            shutdown.supervise("feed", feed.run(clock.clone(), beat.clone(), shutdown.clone()));
            let bus = Bus::start(&database, config.work.command, clock, ids, &committed, &shutdown);
            let writer = Writer { bus, clock: clock.clone(), ids: ids.clone() };
            let requests = command::RebuildRequests::new(&database);
            let rebuilds = graphql::Rebuilds { requests, fold: fold.version, clock: clock.clone(), ids: ids.clone() };
            let schema = graphql::schema(writer, rebuilds, reader.clone(), &config.http.limits);
            Some(serve_api(config, schema, health, clock).await?)
        }
    };
    Ok(App { addr, shutdown, reader, store, database })
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
    schema: graphql::OrderflowSchema,
    health: Health,
    clock: &Clock,
) -> Result<SocketAddr, StartError> {
    let api = Api {
        schema,
        documents: config.http.documents.clone(),
        sdl: graphql::sdl().into(),
        keys: Keys::hs256(&config.http.jwt_secret),
        clock: clock.clone(),
        settings: Arc::new(config.http.clone()),
        shutdown: health.shutdown.clone(),
    };
    let shutdown = health.shutdown.clone();
    listen(config.http.addr, router(api, health), &shutdown).await
}

/// A process without the API is probed all the same. Several on one machine cannot all have the same port, and none of them needs
/// it for its work, so a taken one is no reason not to start.
async fn serve_probes(config: &Config, health: Health) -> Option<SocketAddr> {
    let shutdown = health.shutdown.clone();
    match listen(config.http.addr, probes(health), &shutdown).await {
        Ok(addr) => Some(addr),
        Err(error) => {
            tracing::warn!(%error, "health and metrics of this process are not served; ORDERFLOW_HTTP_ADDR gives it an address");
            None
        }
    }
}

async fn listen(addr: SocketAddr, routes: Router, shutdown: &Shutdown) -> Result<SocketAddr, StartError> {
    let refused = |source| StartError::Listen { addr, source };
    let listener = TcpListener::bind(addr).await.map_err(refused)?;
    let addr = listener.local_addr().map_err(refused)?;
    let draining = shutdown.clone();
    // Small messages that follow each other must not wait for the acknowledgement of the first (Nagle's algorithm).
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let server = axum::serve(listener, routes).with_graceful_shutdown(async move { draining.draining().await });
    shutdown.supervise("http", async move {
        if let Err(error) = server.into_future().await {
            tracing::error!(%error, "the listener failed");
        }
    });
    Ok(addr)
}
