//! Server-sent events: graphql-sse in its distinct-connections mode.
//! <https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md>
//!
//! Each result of a subscription to orders has the cursor of its change as its id. A client that is cut off sends it back as
//! `Last-Event-ID`, to any node, and goes on behind it without gap or repeat; browsers do so by themselves. It wins over a cursor
//! in the request, which is as old as the request. One that is malformed is answered 400 and `BAD_USER_INPUT` before anything
//! begins: within a stream a browser would come back with it for ever. (A browser's own EventSource cannot send a token. Clients
//! that are made with `fetch` can.)
//!
//! Nothing is queued for a reader. The next result is asked for when the connection has room for it; until then the subscription
//! stands still, and reads what it has missed from the change log.
//!
//! The single-connection mode is left out on purpose. Its reservations are state between requests, which would have to be met by
//! the same process each time, and ours keep none. What it is for, many operations on one connection, WebSocket and HTTP/2 do.

use super::{Api, answer, negotiate::Form, operate};
use crate::graphql::{Caller, Places, Prepared};
use async_graphql::Response;
use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response as HttpResponse},
};
use futures_util::{Stream, StreamExt, stream};
use std::{convert::Infallible, time::Duration};

pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Without a token nothing expires; not within a year anyway.
const YEAR: Duration = Duration::from_secs(365 * 86_400);
/// When nothing has happened for so long, a comment shows that the line is alive. Proxies cut silent ones after half a minute or
/// more.
const HEARTBEAT: Duration = Duration::from_secs(12);

const COMMENT: &str = ":\n\n";
/// A browser passes over an event without data, even if that is empty. (Axum's own events leave out an empty one.)
const COMPLETE: &str = "event: complete\ndata: \n\n";

/// Executes any operation and sends each result as an event, then `complete`. Ends when the process drains, so that the client
/// comes back to another one, and with the token (`expires_at`, in seconds since 1970).
pub fn stream(api: &Api, mut prepared: Prepared, caller: Caller, headers: &HeaderMap, expires_at: Option<i64>) -> HttpResponse {
    let last = headers.get(LAST_EVENT_ID).map(|id| String::from_utf8_lossy(id.as_bytes()));
    let places = match Places::of(&mut prepared, last.as_deref().filter(|id| !id.is_empty())) {
        Ok(places) => places,
        Err(error) => return answer::refused(Form::EventStream, StatusCode::BAD_REQUEST, vec![error]),
    };
    let (shutdown, now) = (api.shutdown.clone(), api.clock.now().unix_timestamp());
    let left = expires_at.map_or(YEAR, |at| Duration::from_secs(u64::try_from(at - now).unwrap_or(0)).min(YEAR));
    let end = async move {
        tokio::select! {
            () = shutdown.draining() => {}
            () = tokio::time::sleep(left) => {}
        }
    };
    let results = operate::stream(api, prepared, caller);
    respond(events(results, places, end, HEARTBEAT))
}

fn respond(events: impl Stream<Item = String> + Send + 'static) -> HttpResponse {
    let mut response = Body::from_stream(events.map(Ok::<_, Infallible>)).into_response();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/event-stream"),
        // Also not to be compressed on the way, which would hold events back.
        (header::CACHE_CONTROL, "private, no-store, no-transform"),
        // nginx collects answers unless told.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The results as they are sent, with comments in the pauses, and the end.
fn events(
    results: impl Stream<Item = Response> + Send + 'static,
    places: Places,
    end: impl Future<Output = ()> + Send + 'static,
    heartbeat: Duration,
) -> impl Stream<Item = String> + Send + 'static {
    stream::unfold(Some((Box::pin(results), places, Box::pin(end))), move |open| async move {
        let (mut results, mut places, mut end) = open?;
        let event = tokio::select! {
            biased;
            () = &mut end => None,
            // An id alone: a client keeps it, and tells nobody.
            place = places.start() => Some(format!("id: {place}\n\n")),
            result = results.next() => result.map(|result| next(&result, places.take())),
            () = tokio::time::sleep(heartbeat) => Some(COMMENT.to_owned()),
        };
        Some(event.map_or_else(|| (COMPLETE.to_owned(), None), |event| (event, Some((results, places, end)))))
    })
}

/// JSON has no line breaks of its own, nor have cursors, so each is one line.
fn next(result: &Response, id: Option<String>) -> String {
    let id = id.map_or_else(String::new, |id| format!("id: {id}\n"));
    format!("event: next\n{id}data: {}\n\n", serde_json::to_string(result).unwrap_or_else(|_| "{}".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::Value;
    use std::{
        future::{pending, ready},
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    #[tokio::test]
    async fn a_result_is_made_when_it_is_asked_for_and_not_earlier() {
        let made = Arc::new(AtomicUsize::new(0));
        let counted = made.clone();
        let results = stream::repeat_with(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            Response::new(Value::from(true))
        });
        let mut body = respond(events(results, Places::none(), pending(), HEARTBEAT)).into_body().into_data_stream();
        for sent in 0..3 {
            assert_eq!(made.load(Ordering::Relaxed), sent);
            assert_eq!(body.next().await.unwrap().unwrap(), "event: next\ndata: {\"data\":true}\n\n");
        }
    }

    #[tokio::test]
    async fn a_silent_line_is_kept_alive_by_comments() {
        let heartbeat = Duration::from_millis(20);
        let mut events = Box::pin(events(stream::pending(), Places::none(), pending(), heartbeat));
        let begun = tokio::time::Instant::now();
        for beat in 1..=3 {
            assert_eq!(events.next().await.unwrap(), COMMENT);
            assert!(begun.elapsed() >= beat * heartbeat, "{beat}");
        }
    }

    #[tokio::test]
    async fn the_end_has_data_so_that_a_browser_tells_of_it() {
        let empty = events(stream::empty(), Places::none(), pending(), HEARTBEAT);
        assert_eq!(empty.collect::<Vec<_>>().await, ["event: complete\ndata: \n\n"]);
        // What has ended does not go on, however much there is.
        let cut = events(stream::repeat_with(|| Response::new(Value::Null)), Places::none(), ready(()), HEARTBEAT);
        assert_eq!(cut.collect::<Vec<_>>().await, ["event: complete\ndata: \n\n"]);
    }
}
