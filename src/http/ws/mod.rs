//! WebSocket: the `graphql-transport-ws` protocol, whole.
//! <https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>
//!
//! The loop is our own: async-graphql's polls every stream of a socket whenever one wakes, knows neither 4408 nor 4409, and
//! cannot renew a token. Here each operation is a task of the socket's, feeding one bounded queue that the writer empties; a
//! client that reads slowly slows its own operations and nobody else's.
//!
//! Whoever connects signs in by the payload of `connection_init` (`Authorization`, in any case) or by the header of the upgrade.
//! A socket does not outlive its token: it is closed with 4403 unless the client has sent a fresh one for the same user, as
//! `{"type":"ping","payload":{"authorization":"Bearer …"}}`, which is answered with a pong like any ping.

mod message;
mod session;
mod writer;

use super::{Api, admission::Guest, trace};
use async_graphql::http::ALL_WEBSOCKET_PROTOCOLS;
use axum::{
    extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    http::{HeaderMap, header},
    response::Response,
};
use message::Close;
use session::Session;

/// Messages of a client are small; variables are bounded like a body.
const MESSAGE_LIMIT: usize = 1024 * 1024;

/// Begins a socket. One for which there is no place is closed with 1013, Try Again Later: clients of the protocol come back after
/// a while, each time a longer one. A refused upgrade they take for a broken address and give up, and 4429 is another mistake.
pub fn upgrade(api: Api, upgrade: WebSocketUpgrade, headers: &HeaderMap, guest: Guest) -> Response {
    let by_header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let traceparent = trace::parent(headers);
    upgrade
        // The old protocol is agreed to only so that its clients hear why they are turned away.
        .protocols(ALL_WEBSOCKET_PROTOCOLS)
        .max_message_size(MESSAGE_LIMIT)
        .max_frame_size(MESSAGE_LIMIT)
        // Two results may wait for the network; what comes then waits in the operations.
        .max_write_buffer_size(2 * MESSAGE_LIMIT)
        .on_upgrade(move |socket| async move {
            if socket.protocol().is_none_or(|protocol| protocol != "graphql-transport-ws") {
                close(socket, &Close::new(4406, "Subprotocol not acceptable: speak graphql-transport-ws")).await;
                return;
            }
            let place = match guest.request().and_then(|()| guest.socket()) {
                Ok(place) => place,
                Err(refusal) => return close(socket, &Close::new(1013, refusal.message())).await,
            };
            let shutdown = api.shutdown.clone();
            shutdown.cuttable(Session::new(api, by_header, traceparent, guest, place).run(socket)).await;
        })
}

/// Says goodbye with a reason, and waits a little for the same: what a client is just saying would make its system throw away
/// what it has not read yet.
async fn close(mut socket: WebSocket, close: &Close) {
    let frame = Message::Close(Some(CloseFrame { code: close.code, reason: close.reason.clone().into() }));
    let closing = async {
        socket.send(frame).await?;
        while let Some(Ok(_)) = socket.recv().await {}
        Ok::<_, axum::Error>(())
    };
    let _ = tokio::time::timeout(std::time::Duration::from_secs(2), closing).await;
}
