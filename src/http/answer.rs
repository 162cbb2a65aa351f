//! Writes answers in the form that was asked for.

use super::negotiate::Form;
use crate::graphql::{ErrorCode, never_executed};
use async_graphql::{Response, ServerError, Value};
use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response as HttpResponse},
};
use serde::Serialize;
use std::collections::BTreeMap;

/// The body of an answer. `data` is absent when execution never began, and null when a root field that must not be null failed.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ServerError],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extensions: &'a BTreeMap<String, Value>,
}

/// The answer of the executor.
pub fn respond(form: Form, response: &Response) -> HttpResponse {
    if never_executed(response) { write(form, form.status(true), None, response) } else { executed(form, response) }
}

/// An answer to a request whose execution had begun.
pub fn executed(form: Form, response: &Response) -> HttpResponse {
    write(form, form.status(false), Some(&response.data), response)
}

/// An answer to a request that is not executed.
pub fn refused(form: Form, status: StatusCode, errors: Vec<ServerError>) -> HttpResponse {
    // Older clients look into the body, not at the status, once their request was JSON with a query in it.
    let status = if status == StatusCode::BAD_REQUEST { form.status(true) } else { status };
    write(form, status, None, &Response::from_errors(errors))
}

/// A request that cannot even be read.
pub fn plain(form: Form, status: StatusCode, message: &'static str) -> HttpResponse {
    write(form, status, None, &Response::from_errors(vec![ErrorCode::BadUserInput.server_error(message)]))
}

pub fn not_acceptable() -> HttpResponse {
    plain(
        Form::Json,
        StatusCode::NOT_ACCEPTABLE,
        "Answers are application/graphql-response+json, application/json or text/event-stream.",
    )
}

pub fn bad_token(form: Form) -> HttpResponse {
    let error = ErrorCode::Unauthenticated.server_error("The token is not valid or has expired.");
    let mut response = write(form, StatusCode::UNAUTHORIZED, None, &Response::from_errors(vec![error]));
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

fn write(form: Form, status: StatusCode, data: Option<&Value>, response: &Response) -> HttpResponse {
    // What is no stream is not called one.
    let form = if form == Form::EventStream { Form::Json } else { form };
    let answer = Answer { data, errors: &response.errors, extensions: &response.extensions };
    let mut http = (status, Json(answer)).into_response();
    http.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
    // Answers depend on who asks.
    http.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    http
}
