//! POST and GET on `/graphql`; an upgrade to WebSocket or a stream of events begins here too.

use super::{
    Api,
    negotiate::{Form, is_json},
    sse, trace, ws,
};
use crate::{
    auth::SignedIn,
    graphql::{Caller, ErrorCode},
};
use async_graphql::{Request, Response, ServerError, parser::types::OperationType};
use async_graphql_axum::GraphQLProtocol;
use axum::{
    Json,
    body::Bytes,
    extract::{FromRequestParts, Query, State, ws::WebSocketUpgrade},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response as HttpResponse},
};
use serde::Deserialize;

/// GET: queries, streams of events, and the beginning of a WebSocket.
pub async fn get(State(api): State<Api>, mut parts: Parts) -> HttpResponse {
    if parts.headers.contains_key(header::UPGRADE) {
        let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &api).await;
        let protocol = GraphQLProtocol::from_request_parts(&mut parts, &api).await;
        return match (upgrade, protocol) {
            (Ok(upgrade), Ok(protocol)) => ws::upgrade(api, upgrade, protocol, &parts.headers),
            (Err(rejection), _) => rejection.into_response(),
            (_, Err(status)) => (status, "Ask for the subprotocol graphql-transport-ws.").into_response(),
        };
    }
    let Some(form) = Form::wanted(&parts.headers) else { return not_acceptable() };
    let Ok(Query(params)) = Query::<Params>::try_from_uri(&parts.uri) else {
        return plain(form, StatusCode::BAD_REQUEST, "The parameters cannot be read.");
    };
    let request = match params.into_request() {
        Ok(request) => request,
        Err(message) => return plain(form, StatusCode::BAD_REQUEST, message),
    };
    answer(api, form, &parts.headers, request, Method::Get).await
}

/// POST: any operation, as JSON.
pub async fn post(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> HttpResponse {
    let Some(form) = Form::wanted(&headers) else { return not_acceptable() };
    if !is_json(&headers) {
        return plain(form, StatusCode::UNSUPPORTED_MEDIA_TYPE, "Send the request as application/json in UTF-8.");
    }
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return plain(form, rejection.status(), "The body is too large or was cut off."),
    };
    let request = match serde_json::from_slice::<Body>(&body).map(Body::into_request) {
        Ok(request) => request,
        Err(_) if body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[') => {
            return plain(form, StatusCode::BAD_REQUEST, "Batches are not supported: send one operation a request.");
        }
        Err(_) => {
            return plain(form, StatusCode::BAD_REQUEST, "The body is not a GraphQL request: a JSON object with a query.");
        }
    };
    answer(api, form, &headers, request, Method::Post).await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    Get,
    Post,
}

async fn answer(api: Api, form: Form, headers: &HeaderMap, mut request: Request, method: Method) -> HttpResponse {
    let caller = match caller(&api, headers) {
        Ok(caller) => caller,
        Err(response) => return response.into_http(form),
    };
    let operation = match operation(&mut request) {
        Ok(operation) => operation,
        Err(error) => return respond(form, Response::from_errors(vec![error])),
    };
    if method == Method::Get && operation == Some(OperationType::Mutation) {
        let mut response = plain(form, StatusCode::METHOD_NOT_ALLOWED, "Mutations are sent by POST.");
        response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("POST"));
        return response;
    }
    let request = request.data(caller);
    if form == Form::EventStream {
        return sse::stream(&api, request);
    }
    if operation == Some(OperationType::Subscription) {
        return plain(form, StatusCode::BAD_REQUEST, "Subscriptions go over WebSocket, or with Accept: text/event-stream.");
    }
    let started = std::time::Instant::now();
    let response = match tokio::time::timeout(api.settings.operation_timeout, api.schema.execute(request)).await {
        Ok(response) => response,
        Err(_) => {
            let mut error = ServerError::new("The operation took too long and was cut off.", None);
            error.extensions.get_or_insert_default().set("code", "TIMEOUT");
            // Execution had begun, so this is no bad request: the data is there, and empty.
            let mut response = Response::from_errors(vec![error]);
            response.data = async_graphql::Value::Object(async_graphql::indexmap::IndexMap::default());
            response
        }
    };
    metrics::histogram!("orderflow_http_operation_seconds").record(started.elapsed().as_secs_f64());
    respond(form, response)
}

/// The kind of the operation that would be executed, if it can be told.
fn operation(request: &mut Request) -> Result<Option<OperationType>, ServerError> {
    let name = request.operation_name.clone();
    let document = request.parsed_query()?;
    let chosen = document.operations.iter().find(|(key, _)| match (&name, key) {
        (Some(name), Some(key)) => key.as_str() == name,
        (None, _) => true,
        (Some(_), None) => false,
    });
    Ok(chosen.map(|(_, operation)| operation.node.ty))
}

/// Who is asking, by the `Authorization` header.
fn caller(api: &Api, headers: &HeaderMap) -> Result<Caller, BadCaller> {
    let traceparent = Some(trace::parent(headers));
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(Caller { viewer: None, traceparent }) };
    let signed_in = value.to_str().ok().and_then(|value| api.keys.verify_header(value).ok());
    let SignedIn { viewer, .. } = signed_in.ok_or(BadCaller)?;
    Ok(Caller { viewer: Some(viewer), traceparent })
}

struct BadCaller;

impl BadCaller {
    fn into_http(self, form: Form) -> HttpResponse {
        let mut error = ServerError::new("The token is not valid or has expired.", None);
        error.extensions.get_or_insert_default().set("code", ErrorCode::Unauthenticated.name());
        let mut response = with_status(form, StatusCode::UNAUTHORIZED, &Response::from_errors(vec![error]));
        response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        response
    }
}

/// An answer in the form that was asked for.
fn respond(form: Form, response: Response) -> HttpResponse {
    // Parsing and validation leave no data at all; execution leaves an object, or null when a root field failed.
    let failed =
        response.is_err() && response.data == async_graphql::Value::Null && response.errors.iter().all(|e| e.path.is_empty());
    with_status(form, form.status(failed), &response)
}

fn with_status(form: Form, status: StatusCode, response: &Response) -> HttpResponse {
    let mut http = (status, Json(response)).into_response();
    http.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(form.content_type()));
    // Answers depend on who asks.
    http.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("private, no-store"));
    http
}

fn plain(form: Form, status: StatusCode, message: &'static str) -> HttpResponse {
    let form = if form == Form::EventStream { Form::Json } else { form };
    let mut error = ServerError::new(message, None);
    error.extensions.get_or_insert_default().set("code", ErrorCode::BadUserInput.name());
    with_status(form, status, &Response::from_errors(vec![error]))
}

fn not_acceptable() -> HttpResponse {
    plain(
        Form::Json,
        StatusCode::NOT_ACCEPTABLE,
        "Answers are application/graphql-response+json, application/json or text/event-stream.",
    )
}

/// The body of a request. Fields of other types than the specification's are errors, not guesses.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    query: String,
    #[serde(default)]
    operation_name: Option<String>,
    #[serde(default)]
    variables: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(default)]
    extensions: Option<serde_json::Map<String, serde_json::Value>>,
}

impl Body {
    fn into_request(self) -> Request {
        let mut request = Request::new(self.query);
        request.operation_name = self.operation_name;
        if let Some(variables) = self.variables {
            request = request.variables(async_graphql::Variables::from_json(variables.into()));
        }
        drop(self.extensions);
        request
    }
}

/// The parameters of a GET.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Params {
    query: Option<String>,
    #[serde(default)]
    operation_name: Option<String>,
    #[serde(default)]
    variables: Option<String>,
}

impl Params {
    fn into_request(self) -> Result<Request, &'static str> {
        let query = self.query.ok_or("The parameter query is missing.")?;
        let variables = match self.variables.filter(|text| !text.is_empty()) {
            Some(text) => serde_json::from_str(&text).map_err(|_| "The parameter variables is not a JSON object.")?,
            None => None,
        };
        Ok(Body { query, operation_name: self.operation_name.filter(|name| !name.is_empty()), variables, extensions: None }
            .into_request())
    }
}
