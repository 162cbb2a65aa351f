//! Somebody who signs tokens and publishes keys: what an identity provider is to Orderflow.

use crate::support::until;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use orderflow::value::Time;
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{net::TcpListener, task::JoinHandle};

/// A file of `tests/data/keys`.
pub fn key_file(name: &str) -> String {
    format!("{}/tests/data/keys/{name}", env!("CARGO_MANIFEST_DIR"))
}

pub fn now() -> i64 {
    Time::now_utc().unix_timestamp()
}

/// A private key, and the name under which its public half is published.
pub struct Pair {
    pub kid: &'static str,
    algorithm: Algorithm,
    key: EncodingKey,
}

impl Pair {
    pub fn rsa(kid: &'static str) -> Self {
        Self::new(kid, Algorithm::RS256, "rsa", EncodingKey::from_rsa_pem)
    }

    pub fn weak_rsa(kid: &'static str) -> Self {
        Self::new(kid, Algorithm::RS256, "rsa-weak", EncodingKey::from_rsa_pem)
    }

    pub fn p256(kid: &'static str) -> Self {
        Self::new(kid, Algorithm::ES256, "p256", EncodingKey::from_ec_pem)
    }

    pub fn ed25519(kid: &'static str) -> Self {
        Self::new(kid, Algorithm::EdDSA, "ed25519", EncodingKey::from_ed_pem)
    }

    fn new(
        kid: &'static str,
        algorithm: Algorithm,
        file: &str,
        read: impl Fn(&[u8]) -> jsonwebtoken::errors::Result<EncodingKey>,
    ) -> Self {
        let pem = std::fs::read(key_file(&format!("{file}.pem"))).expect("a key file");
        Self { kid, algorithm, key: read(&pem).expect("a private key") }
    }

    /// The public half, as it is published.
    pub fn jwk(&self) -> Value {
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&self.key, self.algorithm).expect("a key")).expect("JSON");
        jwk["kid"] = self.kid.into();
        jwk["use"] = "sig".into();
        jwk
    }

    /// A token for staff, with other claims where they are given; null leaves one out.
    pub fn token(&self, claims: Value) -> String {
        self.token_named(Some(self.kid), claims)
    }

    /// The same, under another name of the key, or none.
    pub fn token_named(&self, kid: Option<&str>, claims: Value) -> String {
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, &with(claims), &self.key).expect("a token")
    }
}

/// The claims of a token for staff that is good for ten minutes, with changes.
pub fn with(changes: Value) -> Value {
    let mut claims = json!({ "sub": "staff", "role": "STAFF", "exp": now() + 600 });
    let all = claims.as_object_mut().expect("an object");
    all.extend(changes.as_object().expect("an object").clone());
    all.retain(|_, value| !value.is_null());
    claims
}

/// What the address of the keys answers.
#[derive(Clone)]
enum Answer {
    Text(StatusCode, String),
    Silence,
}

struct Desk {
    answer: Mutex<Answer>,
    fetches: AtomicUsize,
}

/// A server that publishes keys.
pub struct Issuer {
    addr: SocketAddr,
    desk: Arc<Desk>,
    serving: JoinHandle<()>,
}

impl Issuer {
    pub async fn publishing(keys: &[Value]) -> Self {
        let desk = Arc::new(Desk { answer: Mutex::new(Answer::Silence), fetches: AtomicUsize::new(0) });
        let routes = axum::Router::new().route("/keys", get(publish)).with_state(Arc::clone(&desk));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await.expect("it serves") });
        let issuer = Self { addr, desk, serving };
        issuer.publishes(keys);
        issuer
    }

    pub fn url(&self) -> String {
        format!("http://{}/keys", self.addr)
    }

    /// From now on, these keys.
    pub fn publishes(&self, keys: &[Value]) {
        self.answers(200, json!({ "keys": keys }).to_string());
    }

    /// From now on, this.
    pub fn answers(&self, status: u16, text: impl Into<String>) {
        let status = StatusCode::from_u16(status).expect("a status");
        *self.desk.answer.lock().expect("no panic") = Answer::Text(status, text.into());
    }

    /// From now on, nothing: whoever asks is kept waiting.
    pub fn falls_silent(&self) {
        *self.desk.answer.lock().expect("no panic") = Answer::Silence;
    }

    /// How often somebody has asked.
    pub fn fetches(&self) -> usize {
        self.desk.fetches.load(Ordering::SeqCst)
    }

    /// Waits until somebody has asked so many times more.
    pub async fn is_asked(&self, more: usize) {
        let wanted = self.fetches() + more;
        until("a fetch of the keys", || async {
            let fetches = self.fetches();
            if fetches >= wanted { Ok(()) } else { Err(fetches) }
        })
        .await;
    }

    /// Goes away: nobody listens there any more.
    pub async fn goes_away(&mut self) {
        self.serving.abort();
        assert!((&mut self.serving).await.expect_err("it was ended").is_cancelled());
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn publish(State(desk): State<Arc<Desk>>) -> Response {
    desk.fetches.fetch_add(1, Ordering::SeqCst);
    let answer = desk.answer.lock().expect("no panic").clone();
    match answer {
        Answer::Text(status, text) => (status, text).into_response(),
        Answer::Silence => std::future::pending().await,
    }
}
