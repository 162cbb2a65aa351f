//! GraphiQL. Its assets are built from pinned npm packages by `scripts/web` and embedded; nothing is loaded from elsewhere. Built
//! without Node, the page says what is missing.

use super::Api;
use crate::value::{Role, Viewer};
use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use rust_embed::RustEmbed;
use serde_json::json;
use std::time::Duration;

#[derive(RustEmbed)]
#[folder = "web/dist"]
#[allow_missing = true]
struct Assets;

/// Everything from here, nothing from elsewhere; GraphiQL sets styles by script.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      font-src 'self'; \
                      connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const MISSING: &str = "<!doctype html><title>GraphiQL is not built</title><h1>GraphiQL is not built into this server</h1>\
                       <p>It was compiled without the explorer's assets. Install Node.js 18 or newer with npm, run \
                       <code>scripts/web</code>, and build again. The API itself is at <code>/graphql</code>.";

/// The text in the page that is replaced by its settings.
const SETTINGS: &str = r#"{"orderflow":"settings"}"#;

pub fn routes() -> Router<Api> {
    Router::new().route("/graphiql", get(page)).route("/graphiql/{*asset}", get(asset))
}

async fn page(State(api): State<Api>) -> Response {
    let Some(index) = Assets::get("index.html") else { return Html(MISSING).into_response() };
    let settings = settings(&api).to_string().replace('<', "\\u003c");
    let page = String::from_utf8_lossy(&index.data).replacen(SETTINGS, &settings, 1);
    let mut response = Html(page).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    // It carries tokens.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn asset(Path(name): Path<String>) -> Response {
    let Some(file) = Assets::get(&name).filter(|_| name != "index.html") else { return StatusCode::NOT_FOUND.into_response() };
    let mut response = file.data.into_response();
    let headers = response.headers_mut();
    if let Ok(kind) = file.metadata.mimetype().parse() {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    // Names with a hash never change what they mean; the others are looked at again each time.
    let hashed = name.starts_with("chunk-") || name.starts_with("font-");
    let cache = if hashed { "public, max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// In development, tokens for everybody in the demo shop; elsewhere, none.
fn settings(api: &Api) -> serde_json::Value {
    let mut tokens = Vec::new();
    if api.settings.dev {
        for (label, viewer) in dev_viewers() {
            if let Ok(token) = api.keys.sign(&viewer, api.clock.now(), Duration::from_secs(7 * 86_400)) {
                tokens.push(json!({ "label": label, "token": token }));
            }
        }
    }
    let headers = match tokens.first() {
        Some(first) => json!({ "Authorization": format!("Bearer {}", first["token"].as_str().unwrap_or_default()) }),
        None => json!({}),
    };
    json!({ "endpoint": "/graphql", "headers": headers, "tokens": tokens })
}

/// Who can be signed in as, with one click, in development.
pub fn dev_viewers() -> Vec<(&'static str, Viewer)> {
    use crate::demo::people;
    vec![
        ("ADMIN admin", Viewer { subject: "admin".into(), role: Role::Admin }),
        ("STAFF Grace", Viewer { subject: people::GRACE.to_string(), role: Role::Staff }),
        ("CUSTOMER Ada", Viewer { subject: people::ADA.to_string(), role: Role::Customer }),
        ("CUSTOMER Alan", Viewer { subject: people::ALAN.to_string(), role: Role::Customer }),
    ]
}
