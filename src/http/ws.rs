//! WebSocket: the `graphql-transport-ws` protocol.
//! <https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>
//!
//! Whoever connects signs in by the payload of `connection_init` (`Authorization`, in any case) or by the header of the upgrade. A
//! socket does not outlive its token.

use super::{Api, trace};
use crate::{
    auth::SignedIn,
    graphql::{Caller, ErrorCode},
};
use async_graphql::Data;
use async_graphql_axum::{GraphQLProtocol, GraphQLWebSocket};
use axum::{
    extract::ws::WebSocketUpgrade,
    http::{HeaderMap, header},
    response::Response,
};
use std::time::Duration;
use tokio::sync::watch;

/// Protocol messages of a client are small; variables are bounded like a body.
const MESSAGE_LIMIT: usize = 1024 * 1024;

pub fn upgrade(api: Api, upgrade: WebSocketUpgrade, protocol: GraphQLProtocol, headers: &HeaderMap) -> Response {
    let by_header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let traceparent = trace::parent(headers);
    upgrade.protocols(["graphql-transport-ws"]).max_message_size(MESSAGE_LIMIT).max_frame_size(MESSAGE_LIMIT).on_upgrade(
        move |socket| async move {
            let (expiry, mut expires) = watch::channel(None::<i64>);
            let keys = api.keys.clone();
            let init = move |payload: serde_json::Value| async move {
                let signed_in = match authorization(&payload).or(by_header) {
                    None => None,
                    Some(value) => {
                        Some(keys.verify_header(&value).map_err(|bad| ErrorCode::Unauthenticated.error(bad.to_string()))?)
                    }
                };
                expiry.send_replace(signed_in.as_ref().map(|s: &SignedIn| s.expires_at));
                let mut data = Data::default();
                data.insert(Caller { viewer: signed_in.map(|s| s.viewer), traceparent: Some(traceparent) });
                Ok(data)
            };
            let serving = GraphQLWebSocket::new(socket, api.schema.clone(), protocol)
                .on_connection_init(init)
                // A client that says nothing, not even a pong, for so long is gone.
                .keepalive_timeout(Duration::from_secs(60))
                .serve();
            let expired = async {
                let until = expires.wait_for(Option::is_some).await.ok().and_then(|at| *at);
                match until {
                    Some(at) => {
                        let left = u64::try_from(at - api.clock.now().unix_timestamp()).unwrap_or(0);
                        tokio::time::sleep(Duration::from_secs(left)).await;
                    }
                    None => std::future::pending().await,
                }
            };
            metrics::gauge!("orderflow_sockets").increment(1.0);
            tokio::select! {
                () = serving => {}
                () = expired => {}
                () = api.shutdown.draining() => {}
            }
            metrics::gauge!("orderflow_sockets").decrement(1.0);
        },
    )
}

/// The `Authorization` of a `connection_init`, however it is spelled.
fn authorization(payload: &serde_json::Value) -> Option<String> {
    let (_, value) = payload.as_object()?.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"))?;
    value.as_str().map(str::to_owned)
}
