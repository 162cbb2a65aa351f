//! The end of a socket that writes.

use super::message::Outgoing;
use axum::extract::ws::{Message, WebSocket};
use futures_util::{SinkExt, stream::SplitSink};
use std::time::Duration;
use tokio::{sync::mpsc, time::timeout};

/// One message may take so long to leave. A client that does not read is cut off then; its cursor brings it back.
pub async fn write(mut sink: SplitSink<WebSocket, Message>, mut queue: mpsc::Receiver<Outgoing>, wait: Duration) {
    while let Some(outgoing) = queue.recv().await {
        let last = matches!(outgoing, Outgoing::Close(_));
        match timeout(wait, sink.send(outgoing.into_message())).await {
            Ok(Ok(())) if !last => {}
            _ => return,
        }
    }
}
