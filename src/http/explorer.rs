//! GraphiQL. Its assets are built from pinned npm packages by `scripts/web` and embedded; nothing is loaded from elsewhere. Built
//! without Node, the page says what is missing.
//!
//! What the page loads has a hash of its content in its name, so a browser asks for it once and never again. It is embedded
//! compressed too: four megabytes of script are not compressed anew while others wait for the processor.

use super::Api;
use crate::value::{Role, Viewer};
use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
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
    let routes = Router::new().route("/graphiql", get(page)).route("/graphiql/{*asset}", get(asset));
    // For a page that is open for so long that its tokens end.
    routes.route("/graphiql/settings.json", get(fresh_settings))
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

async fn fresh_settings(State(api): State<Api>) -> Response {
    ([(header::CACHE_CONTROL, "no-store"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")], Json(settings(&api))).into_response()
}

async fn asset(Path(name): Path<String>, wanted: HeaderMap) -> Response {
    // The page is at its own address, and the compressed form of a file at that of the file.
    let packed = std::path::Path::new(&name).extension().is_some_and(|kind| kind == "gz");
    let asset = Some(&name).filter(|name| *name != "index.html" && !packed);
    let Some(file) = asset.and_then(|name| Assets::get(name)) else { return StatusCode::NOT_FOUND.into_response() };
    let packed = Assets::get(&format!("{name}.gz"));
    let (varies, packed) = (packed.is_some(), packed.filter(|_| takes_gzip(&wanted)));
    let is_packed = packed.is_some();
    let mut response = packed.map_or(file.data, |packed| packed.data).into_response();
    let headers = response.headers_mut();
    if varies {
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    if is_packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Ok(kind) = file.metadata.mimetype().parse() {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    // Names with a hash never change what they mean; the others are looked at again each time.
    let cache = if is_hashed(&name) { "public, max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Whether a name ends in a hash, as `web/build.mjs` writes it: `chunk-5WTXV4IX.js`.
fn is_hashed(name: &str) -> bool {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    stem.rsplit_once('-').is_some_and(|(_, hash)| hash.len() == 8 && hash.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// Whether `Accept-Encoding` names gzip, and not only to refuse it.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let given = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    given.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let quality = parts.find_map(|part| part.strip_prefix("q=")).and_then(|q| q.parse::<f32>().ok());
        gzip && quality != Some(0.0)
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_with_a_hash_are_kept_for_good() {
        for name in ["graphiql-HJFXOEFL.js", "graphiql-HM3JFZ5R.css", "font-0f1d5219.ttf", "monaco-editor-IBX2BAUH.js"] {
            assert!(is_hashed(name), "{name}");
        }
        for name in ["favicon.svg", "licenses.txt", "graphiql.js", "a-b.js", "-.", "", "long-namewithoutone.js"] {
            assert!(!is_hashed(name), "{name}");
        }
    }

    #[test]
    fn gzip_is_for_those_who_take_it() {
        let takes = |value: &str| takes_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, value.parse().unwrap())]));
        assert!(takes("gzip, deflate, br, zstd") && takes("br;q=1.0, GZIP;q=0.5"));
        assert!(!takes("") && !takes("br") && !takes("gzip;q=0") && !takes("identity, gzip; q=0.0"));
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
