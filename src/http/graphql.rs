//! POST and GET on `/graphql`; an upgrade to WebSocket or a stream of events begins here too.

use super::{
    Api, answer,
    negotiate::{Form, is_json},
    request::{Body, Params},
    sse, trace, ws,
};
use crate::{
    auth::{BadToken, SignedIn},
    graphql::{Caller, ErrorCode, OperationKind},
};
use async_graphql::Response;
use axum::{
    body::Bytes,
    extract::{FromRequestParts, Query, State, rejection::BytesRejection, ws::WebSocketUpgrade},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response as HttpResponse},
};

/// GET: queries, streams of events, and the beginning of a WebSocket.
pub async fn get(State(api): State<Api>, mut parts: Parts) -> HttpResponse {
    if parts.headers.contains_key(header::UPGRADE) {
        return match WebSocketUpgrade::from_request_parts(&mut parts, &api).await {
            Ok(upgrade) => ws::upgrade(api, upgrade, &parts.headers),
            Err(rejection) => rejection.into_response(),
        };
    }
    let Some(form) = Form::wanted(&parts.headers) else { return answer::not_acceptable() };
    let Ok(Query(params)) = Query::<Params>::try_from_uri(&parts.uri) else {
        return answer::plain(form, StatusCode::BAD_REQUEST, "The parameters cannot be read.");
    };
    match params.into_body() {
        Ok(body) => execute(api, form, &parts.headers, body, Method::Get).await,
        Err(message) => answer::plain(form, StatusCode::BAD_REQUEST, message),
    }
}

/// POST: any operation, as JSON.
pub async fn post(State(api): State<Api>, headers: HeaderMap, body: Result<Bytes, BytesRejection>) -> HttpResponse {
    let Some(form) = Form::wanted(&headers) else { return answer::not_acceptable() };
    if !is_json(&headers) {
        return answer::plain(form, StatusCode::UNSUPPORTED_MEDIA_TYPE, "Send the request as application/json in UTF-8.");
    }
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return answer::plain(form, rejection.status(), "The body is too large or was cut off."),
    };
    match serde_json::from_slice::<Body>(&body) {
        Ok(body) if body.is_request() => execute(api, form, &headers, body, Method::Post).await,
        Err(_) if body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[') => {
            answer::plain(form, StatusCode::BAD_REQUEST, "Batches are not supported: send one operation a request.")
        }
        _ => answer::plain(form, StatusCode::BAD_REQUEST, "The body is not a GraphQL request: a JSON object with a query."),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    Get,
    Post,
}

async fn execute(api: Api, form: Form, headers: &HeaderMap, body: Body, method: Method) -> HttpResponse {
    let signed_in = match signed_in(&api, headers) {
        Ok(signed_in) => signed_in,
        Err(BadToken) => return answer::bad_token(form),
    };
    let question = body.into_question(&api.documents).map_err(|error| vec![error]);
    let prepared = match question.and_then(|question| api.executor.prepare(&question)) {
        Ok(prepared) => prepared,
        Err(errors) => return answer::refused(form, StatusCode::BAD_REQUEST, errors),
    };
    if method == Method::Get && prepared.kind == OperationKind::Mutation {
        let mut response = answer::plain(form, StatusCode::METHOD_NOT_ALLOWED, "Mutations are sent by POST.");
        response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("POST"));
        return response;
    }
    let expires_at = signed_in.as_ref().map(|signed_in| signed_in.expires_at);
    let viewer = signed_in.map(|signed_in| signed_in.viewer);
    let caller = Caller { viewer, traceparent: Some(trace::parent(headers)) };
    if form == Form::EventStream {
        return sse::stream(&api, prepared, caller, expires_at);
    }
    if prepared.kind == OperationKind::Subscription {
        return answer::plain(
            form,
            StatusCode::BAD_REQUEST,
            "Subscriptions go over WebSocket, or with Accept: text/event-stream.",
        );
    }
    let started = std::time::Instant::now();
    let executed = tokio::time::timeout(api.settings.operation_timeout, api.executor.execute(prepared, caller)).await;
    metrics::histogram!("orderflow_http_operation_seconds").record(started.elapsed().as_secs_f64());
    match executed {
        Ok(response) => answer::respond(form, &response),
        Err(_) => {
            let error = ErrorCode::Timeout.server_error("The operation took too long and was cut off.");
            answer::executed(form, &Response::from_errors(vec![error]))
        }
    }
}

/// Who is asking, by the `Authorization` header.
fn signed_in(api: &Api, headers: &HeaderMap) -> Result<Option<SignedIn>, BadToken> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    value.to_str().map_err(|_| BadToken).and_then(|value| api.keys.verify_header(value)).map(Some)
}
