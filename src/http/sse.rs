//! Server-sent events: graphql-sse in its distinct-connections mode.
//! <https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md>

use super::Api;
use crate::graphql::{Caller, Prepared};
use axum::response::{
    IntoResponse, Response,
    sse::{Event, KeepAlive, Sse},
};
use futures_util::{StreamExt, stream};
use std::{convert::Infallible, time::Duration};

/// Without a token nothing expires; not within a year anyway.
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// Executes any operation and sends each result as an event, then `complete`. Ends when the process drains, so that the client
/// comes back to another one, and with the token (`expires_at`, in seconds since 1970).
pub fn stream(api: &Api, prepared: Prepared, caller: Caller, expires_at: Option<i64>) -> Response {
    let (shutdown, now) = (api.shutdown.clone(), api.clock.now().unix_timestamp());
    let left = expires_at.map_or(YEAR, |at| Duration::from_secs(u64::try_from(at - now).unwrap_or(0)).min(YEAR));
    let end = async move {
        tokio::select! {
            () = shutdown.draining() => {}
            () = tokio::time::sleep(left) => {}
        }
    };
    let results = api
        .executor
        .stream(prepared, caller)
        .map(|response| Event::default().event("next").data(serde_json::to_string(&response).unwrap_or_default()))
        .take_until(Box::pin(end))
        .chain(stream::once(async { Event::default().event("complete").data("") }))
        .map(Ok::<_, Infallible>);
    Sse::new(results).keep_alive(KeepAlive::new().interval(Duration::from_secs(12)).text("")).into_response()
}
