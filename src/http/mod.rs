//! HTTP: routes, and the layers that every request passes.

mod answer;
mod explorer;
mod graphql;
mod health;
mod negotiate;
mod request;
mod sse;
mod trace;
mod ws;

pub use explorer::dev_viewers;
pub use health::{Checks, Health, probes};

use crate::{
    auth::Keys,
    clock::Clock,
    config,
    graphql::{Documents, Executor},
    shutdown::Shutdown,
};
use axum::{
    Router,
    extract::DefaultBodyLimit,
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
    pub shutdown: Shutdown,
}

/// The whole API, with the probes.
pub fn router(api: Api, health: Health) -> Router {
    let mut routes = Router::new()
        .route("/graphql", get(graphql::get).post(graphql::post))
        .layer(CompressionLayer::new())
        .layer(DefaultBodyLimit::max(api.settings.body_limit));
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
fn cors(origins: &[String]) -> CorsLayer {
    let origins: Vec<HeaderValue> = origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::ACCEPT, HeaderName::from_static("traceparent")])
        .expose_headers([HeaderName::from_static("x-request-id")])
        .max_age(std::time::Duration::from_secs(600))
}
