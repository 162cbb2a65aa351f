//! POST and GET on `/graphql`; an upgrade to WebSocket or a stream of events begins here too.

use super::{
    Api,
    admission::{Guest, Peer, Place, Refusal},
    answer, body,
    held::hold,
    negotiate::{Form, is_json},
    operate,
    request::{Body, Params},
    sse, trace, ws,
};
use crate::{
    auth::{BadToken, SignedIn},
    graphql::{Caller, OperationKind},
};
use async_graphql::Response;
use axum::{
    extract::{FromRequestParts, Query, Request as HttpRequest, State, ws::WebSocketUpgrade},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response as HttpResponse},
};

/// GET: queries, streams of events, and the beginning of a WebSocket.
pub async fn get(State(api): State<Api>, mut parts: Parts) -> HttpResponse {
    let visit = Visit::begin(&api, &parts);
    if parts.headers.contains_key(header::UPGRADE) {
        return match WebSocketUpgrade::from_request_parts(&mut parts, &api).await {
            Ok(upgrade) => ws::upgrade(api, upgrade, &parts.headers, visit.guest),
            Err(rejection) => rejection.into_response(),
        };
    }
    let Some(form) = Form::wanted(&parts.headers) else { return answer::not_acceptable() };
    if let Err(refusal) = visit.guest.request() {
        return refusal.answer(form);
    }
    let Ok(Query(params)) = Query::<Params>::try_from_uri(&parts.uri) else {
        return answer::plain(form, StatusCode::BAD_REQUEST, "The parameters cannot be read.");
    };
    match params.into_body() {
        Ok(body) => execute(api, form, &parts.headers, visit, body, Method::Get).await,
        Err(message) => answer::plain(form, StatusCode::BAD_REQUEST, message),
    }
}

/// POST: any operation, as JSON.
pub async fn post(State(api): State<Api>, request: HttpRequest) -> HttpResponse {
    let (parts, body) = request.into_parts();
    let Some(form) = Form::wanted(&parts.headers) else { return answer::not_acceptable() };
    // Before the body: whoever is refused need not be listened to.
    let visit = Visit::begin(&api, &parts);
    if let Err(refusal) = visit.guest.request() {
        return refusal.answer(form);
    }
    if !is_json(&parts.headers) {
        return answer::plain(form, StatusCode::UNSUPPORTED_MEDIA_TYPE, "Send the request as application/json in UTF-8.");
    }
    let body = match body::read(&api, body).await {
        Ok(body) => body,
        Err(not_read) => return not_read.answer(form),
    };
    match serde_json::from_slice::<Body>(&body.bytes) {
        Ok(parsed) if parsed.is_request() => {
            drop(body);
            execute(api, form, &parts.headers, visit, parsed, Method::Post).await
        }
        Err(_) if body.bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[') => {
            answer::plain(form, StatusCode::BAD_REQUEST, "Batches are not supported: send one operation a request.")
        }
        _ => answer::plain(form, StatusCode::BAD_REQUEST, "The body is not a GraphQL request: a JSON object with a query."),
    }
}

/// Who sends a request, and what they may take. The token is looked at once.
struct Visit {
    guest: Guest,
    signed_in: Result<Option<SignedIn>, BadToken>,
}

impl Visit {
    fn begin(api: &Api, parts: &Parts) -> Self {
        let signed_in = signed_in(api, &parts.headers);
        let subject = signed_in.as_ref().ok().and_then(|signed_in| Some(signed_in.as_ref()?.viewer.subject.as_str()));
        let guest = api.admission.guest(parts.extensions.get::<Peer>(), &parts.headers, subject);
        Self { guest, signed_in }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    Get,
    Post,
}

async fn execute(api: Api, form: Form, headers: &HeaderMap, visit: Visit, body: Body, method: Method) -> HttpResponse {
    let signed_in = match visit.signed_in {
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
        return match places(&visit.guest, prepared.kind) {
            Ok(places) => hold(sse::stream(&api, prepared, caller, headers, expires_at), places),
            Err(refusal) => refusal.answer(form),
        };
    }
    if prepared.kind == OperationKind::Subscription {
        return answer::plain(
            form,
            StatusCode::BAD_REQUEST,
            "Subscriptions go over WebSocket, or with Accept: text/event-stream.",
        );
    }
    let place = match visit.guest.operation() {
        Ok(place) => place,
        Err(refusal) => return refusal.answer(form),
    };
    let executed = operate::once(&api, prepared, caller).await;
    drop(place);
    match executed {
        Ok(response) => answer::respond(form, &response),
        Err(late) => answer::executed(form, &Response::from_errors(vec![late])),
    }
}

/// A stream of events is one of the client's sockets, and a query or a mutation on it is an operation all the same.
fn places(guest: &Guest, kind: OperationKind) -> Result<(Place, Option<Place>), Refusal> {
    let runs = kind != OperationKind::Subscription;
    Ok((guest.socket()?, runs.then(|| guest.operation()).transpose()?))
}

/// Who is asking, by the `Authorization` header.
fn signed_in(api: &Api, headers: &HeaderMap) -> Result<Option<SignedIn>, BadToken> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    value.to_str().map_err(|_| BadToken).and_then(|value| api.keys.verify_header(value)).map(Some)
}
