//! `graphql-transport-ws`, as far as a subscriber needs it.

use crate::client::Client;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

/// How long a node may take to let us in.
const PATIENCE: Duration = Duration::from_secs(5);

/// What comes over a line.
pub enum Heard {
    /// The result of the one subscription.
    Next(Value),
    /// Nothing, in the time that the listener had.
    Silence,
    /// The line is gone, or the subscription over; the code of the error if there was one.
    Over(Option<String>),
}

/// A line with one subscription on it.
pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// Connects, signs in and subscribes; nothing when the node is not there.
    pub async fn subscribe(addr: SocketAddr, client: &Client, query: &str, variables: &Value) -> Option<Self> {
        let beginning = async {
            let mut request = format!("ws://{addr}/graphql").into_client_request().ok()?;
            request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().ok()?);
            let mut socket = Self(connect_async(request).await.ok()?.0);
            let payload = json!({ "authorization": format!("Bearer {}", client.token) });
            socket.send(&json!({ "type": "connection_init", "payload": payload })).await?;
            while socket.receive().await?["type"] != "connection_ack" {}
            let payload = json!({ "query": query, "variables": variables });
            socket.send(&json!({ "id": "1", "type": "subscribe", "payload": payload })).await?;
            Some(socket)
        };
        timeout(PATIENCE, beginning).await.ok().flatten()
    }

    async fn send(&mut self, message: &Value) -> Option<()> {
        self.0.send(Message::text(message.to_string())).await.ok()
    }

    async fn receive(&mut self) -> Option<Value> {
        loop {
            match self.0.next().await?.ok()? {
                Message::Text(text) => {
                    let message: Value = serde_json::from_str(&text).ok()?;
                    if message["type"] != "ping" {
                        return Some(message);
                    }
                    self.send(&json!({ "type": "pong" })).await?;
                }
                Message::Ping(_) | Message::Pong(_) => {}
                _ => return None,
            }
        }
    }

    /// Listens until something comes or the time is over.
    pub async fn listen(&mut self, until: Instant) -> Heard {
        loop {
            let Ok(message) = timeout_at(until, self.receive()).await else { return Heard::Silence };
            let Some(mut message) = message else { return Heard::Over(None) };
            let code = |errors: &Value| errors[0]["extensions"]["code"].as_str().map(str::to_owned);
            match message["type"].as_str() {
                Some("next") if message["payload"]["errors"].is_null() => {
                    return Heard::Next(message["payload"]["data"]["change"].take());
                }
                Some("next") => return Heard::Over(code(&message["payload"]["errors"])),
                Some("error") => return Heard::Over(code(&message["payload"])),
                Some("complete") => return Heard::Over(None),
                _ => {}
            }
        }
    }

    /// Leaves in order. Dropping it instead is how a phone in a tunnel leaves.
    pub async fn leave(mut self) {
        let _ = timeout(Duration::from_secs(1), self.0.close(None)).await;
    }
}
