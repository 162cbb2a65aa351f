//! One socket, from its first message to its last.

use super::{
    message::{Close, Incoming, Outgoing},
    writer::write,
};
use crate::{
    auth::SignedIn,
    graphql::{Caller, ErrorCode, OperationKind, never_executed},
    http::{
        Api,
        admission::{Guest, Pace, Place, Refusal},
        operate,
        request::Body,
    },
};
use async_graphql::{Response, ServerError};
use axum::extract::ws::{Message, WebSocket};
use futures_util::{
    Stream, StreamExt,
    stream::{BoxStream, SplitStream},
};
use std::{collections::HashMap, time::Duration};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until, timeout},
};

/// How long a client may take to sign in (4408), as in graphql-ws.
const INIT_WAIT: Duration = Duration::from_secs(3);
/// How often the server pings; a client that says nothing for three of them is gone.
const PING_EVERY: Duration = Duration::from_secs(12);
const SILENCE: Duration = Duration::from_secs(36);
/// Results that may wait for the writer, over all operations of the socket.
const QUEUE: usize = 32;

pub struct Session {
    api: Api,
    by_header: Option<String>,
    traceparent: String,
    /// Who it is as far as limits are concerned, and the place that the socket has among theirs.
    guest: Guest,
    place: Place,
    pace: Pace,
    /// Set by `connection_init`.
    caller: Option<Caller>,
    /// The end of the token, or of the wait for one.
    deadline: Instant,
    operations: JoinSet<()>,
    running: HashMap<String, Running>,
    /// Operations that have ended and not been forgotten yet. Each says so once and before its `complete`, so that the id is free
    /// again for a client that has seen that; there is room for all that can run.
    ended: (mpsc::Sender<Ended>, mpsc::Receiver<Ended>),
    started: u64,
}

struct Running {
    number: u64,
    task: AbortHandle,
}

/// The id may be in use again, so a number goes with it.
type Ended = (String, u64);

impl Session {
    pub fn new(api: Api, by_header: Option<String>, traceparent: String, guest: Guest, place: Place) -> Self {
        let most = api.settings.clients.socket_operations;
        Self {
            api,
            by_header,
            traceparent,
            pace: guest.pace(),
            guest,
            place,
            caller: None,
            deadline: Instant::now() + INIT_WAIT,
            operations: JoinSet::new(),
            running: HashMap::new(),
            ended: mpsc::channel(most),
            started: 0,
        }
    }

    /// Serves the socket until one side has had enough. Its operations end with it.
    pub async fn run(mut self, socket: WebSocket) {
        let (sink, stream) = socket.split();
        let (out, queue) = mpsc::channel(QUEUE);
        let wait = self.api.settings.clients.write_timeout;
        let reading = async {
            let close = self.read(stream, &out).await;
            self.operations.abort_all();
            if let Some(close) = close {
                let _ = out.send(Outgoing::Close(close)).await;
            }
            drop(out);
        };
        // The writer ends when the reader has, or when the client no longer takes anything.
        let mut writing = std::pin::pin!(write(sink, queue, wait));
        tokio::select! {
            () = reading => { let _ = timeout(Duration::from_secs(2), writing).await; }
            () = &mut writing => {}
        }
    }

    /// Reads until the end; says with what to close, unless the client is gone.
    async fn read(&mut self, mut stream: SplitStream<WebSocket>, out: &mpsc::Sender<Outgoing>) -> Option<Close> {
        let shutdown = self.api.shutdown.clone();
        let mut ping = tokio::time::interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                message = stream.next() => {
                    let message = message?;
                    self.pace.message().await;
                    let handled = match message {
                        Ok(Message::Text(text)) => {
                            // A whole message: pieces of one, with pings between them, are no sign of a client.
                            heard = Instant::now();
                            self.handle(&text, out).await
                        }
                        Ok(Message::Binary(_)) => Err(Close::new(4400, "Invalid message received")),
                        // A close is answered while the stream is read to its end.
                        Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_)) => Ok(()),
                        // Cut off, or a frame over the limit.
                        Err(_) => return Some(Close::new(1009, "The message is too large or was cut off")),
                    };
                    if let Err(close) = handled {
                        return Some(close);
                    }
                }
                // Whether it ended or was ended does not matter here.
                Some(_) = self.operations.join_next() => self.forget_ended(),
                _ = ping.tick() => {
                    if heard.elapsed() > SILENCE {
                        return None;
                    }
                    // When the queue is full, what is in it shows the client that we live.
                    let _ = out.try_send(Outgoing::Ping);
                }
                () = sleep_until(self.deadline) => {
                    return Some(match self.caller {
                        None => Close::new(4408, "Connection initialisation timeout"),
                        Some(_) => Close::new(4403, "Forbidden: the token has expired"),
                    });
                }
                // Service restart: clients connect again, to another node.
                () = shutdown.draining() => return Some(Close::new(1012, "The server is going away; connect again")),
            }
        }
    }

    async fn handle(&mut self, text: &str, out: &mpsc::Sender<Outgoing>) -> Result<(), Close> {
        match Incoming::parse(text)? {
            Incoming::ConnectionInit { .. } if self.caller.is_some() => Err(Close::new(4429, "Too many initialisation requests")),
            Incoming::ConnectionInit { payload } => {
                let header = authorization(payload.as_ref()).or(self.by_header.take());
                let signed_in = self.sign_in(header)?;
                if let Some(signed_in) = &signed_in {
                    self.move_to(&signed_in.viewer.subject)?;
                }
                self.caller = Some(Caller { viewer: signed_in.map(|s| s.viewer), traceparent: Some(self.traceparent.clone()) });
                say(out, Outgoing::Ack).await
            }
            Incoming::Ping { payload } => {
                if let (Some(fresh), Some(caller)) = (authorization(payload.as_ref()), &self.caller) {
                    let viewer = caller.viewer.clone();
                    let renewed = self.sign_in(Some(fresh))?;
                    if renewed.map(|signed_in| signed_in.viewer) != viewer {
                        return Err(Close::new(4403, "Forbidden: the fresh token is somebody else's"));
                    }
                }
                // A token is not echoed.
                let echo = payload.filter(|payload| authorization(Some(payload)).is_none());
                say(out, Outgoing::Pong(echo.map(serde_json::Value::Object))).await
            }
            Incoming::Pong {} => Ok(()),
            Incoming::Subscribe { id, payload } => self.subscribe(id, payload, out).await,
            Incoming::Complete { id } => {
                self.forget_ended();
                if let Some(running) = self.running.remove(&id) {
                    running.task.abort();
                }
                Ok(())
            }
        }
    }

    /// Checks a token and lets the socket live as long as it does; without one it lives on.
    fn sign_in(&mut self, header: Option<String>) -> Result<Option<SignedIn>, Close> {
        let Some(header) = header else {
            // As far away as the clock of the runtime reaches without overflow.
            self.deadline = Instant::now() + Duration::from_secs(86_400 * 365);
            return Ok(None);
        };
        let signed_in = self.api.keys.verify_header(&header).map_err(|bad| Close::new(4403, format!("Forbidden: {bad}")))?;
        let left = u64::try_from(signed_in.expires_at - self.api.clock.now().unix_timestamp()).unwrap_or(0);
        self.deadline = Instant::now() + Duration::from_secs(left.min(86_400 * 365));
        Ok(Some(signed_in))
    }

    /// Until they sign in, all from one address are one client.
    fn move_to(&mut self, subject: &str) -> Result<(), Close> {
        self.guest = self.guest.signed_in(subject);
        self.guest.take_over(&mut self.place).map_err(|refusal| Close::new(1013, refusal.message()))
    }

    async fn subscribe(&mut self, id: String, body: Body, out: &mpsc::Sender<Outgoing>) -> Result<(), Close> {
        let Some(caller) = self.caller.clone() else { return Err(Close::new(4401, "Unauthorized")) };
        self.forget_ended();
        if self.running.contains_key(&id) {
            return Err(Close::new(4409, format!("Subscriber for {id} already exists")));
        }
        if self.running.len() >= self.api.settings.clients.socket_operations {
            let refusal = ErrorCode::TooManyOperations.server_error("Too many operations run on this socket.");
            return say(out, Outgoing::Error { id, errors: errors(&[refusal]) }).await;
        }
        let (results, place) = match self.begin(body, caller) {
            Ok(begun) => begun,
            Err(refused) => return say(out, Outgoing::Error { id, errors: errors(&refused) }).await,
        };
        self.started += 1;
        let number = self.started;
        let (key, out, ended) = ((id.clone(), number), out.clone(), self.ended.0.clone());
        let task = self.operations.spawn(async move {
            let last = operate(key.0.clone(), results, &out).await;
            drop(place);
            let _ = ended.send(key).await;
            let _ = out.send(last).await;
        });
        self.running.insert(id, Running { number, task });
        Ok(())
    }

    /// Lets an operation in, like any request; a query or a mutation has a place as long as it runs.
    fn begin(&self, body: Body, caller: Caller) -> Result<(BoxStream<'static, Response>, Option<Place>), Vec<ServerError>> {
        let refused = |refusal: Refusal| vec![refusal.error()];
        self.guest.request().map_err(refused)?;
        let question = body.into_question(&self.api.documents).map_err(|error| vec![error])?;
        let prepared = self.api.executor.prepare(&question)?;
        let runs = prepared.kind != OperationKind::Subscription;
        let place = runs.then(|| self.guest.operation()).transpose().map_err(refused)?;
        Ok((operate::stream(&self.api, prepared, caller), place))
    }

    fn forget_ended(&mut self) {
        while let Ok((id, number)) = self.ended.1.try_recv() {
            if self.running.get(&id).is_some_and(|running| running.number == number) {
                self.running.remove(&id);
            }
        }
    }
}

/// Runs one operation, and gives its last message. Sending waits while the queue is full: a slow reader slows this operation
/// down.
async fn operate(id: String, results: impl Stream<Item = Response> + Send, out: &mpsc::Sender<Outgoing>) -> Outgoing {
    let mut results = std::pin::pin!(results);
    let mut first = true;
    while let Some(result) = results.next().await {
        if std::mem::take(&mut first) && never_executed(&result) {
            // The protocol ends an operation by `error`; nothing may follow.
            return Outgoing::Error { id, errors: errors(&result.errors) };
        }
        let payload = serde_json::to_string(&result).unwrap_or_else(|_| "{}".into());
        if out.send(Outgoing::Next { id: id.clone(), payload }).await.is_err() {
            break;
        }
    }
    Outgoing::Complete { id }
}

fn errors(errors: &[ServerError]) -> String {
    serde_json::to_string(errors).unwrap_or_else(|_| "[]".into())
}

/// A full queue means a client that does not read; whoever reads its messages waits with it.
async fn say(out: &mpsc::Sender<Outgoing>, message: Outgoing) -> Result<(), Close> {
    out.send(message).await.map_err(|_| Close::new(1011, "The connection was lost"))
}

/// The `Authorization` of a payload, however it is spelled.
fn authorization(payload: Option<&serde_json::Map<String, serde_json::Value>>) -> Option<String> {
    let (_, value) = payload?.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"))?;
    value.as_str().map(str::to_owned)
}
