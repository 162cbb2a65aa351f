//! What one client may take, and what all of them may: whoever wants more is refused and told when to come again, whoever is slow
//! is cut off, and meanwhile somebody else is answered as ever.
//!
//! The machine has many addresses of its own: a client that comes from 127.0.0.9 is another one than one from 127.0.0.1.

mod clients;
mod connections;
mod floods;
mod lists;
mod sockets;

use crate::support::{PATIENCE, TestApp};
use futures_util::{SinkExt, StreamExt};
use orderflow::{
    event::{Stream, Token},
    value::{ProductId, Role},
};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use std::{
    future::pending,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{interval, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

/// How long somebody else may wait for an answer while all this goes on.
const HEALTHY: Duration = Duration::from_secs(2);

const JSON: &str = "application/json";
const GRAPHQL: &str = "application/graphql-response+json";
const EVENTS: &str = "text/event-stream";

/// A client with an address and a name of its own.
struct Caller {
    http: reqwest::Client,
    url: String,
    token: Option<String>,
}

/// What somebody was told.
#[derive(Debug)]
struct Told {
    status: StatusCode,
    kind: String,
    retry_after: Option<String>,
    answer: Value,
}

impl Told {
    async fn read(response: Response) -> Self {
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().expect("a text").to_owned());
        let (status, kind, retry_after) = (response.status(), header("content-type").unwrap_or_default(), header("retry-after"));
        let answer = response.json().await.unwrap_or_default();
        Self { status, kind, retry_after, answer }
    }

    fn code(&self) -> &str {
        self.answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_default()
    }

    /// It is a refusal that says when to come again, and of which nothing was carried out.
    fn assert_refused(&self, status: StatusCode, code: &str) {
        assert_eq!((self.status, self.code()), (status, code), "{self:?}");
        let seconds: u64 = self.retry_after.as_deref().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{self:?}"));
        assert!((1..=60).contains(&seconds), "{self:?}");
        assert_eq!(self.answer["errors"][0]["extensions"]["retryAfter"], json!(seconds), "{self:?}");
        assert_eq!((self.answer.get("data"), self.answer["errors"].as_array().map(Vec::len)), (None, Some(1)), "{self:?}");
    }
}

impl Caller {
    fn new(app: &TestApp, from: u8, subject: Option<&str>) -> Self {
        let http = reqwest::Client::builder().local_address(IpAddr::from([127, 0, 0, from])).build().expect("a client");
        let token = subject.map(|subject| app.token(subject, Role::Staff));
        Self { http, url: format!("http://{}", app.addr()), token }
    }

    fn post(&self, accept: &str, query: &str) -> reqwest::RequestBuilder {
        let request = self.http.post(format!("{}/graphql", self.url)).header("accept", accept).json(&json!({ "query": query }));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn ask(&self, query: &str) -> Told {
        Told::read(self.post(JSON, query).send().await.expect("the server answers")).await
    }

    /// Begins a stream of events; it is open as long as the response is kept.
    async fn follow(&self, query: &str) -> Response {
        self.post(EVENTS, query).send().await.expect("the server answers")
    }

    async fn status_of(&self, path: &str) -> StatusCode {
        self.http.get(format!("{}{path}", self.url)).send().await.expect("the server answers").status()
    }
}

/// Somebody else is answered, and soon.
async fn healthy(app: &TestApp) {
    let other = Caller::new(app, 9, Some("somebody else"));
    let told = timeout(HEALTHY, other.ask("{ products(first: 1) { totalCount } }")).await.expect("others wait too");
    assert_eq!((told.status, told.answer.get("errors")), (StatusCode::OK, None), "{told:?}");
}

/// A question that waits for ten seconds: for a receipt that was never given.
fn long_question() -> String {
    let product = ProductId(uuid::Uuid::now_v7());
    let token = Token { stream: Stream::Product(product), version: 99, stock_version: None };
    format!("{{ product(id: \"{product}\", consistency: {{ token: \"{token}\", timeoutMs: 10000 }}) {{ id }} }}")
}

async fn connect(app: &TestApp, from: u8, buffer: Option<u32>) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    if let Some(bytes) = buffer {
        socket.set_recv_buffer_size(bytes).expect("a smaller buffer");
    }
    socket.bind(SocketAddr::from(([127, 0, 0, from], 0))).expect("an address");
    socket.connect(app.addr()).await.expect("a connection")
}

/// A connection on which bytes are said, whatever they mean.
struct Raw(TcpStream);

impl Raw {
    async fn open(app: &TestApp, from: u8) -> Self {
        Self(connect(app, from, None).await)
    }

    async fn say(mut self, bytes: &str) -> Self {
        self.0.write_all(bytes.as_bytes()).await.expect("the connection is open");
        self
    }

    /// Says more, a piece at a time, until the server ends the connection; gives what it said, and how long that took.
    async fn ended(mut self, more: &str) -> (String, Duration) {
        let (began, mut read) = (Instant::now(), Vec::new());
        let (mut reader, mut writer) = self.0.split();
        let reading = async {
            // A connection that is reset has ended too.
            let _ = reader.read_to_end(&mut read).await;
        };
        let dripping = async {
            let mut tick = interval(Duration::from_millis(100));
            loop {
                tick.tick().await;
                if writer.write_all(more.as_bytes()).await.is_err() {
                    return pending::<()>().await;
                }
            }
        };
        let ending = async {
            tokio::select! {
                () = reading => {}
                () = dripping => {}
            }
        };
        timeout(PATIENCE, ending).await.expect("the server ends the connection");
        (String::from_utf8_lossy(&read).into_owned(), began.elapsed())
    }
}

/// A socket on which nothing is done by itself.
struct Wire(WebSocketStream<TcpStream>);

impl Wire {
    async fn open(app: &TestApp, from: u8, buffer: Option<u32>) -> Self {
        let mut request = format!("ws://{}/graphql", app.addr()).into_client_request().expect("a request");
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().expect("a header"));
        let (wire, _) = client_async(request, connect(app, from, buffer).await).await.expect("the server upgrades");
        Self(wire)
    }

    /// Whether it could be said.
    async fn say(&mut self, message: &Value) -> bool {
        self.0.send(Message::text(message.to_string())).await.is_ok()
    }

    /// The next message, or the code with which the socket is closed.
    async fn hear(&mut self) -> Result<Value, Option<u16>> {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("nothing came") {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).expect("JSON")),
                Some(Ok(Message::Close(frame))) => return Err(frame.map(|frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }
}
