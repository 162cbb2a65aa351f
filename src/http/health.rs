//! Liveness, readiness, metrics and the schema definition.
//!
//! Ready means that every part this process runs is really moving: not that a port is open.

use super::Api;
use crate::{clock::Clock, command, health::Beat, query::Store, shutdown::Shutdown};
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Map, Value, json};
use std::{future::Future, sync::Arc, time::Duration};

/// What readiness looks at. A part that this process does not run is none.
pub struct Checks {
    pub database: command::Database,
    pub store: Store,
    /// Whether commands are refused because too many events wait.
    pub backlog: Option<command::Backlog>,
    pub feed: Option<Beat>,
    pub relay: Option<Beat>,
    pub projector: Option<Beat>,
    /// How long a part may be silent, and an event unpublished.
    pub within: Duration,
}

/// What the probes of a process share. Cheap to clone.
#[derive(Clone)]
pub struct Health {
    pub checks: Arc<Checks>,
    pub clock: Clock,
    pub metrics: PrometheusHandle,
    pub shutdown: Shutdown,
}

/// The probes. Every process has them, whatever its roles.
pub fn probes(health: Health) -> Router {
    let routes = Router::new().route("/livez", get(|| async { "ok\n" }));
    routes.route("/readyz", get(ready)).route("/metrics", get(render)).with_state(health)
}

async fn ready(State(health): State<Health>) -> Response {
    let checks = &health.checks;
    let now = health.clock.now();
    let mut parts = Map::new();
    let mut ready = !health.shutdown.is_draining();
    let mut tell = |name: &str, problem: Option<String>| {
        ready &= problem.is_none();
        parts.insert(name.to_owned(), problem.map_or_else(|| json!("ok"), Value::String));
    };
    let outbox = within(command::relay::oldest_unpublished(&checks.database)).await;
    match outbox {
        None => tell("postgresql", Some("does not answer".into())),
        Some(since) => {
            tell("postgresql", None);
            let waits = since.map(|since| now - since).filter(|age| *age > checks.within);
            let full = checks.backlog.as_ref().and_then(command::Backlog::full);
            let full = full.map(|waiting| format!("{waiting} events wait to be published, so commands are refused"));
            let waits = waits.map(|age| format!("an event has waited {} seconds to be published", age.whole_seconds()));
            tell("outbox", full.or(waits));
        }
    }
    let answers = within(async { checks.store.ping().await.ok() }).await;
    tell("mongodb", answers.is_none().then(|| "does not answer".into()));
    for (name, beat) in [("feed", &checks.feed), ("relay", &checks.relay), ("projector", &checks.projector)] {
        if let Some(beat) = beat {
            tell(name, (!beat.alive(now, checks.within)).then(|| "is not moving".into()));
        }
    }
    if health.shutdown.is_draining() {
        parts.insert("shutdown".into(), json!("draining"));
    }
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": ready, "parts": parts }))).into_response()
}

/// A probe must be answered soon, whatever hangs.
async fn within<T>(check: impl Future<Output = Option<T>>) -> Option<T> {
    tokio::time::timeout(Duration::from_secs(2), check).await.ok().flatten()
}

async fn render(State(health): State<Health>) -> String {
    health.metrics.render()
}

pub async fn sdl(State(api): State<Api>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], api.sdl.to_string()).into_response()
}
