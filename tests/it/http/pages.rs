//! The pages beside the API: for operators, for machines, and the explorer, which a production server does not have.

use super::{GRAPHQL, JSON, header, post, send, to};
use crate::support::{Client, TestApp, until};
use orderflow::{
    auth::Keys,
    config::DEV_SECRET,
    value::{Role, Time, Viewer},
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn every_request_has_an_id_its_own_or_one_of_ours() {
    let app = TestApp::start().await;
    let mut ids = Vec::new();
    for path in ["/livez", "/graphql", "/graphiql", "/nowhere", "/metrics"] {
        let given = send(to(&app, Method::GET, path).header("x-request-id", "checkout-7")).await;
        assert_eq!(header(&given, "x-request-id"), "checkout-7", "{path}");
        ids.push(header(&send(to(&app, Method::GET, path)).await, "x-request-id").to_owned());
    }
    ids.sort();
    ids.dedup();
    assert!(ids.len() == 5 && ids.iter().all(|id| uuid::Uuid::try_parse(id).is_ok()), "{ids:?}");
    app.close().await;
}

#[tokio::test]
async fn operators_see_that_it_lives_that_it_moves_and_how_much() {
    let app = TestApp::start().await;
    let live = send(to(&app, Method::GET, "/livez")).await;
    assert_eq!((live.status(), live.text().await.expect("a text").trim()), (StatusCode::OK, "ok"));
    let ready = until("readiness", || async {
        let response = send(to(&app, Method::GET, "/readyz")).await;
        let status = response.status();
        let told: Value = response.json().await.expect("JSON");
        if status == StatusCode::OK { Ok(told) } else { Err(told) }
    });
    let parts = ["feed", "mongodb", "outbox", "postgresql", "projector", "relay"].map(|part| (part.to_owned(), json!("ok")));
    let parts: serde_json::Map<_, _> = parts.into_iter().collect();
    assert_eq!(ready.await, json!({ "ready": true, "parts": parts }));
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    ada.place(&[(&tea, 1)]).await;
    assert_eq!(ada.refused("placeOrder", json!({ "lines": [] })).await, "EMPTY_ORDER");
    let metrics = send(to(&app, Method::GET, "/metrics")).await.text().await.expect("a text");
    for line in [
        "orderflow_commands_total{use_case=\"PlaceOrder\",outcome=\"accepted\"} ",
        "orderflow_commands_total{use_case=\"PlaceOrder\",outcome=\"refused\"} ",
        "orderflow_command_group_size_bucket{le=\"1\"}",
        "orderflow_http_operation_seconds_count",
    ] {
        assert!(metrics.contains(line), "{line} is not in:\n{metrics}");
    }
    assert!(!metrics.contains("Lovelace") && !metrics.contains('@'), "nobody is named in metrics");
    app.close().await;
}

#[tokio::test]
async fn the_schema_can_be_had_as_text_while_developing() {
    let app = TestApp::start().await;
    let schema = send(to(&app, Method::GET, "/schema.graphql")).await;
    assert_eq!(header(&schema, "content-type"), "text/plain; charset=utf-8");
    assert_eq!(schema.text().await.expect("a text"), orderflow::graphql::sdl());
    app.close().await;
}

/// The explorer is built apart; without it the page says so, and there is nothing more to see.
fn is_built() -> bool {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("web/dist/index.html").exists()
}

#[tokio::test]
async fn the_explorer_opens_with_the_demo_shops_people_signed_in() {
    let app = TestApp::start().await;
    let response = send(to(&app, Method::GET, "/graphiql")).await;
    assert_eq!((response.status(), header(&response, "content-type")), (StatusCode::OK, "text/html; charset=utf-8"));
    if !is_built() {
        assert!(response.text().await.expect("a page").contains("scripts/web"), "the page says how to build it");
        return app.close().await;
    }
    let policy = header(&response, "content-security-policy").to_owned();
    for rule in ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.split(';').any(|given| given.trim() == rule), "{rule} is not in {policy}");
    }
    assert!(!policy.contains("http") && !policy.contains("unsafe-eval"), "{policy}");
    assert_eq!(header(&response, "cache-control"), "no-store", "it holds tokens");
    let page = response.text().await.expect("a page");
    assert!(!page.contains("\"orderflow\":\"settings\""), "the placeholder is still there");
    let settings = page.split("id=\"settings\">").nth(1).and_then(|rest| rest.split("</script>").next()).expect("settings");
    let settings: Value = serde_json::from_str(settings).expect("JSON");
    assert_eq!(settings["endpoint"], "/graphql");
    let tokens = settings["tokens"].as_array().expect("tokens");
    assert!(tokens.len() >= 3, "{settings:#}");
    for token in tokens {
        // Each is good: the catalogue opens with it.
        let client = Client::new(app.addr(), Some(token["token"].as_str().expect("a token").to_owned()));
        assert_eq!(client.ask("{ products { totalCount } }", json!({})).await["products"]["totalCount"], 0, "{}", token["label"]);
    }
    assert_eq!(settings["headers"]["Authorization"], format!("Bearer {}", tokens[0]["token"].as_str().expect("a token")));
    // For a page that is open when its tokens end.
    let again = send(to(&app, Method::GET, "/graphiql/settings.json")).await;
    assert_eq!(header(&again, "cache-control"), "no-store", "it holds tokens");
    let again: Value = again.json().await.expect("JSON");
    let labels =
        |settings: &Value| settings["tokens"].as_array().expect("tokens").iter().map(|t| t["label"].clone()).collect::<Vec<_>>();
    assert_eq!(labels(&again), labels(&settings));
    let client = Client::new(app.addr(), again["tokens"][0]["token"].as_str().map(str::to_owned));
    assert_eq!(client.ask("{ products { totalCount } }", json!({})).await["products"]["totalCount"], 0);
    let script = page.split("src=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a script");
    let asset = send(to(&app, Method::GET, script)).await;
    assert_eq!((asset.status(), header(&asset, "x-content-type-options")), (StatusCode::OK, "nosniff"));
    assert_eq!(header(&asset, "cache-control"), "public, max-age=31536000, immutable", "its name has a hash: {script}");
    assert_eq!((header(&asset, "content-encoding"), header(&asset, "etag")), ("", ""), "nobody asked for it compressed");
    let packed = send(to(&app, Method::GET, script).header("accept-encoding", "gzip, br")).await;
    assert_eq!((header(&packed, "content-encoding"), header(&packed, "vary")), ("gzip", "accept-encoding"));
    assert_eq!(header(&packed, "content-type"), header(&asset, "content-type"));
    let (plain, packed) = (asset.bytes().await.expect("a script"), packed.bytes().await.expect("a script"));
    assert!(packed.starts_with(&[0x1f, 0x8b]) && packed.len() * 2 < plain.len(), "{} of {}", packed.len(), plain.len());
    let icon = send(to(&app, Method::GET, "/graphiql/favicon.svg")).await;
    assert_eq!((icon.status(), header(&icon, "cache-control")), (StatusCode::OK, "no-cache"), "its name has none");
    assert_eq!(send(to(&app, Method::GET, &format!("{script}.gz"))).await.status(), StatusCode::NOT_FOUND);
    for nothing in ["/graphiql/index.html", "/graphiql/../Cargo.toml", "/graphiql/%2e%2e/Cargo.toml", "/graphiql/none.js"] {
        assert_eq!(send(to(&app, Method::GET, nothing)).await.status(), StatusCode::NOT_FOUND, "{nothing}");
    }
    app.close().await;
}

#[tokio::test]
async fn a_production_server_shows_neither_explorer_nor_schema_and_knows_no_development_token() {
    let app = TestApp::build().production().start().await;
    for path in ["/graphiql", "/graphiql/settings.json", "/graphiql/favicon.svg", "/schema.graphql"] {
        assert_eq!(send(to(&app, Method::GET, path)).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    for question in ["{ __schema { types { name } } }", "{ __type(name: \"Order\") { fields { name } } }"] {
        for accept in [JSON, GRAPHQL] {
            let body = json!({ "query": question }).to_string();
            let response = send(post(&app, JSON, body).header("accept", accept)).await;
            let answer: Value = response.json().await.expect("JSON");
            assert_eq!(answer["data"]["__schema"].as_object().or(answer["data"]["__type"].as_object()), None, "{answer:#}");
        }
    }
    // What a client needs to know of a type by name is still told, and the rest of the API is all there.
    let seen = app.staff().ask("{ __typename products { __typename totalCount } }", json!({})).await;
    assert_eq!(seen, json!({ "__typename": "Query", "products": { "__typename": "ProductConnection", "totalCount": 0 } }));
    let admin = Viewer { subject: "admin".to_owned(), role: Role::Admin };
    let token = Keys::hs256(DEV_SECRET).sign(&admin, Time::now_utc(), Duration::from_secs(60)).expect("a token");
    let request = to(&app, Method::POST, "/graphql").bearer_auth(token).header("content-type", JSON);
    let response = send(request.body(json!({ "query": "{ me { id } }" }).to_string())).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    app.close().await;
}
