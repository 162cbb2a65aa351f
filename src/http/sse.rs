//! Server-sent events: graphql-sse in its distinct-connections mode.
//! <https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md>

use super::Api;
use async_graphql::Request;
use axum::response::{
    IntoResponse, Response,
    sse::{Event, KeepAlive, Sse},
};
use futures_util::{StreamExt, stream};
use std::{convert::Infallible, time::Duration};

/// Executes any operation and sends each result as an event, then `complete`. Ends when the process drains, so that the client
/// comes back to another one.
pub fn stream(api: &Api, request: Request) -> Response {
    let shutdown = api.shutdown.clone();
    let results = api
        .schema
        .execute_stream(request)
        .map(|response| Event::default().event("next").data(serde_json::to_string(&response).unwrap_or_default()))
        .take_until(async move { shutdown.draining().await })
        .chain(stream::once(async { Event::default().event("complete").data("") }))
        .map(Ok::<_, Infallible>);
    Sse::new(results).keep_alive(KeepAlive::new().interval(Duration::from_secs(12)).text("")).into_response()
}
