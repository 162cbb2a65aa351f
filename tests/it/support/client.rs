//! GraphQL over HTTP.

use super::Socket;
use serde_json::{Value, json};
use std::net::SocketAddr;

#[derive(Clone)]
pub struct Client {
    pub addr: SocketAddr,
    pub token: Option<String>,
    http: reqwest::Client,
}

impl Client {
    pub fn new(addr: SocketAddr, token: Option<String>) -> Self {
        Self { addr, token, http: reqwest::Client::new() }
    }

    /// The same caller at another node.
    pub fn at(&self, addr: SocketAddr) -> Self {
        Self { addr, ..self.clone() }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// The whole answer, whatever it is.
    pub async fn answer(&self, query: &str, variables: Value) -> Value {
        let mut request = self.http.post(self.url("/graphql")).json(&json!({ "query": query, "variables": variables }));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        request.send().await.expect("the server answers").json().await.expect("JSON")
    }

    /// The data of an answer without errors, or nothing when the server goes away or says that it does.
    pub async fn attempt(&self, query: &str, variables: Value) -> Option<Value> {
        let token = self.token.as_deref().unwrap_or_default();
        let request = self.http.post(self.url("/graphql")).json(&json!({ "query": query, "variables": variables }));
        let mut answer: Value = request.bearer_auth(token).send().await.ok()?.json().await.ok()?;
        answer.get("errors").is_none().then(|| answer["data"].take())
    }

    /// The data of an answer without errors.
    pub async fn ask(&self, query: &str, variables: Value) -> Value {
        let mut answer = self.answer(query, variables).await;
        assert!(answer.get("errors").is_none(), "{query}\n{answer:#}");
        answer["data"].take()
    }

    /// The code of the first error of an answer.
    pub async fn error_of(&self, query: &str, variables: Value) -> String {
        let answer = self.answer(query, variables).await;
        answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_else(|| panic!("no error: {answer:#}")).to_owned()
    }

    /// Sends a mutation with one input and gives its payload.
    pub async fn command(&self, name: &str, input: Value) -> Value {
        let kind = format!("{}{}Input", name[..1].to_uppercase(), &name[1..]);
        let query = format!(
            "mutation($input: {kind}!) {{ {name}(input: $input) {{
                receipt {{ commandId aggregateId version token committedAt replayed }}
                errors {{ code message path currentVersion }} }} }}"
        );
        self.ask(&query, json!({ "input": input })).await[name].take()
    }

    /// The receipt of a mutation that must be accepted.
    pub async fn accepted(&self, name: &str, input: Value) -> Value {
        let payload = self.command(name, input).await;
        assert_eq!(payload["errors"], json!([]), "{name} was refused: {payload:#}");
        payload["receipt"].clone()
    }

    /// The code of the first refusal of a mutation that must be refused.
    pub async fn refused(&self, name: &str, input: Value) -> String {
        let payload = self.command(name, input).await;
        assert!(payload["receipt"].is_null(), "{name} was accepted: {payload:#}");
        payload["errors"][0]["code"].as_str().expect("a code").to_owned()
    }

    /// Opens a socket and signs in on it.
    pub async fn socket(&self) -> Socket {
        Socket::open(self.addr, self.token.as_deref()).await
    }
}
