//! GraphQL over HTTP, as the specification asks: what is read and in which form it is answered, and the pages beside it.
//! <https://graphql.github.io/graphql-over-http/draft/>

mod live;
mod outage;
mod pages;
mod resume;

use crate::support::TestApp;
use orderflow::{
    auth::Keys,
    value::{Role, Time, Viewer},
};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

const JSON: &str = "application/json";
const GRAPHQL: &str = "application/graphql-response+json";
const EVENTS: &str = "text/event-stream";

fn to(app: &TestApp, method: Method, path: &str) -> RequestBuilder {
    reqwest::Client::new().request(method, app.anonymous().url(path))
}

/// A POST of a body as it is, by staff.
fn post(app: &TestApp, kind: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
    let request = to(app, Method::POST, "/graphql").bearer_auth(app.token("staff", Role::Staff)).body(body);
    if kind.is_empty() { request } else { request.header("content-type", kind) }
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().expect("a text"))
}

async fn send(request: RequestBuilder) -> Response {
    request.send().await.expect("the server answers")
}

/// A command that would be seen in the books.
fn new_product(sku: &str) -> String {
    let price = "{ amount: \"6.50\", currencyCode: \"GBP\" }";
    format!(
        "mutation {{ createProduct(input: {{ sku: \"{sku}\", name: \"Tea\", price: {price} }})
            {{ receipt {{ version }} errors {{ code }} }} }}"
    )
}

#[tokio::test]
async fn questions_may_be_asked_by_get_and_nothing_can_be_done_by_it() {
    let app = TestApp::start().await;
    let tea = app.product("TEA-1", 650, 10).await;
    let (before, both) = (app.state().await, format!("query Ask($id: ID!) {{ node(id: $id) {{ id }} }} {}", new_product("X-1")));
    let both = both.replace("mutation {", "mutation Do {");
    let id = json!({ "id": tea }).to_string();
    let cases: [(&[(&str, &str)], u16); 9] = [
        (&[("query", "{ products { pageInfo { hasNextPage } } }")], 200),
        (&[("query", &both), ("operationName", "Ask"), ("variables", &id)], 200),
        (&[("query", &both), ("operationName", "Do"), ("variables", &id)], 405),
        (&[("query", &new_product("X-1"))], 405),
        (&[("query", &new_product("X-1")), ("operationName", "")], 405),
        (&[("query", "subscription { ordersChanged { kind } }")], 400),
        (&[("query", "{ me { id } }"), ("variables", "[1]")], 400),
        (&[("operationName", "Ask")], 400),
        (&[], 400),
    ];
    for (parameters, status) in cases {
        let request = to(&app, Method::GET, "/graphql").query(parameters).bearer_auth(app.token("staff", Role::Staff));
        let response = send(request).await;
        assert_eq!(response.status(), status, "{parameters:?}");
        assert_eq!(header(&response, "allow"), if status == 405 { "POST" } else { "" }, "{parameters:?}");
        let answer: Value = response.json().await.expect("JSON");
        assert_eq!(answer.get("errors").is_none(), status == 200, "{answer:#}");
    }
    // Two operations and no name for one of them: whatever is answered, nothing is done.
    send(to(&app, Method::GET, "/graphql").query(&[("query", &both)]).bearer_auth(app.token("staff", Role::Staff))).await;
    assert_eq!(app.state().await, before);
    app.close().await;
}

#[tokio::test]
async fn only_json_in_utf8_is_read() {
    let app = TestApp::start().await;
    let before = app.state().await;
    let body = json!({ "query": new_product("X-1") }).to_string();
    // What a page of somebody else's can send without asking, and what would be read wrongly.
    for kind in [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/graphql",
        "application/json; charset=latin1",
        "text/json",
        "application/jsonp",
    ] {
        let response = send(post(&app, kind, body.clone())).await;
        assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{kind:?}");
        assert_eq!(
            response.json::<Value>().await.expect("JSON")["errors"][0]["extensions"]["code"],
            "BAD_USER_INPUT",
            "{kind:?}"
        );
    }
    assert_eq!(app.state().await, before);
    for (at, kind) in ["application/json", "Application/JSON; charset=\"UTF-8\""].into_iter().enumerate() {
        let body = json!({ "query": new_product(&format!("X-{at}")) }).to_string();
        let answer: Value = send(post(&app, kind, body)).await.json().await.expect("JSON");
        assert_eq!(answer["data"]["createProduct"]["receipt"]["version"], 1, "{kind}: {answer:#}");
    }
    app.close().await;
}

#[tokio::test]
async fn what_is_no_request_is_told_so() {
    let app = TestApp::build().with("--body-limit", "2048").start().await;
    let question = "{ products { totalCount } }";
    let large = json!({ "query": question, "variables": { "padding": "x".repeat(2_048) } }).to_string();
    for (body, status, message) in [
        ("{\"query\":", 400, "The body is not a GraphQL request: a JSON object with a query."),
        ("", 400, "The body is not a GraphQL request: a JSON object with a query."),
        ("{}", 400, "The body is not a GraphQL request: a JSON object with a query."),
        ("{\"query\":\"{ me { id } }\",\"variables\":[]}", 400, "The body is not a GraphQL request: a JSON object with a query."),
        (" [{\"query\":\"{ me { id } }\"}]", 400, "Batches are not supported: send one operation a request."),
        (&large, 413, "The body is too large or was cut off."),
        (
            "{\"query\":\"subscription { ordersChanged { kind } }\"}",
            400,
            "Subscriptions go over WebSocket, or with Accept: text/event-stream.",
        ),
    ] {
        for accept in [JSON, GRAPHQL, "*/*"] {
            let response = send(post(&app, JSON, body.to_owned()).header("accept", accept)).await;
            assert_eq!(response.status(), status, "{body} for {accept}");
            let answer: Value = response.json().await.expect("JSON");
            assert_eq!(answer["errors"][0]["message"], message, "{body}");
            assert_eq!(answer["errors"].as_array().map(Vec::len), Some(1), "{body}");
        }
    }
    let good = json!({ "query": question }).to_string();
    for accept in ["text/html", "image/png, text/html;q=0.9", "application/json;q=0", "nonsense"] {
        let response = send(post(&app, JSON, good.clone()).header("accept", accept)).await;
        assert_eq!(response.status(), StatusCode::NOT_ACCEPTABLE, "{accept}");
    }
    assert_eq!(send(to(&app, Method::PUT, "/graphql")).await.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(send(to(&app, Method::GET, "/nowhere")).await.status(), StatusCode::NOT_FOUND);
    app.close().await;
}

#[tokio::test]
async fn the_form_of_the_answer_decides_what_its_status_says() {
    let app = TestApp::start().await;
    for (query, in_graphql_form) in [
        ("{ products {", 400),                                               // does not parse
        ("{ nothing }", 400),                                                // is not in the schema
        ("{ order(id: \"x\", consistency: { token: \"x\" }) { id } }", 200), // is well formed, and has no answer
        ("{ products { totalCount } }", 200),
    ] {
        for (accept, kind, status) in [
            (JSON, "application/json; charset=utf-8", 200),
            (GRAPHQL, "application/graphql-response+json; charset=utf-8", in_graphql_form),
            (
                "application/json;q=0.5, application/graphql-response+json",
                "application/graphql-response+json; charset=utf-8",
                in_graphql_form,
            ),
            ("*/*", "application/json; charset=utf-8", 200),
        ] {
            let response = send(post(&app, JSON, json!({ "query": query }).to_string()).header("accept", accept)).await;
            assert_eq!(header(&response, "cache-control"), "private, no-store");
            let (told, form) = (response.status().as_u16(), header(&response, "content-type").to_owned());
            let answer: Value = response.json().await.expect("JSON");
            assert_eq!((told, form.as_str()), (status, kind), "{query} for {accept}: {answer:#}");
            // A request that failed before it was carried out has no data at all; one that was carried out has.
            assert_eq!(answer.get("data").is_some_and(|data| !data.is_null()), in_graphql_form == 200, "{answer:#}");
        }
    }
    app.close().await;
}

#[tokio::test]
async fn a_variable_that_is_missing_or_of_another_kind_is_a_mistake_of_the_request() {
    let app = TestApp::start().await;
    let (before, mut wrong) = (app.state().await, Vec::new());
    let (node, pay) =
        ("query($it: ID!) { it: node(id: $it) { id } }", "mutation($it: PayOrderInput!) { it: payOrder(input: $it)");
    let pay = format!("{pay} {{ receipt {{ version }} errors {{ code }} }} }}");
    for (query, variables) in [
        (node, json!({})),
        (node, json!({ "it": null })),
        (node, json!({ "it": ["x"] })),
        (&pay, json!({})),
        (&pay, json!({ "it": { "orderId": "x" } })),
        (&pay, json!({ "it": { "orderId": "x", "reference": "x", "discount": 100 } })),
    ] {
        for (accept, status) in [(JSON, 200), (GRAPHQL, 400)] {
            let body = json!({ "query": query, "variables": variables }).to_string();
            let response = send(post(&app, JSON, body).header("accept", accept)).await;
            let (told, answer) = (response.status(), response.json::<Value>().await.expect("JSON"));
            assert!(answer["errors"][0]["message"].is_string(), "{query} with {variables}: {answer:#}");
            if (told.as_u16(), answer.get("data")) != (status, None) {
                wrong.push(format!("{variables} for {accept} is answered {told}: {}", answer["errors"][0]["message"]));
            }
        }
    }
    assert_eq!(app.state().await, before);
    assert!(wrong.is_empty(), "taken for answers of the execution:\n{}", wrong.join("\n"));
    app.close().await;
}

#[tokio::test]
async fn a_token_that_is_none_of_ours_is_turned_away_whatever_is_asked() {
    let app = TestApp::start().await;
    let (before, secret) = (app.state().await, app.config.auth.secret.clone().expect("a secret"));
    let admin = Viewer { subject: "admin".to_owned(), role: Role::Admin };
    let sign = |secret: &str, at: Time| Keys::hs256(secret).sign(&admin, at, Duration::from_secs(60)).expect("a token");
    let now = Time::now_utc();
    let late = sign(&secret, now - Duration::from_secs(3_600));
    let forged = sign("another secret of at least thirty-two", now);
    let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiIsInJvbGUiOiJBRE1JTiIsImV4cCI6OTk5OTk5OTk5OX0.";
    let wrong = [
        "Bearer nonsense",
        "Basic YWRtaW46YWRtaW4=",
        "Bearer",
        "",
        &sign(&secret, now),
        &format!("Bearer {late}"),
        &format!("Bearer {forged}"),
        &format!("Bearer {unsigned}"),
    ];
    for authorization in wrong {
        for accept in [JSON, GRAPHQL, EVENTS] {
            let request = to(&app, Method::POST, "/graphql").header("content-type", JSON).header("accept", accept);
            let body = json!({ "query": new_product("X-1") }).to_string();
            let response = send(request.header("authorization", authorization).body(body)).await;
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{authorization}");
            assert_eq!(header(&response, "www-authenticate"), "Bearer");
            let answer: Value = response.json().await.expect("JSON");
            let told =
                json!({ "message": "The token is not valid or has expired.", "extensions": { "code": "UNAUTHENTICATED" } });
            assert_eq!((&answer["data"], &answer["errors"]), (&Value::Null, &json!([told])), "{authorization}");
        }
    }
    assert_eq!(app.state().await, before);
    app.close().await;
}
