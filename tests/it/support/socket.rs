//! `graphql-transport-ws`, as a frontend speaks it.

use super::PATIENCE;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Socket {
    pub async fn open(addr: SocketAddr, token: Option<&str>) -> Self {
        let mut socket = Self::begin(addr, token).await;
        assert_eq!(socket.receive().await["type"], "connection_ack");
        socket
    }

    /// A socket on which somebody is signed in, if there is anybody to connect to.
    pub async fn attempt(addr: SocketAddr, token: &str) -> Option<Self> {
        let mut request = format!("ws://{addr}/graphql").into_client_request().expect("a request");
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().expect("a header"));
        let (stream, _) = connect_async(request).await.ok()?;
        let mut socket = Self { stream };
        let init = json!({ "type": "connection_init", "payload": { "authorization": format!("Bearer {token}") } });
        socket.stream.send(Message::text(init.to_string())).await.ok()?;
        (socket.heard().await?["type"] == "connection_ack").then_some(socket)
    }

    /// The next message of the protocol, or nothing when the other side is gone. Fails when nothing comes for too long.
    pub async fn heard(&mut self) -> Option<Value> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.stream.next()).await.expect("nothing came");
            if let Message::Text(text) = message?.ok()? {
                let message: Value = serde_json::from_str(&text).expect("JSON");
                if message["type"] != "ping" {
                    return Some(message);
                }
                self.stream.send(Message::text(json!({ "type": "pong" }).to_string())).await.ok()?;
            }
        }
    }

    /// Connects and says who it is, without hearing whether that is good enough.
    pub async fn begin(addr: SocketAddr, token: Option<&str>) -> Self {
        let mut request = format!("ws://{addr}/graphql").into_client_request().expect("a request");
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().expect("a header"));
        let (stream, _) = connect_async(request).await.expect("the server upgrades");
        let mut socket = Self { stream };
        let payload = token.map_or_else(|| json!({}), |token| json!({ "authorization": format!("Bearer {token}") }));
        socket.send(json!({ "type": "connection_init", "payload": payload })).await;
        socket
    }

    /// Waits until the server closes the socket; gives the code, if it says one.
    pub async fn closed(mut self) -> Option<u16> {
        let closing = async {
            loop {
                match self.stream.next().await {
                    Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
                    Some(Ok(_)) => {}
                    None | Some(Err(_)) => return None,
                }
            }
        };
        tokio::time::timeout(PATIENCE, closing).await.expect("the server closes the socket")
    }

    async fn send(&mut self, message: Value) {
        self.stream.send(Message::text(message.to_string())).await.expect("the socket is open");
    }

    async fn receive(&mut self) -> Value {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.stream.next()).await.expect("nothing came");
            match message.expect("the socket is open").expect("a message") {
                Message::Text(text) => {
                    let message: Value = serde_json::from_str(&text).expect("JSON");
                    match message["type"].as_str() {
                        Some("ping") => self.send(json!({ "type": "pong" })).await,
                        _ => return message,
                    }
                }
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("the server sent {other:?}"),
            }
        }
    }

    pub async fn subscribe(&mut self, id: &str, query: &str, variables: Value) {
        self.send(json!({ "id": id, "type": "subscribe", "payload": { "query": query, "variables": variables } })).await;
    }

    /// Shows a fresh token on the open socket, and waits until it has been looked at.
    pub async fn renew(&mut self, token: &str) {
        let payload = json!({ "authorization": format!("Bearer {token}") });
        self.send(json!({ "type": "ping", "payload": payload })).await;
        assert_eq!(self.receive().await["type"], "pong");
    }

    pub async fn unsubscribe(&mut self, id: &str) {
        self.send(json!({ "id": id, "type": "complete" })).await;
    }

    /// The next message of a subscription, whole.
    pub async fn message(&mut self) -> Value {
        self.receive().await
    }

    /// The data of the next result, which has no errors.
    pub async fn next(&mut self) -> Value {
        let mut message = self.receive().await;
        assert_eq!(message["type"], "next", "{message:#}");
        assert!(message["payload"].get("errors").is_none(), "{message:#}");
        message["payload"]["data"].take()
    }

    /// The next change of the orders that are followed.
    pub async fn change(&mut self) -> Value {
        let mut data = self.next().await;
        let field = data.as_object().and_then(|o| o.keys().next().cloned()).expect("a field");
        data[&field].take()
    }
}
