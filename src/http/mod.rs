//! HTTP: routes, and the layers that every request passes.

mod admission;
mod answer;
mod body;
mod explorer;
mod graphql;
mod health;
mod held;
mod negotiate;
mod operate;
mod request;
mod server;
mod sse;
mod trace;
mod ws;

pub use admission::Admission;
pub use explorer::dev_viewers;
pub use health::{Checks, Health, probes};
pub use server::Server;

use crate::{
    auth::Keys,
    clock::Clock,
    config,
    graphql::{Documents, Executor},
    shutdown::Shutdown,
};
use axum::{
    Router,
    http::{HeaderName, HeaderValue, Method, header},
    routing::get,
};
use std::sync::Arc;
use tower_http::{
    compression::CompressionLayer,
    cors::{AllowOrigin, CorsLayer},
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
};

/// What the handlers share.
#[derive(Clone)]
pub struct Api {
    pub executor: Executor,
    pub documents: Documents,
    /// The schema definition, made once.
    pub sdl: Arc<str>,
    pub keys: Keys,
    pub clock: Clock,
    pub settings: Arc<config::Http>,
    pub admission: Admission,
    pub shutdown: Shutdown,
}

/// The whole API, with the probes.
pub fn router(api: Api, health: Health) -> Router {
    let mut routes = Router::new().route("/graphql", get(graphql::get).post(graphql::post)).layer(CompressionLayer::new());
    if api.settings.graphiql {
        routes = routes.merge(explorer::routes());
    }
    if api.settings.limits.introspection {
        routes = routes.route("/schema.graphql", get(health::sdl));
    }
    let routes = routes.with_state(api.clone()).merge(probes(health));
    routes
        .layer(cors(&api.settings.cors_origins))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
}

/// Only listed origins: a token in a page's storage must not work from another page.
fn cors(origins: &[HeaderValue]) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.iter().cloned()))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::ACCEPT,
            HeaderName::from_static("traceparent"),
            sse::LAST_EVENT_ID,
        ])
        .expose_headers([HeaderName::from_static("x-request-id"), header::RETRY_AFTER])
        .max_age(std::time::Duration::from_secs(600))
}
