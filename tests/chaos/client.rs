//! A GraphQL client that expects the worst of servers and networks.

use orderflow::{
    auth::Keys,
    clock::Clock,
    config::DEV_SECRET,
    value::{Role, Viewer},
};
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};

/// How a request ended.
#[derive(Debug)]
pub enum Answer {
    /// Whole and without errors.
    Data(Value),
    /// The code of the first error.
    Error(String),
    /// Nothing came, or nothing that makes sense.
    Lost,
}

/// One caller. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    pub subject: String,
    pub token: String,
}

impl Client {
    /// A caller whose tokens last longer than any run.
    pub fn new(http: &reqwest::Client, subject: &str, role: Role) -> Result<Self, crate::Failure> {
        let viewer = Viewer { subject: subject.to_owned(), role };
        let token = Keys::hs256(DEV_SECRET).sign(&viewer, Clock::system().now(), Duration::from_secs(86_400))?;
        Ok(Self { http: http.clone(), subject: subject.to_owned(), token })
    }

    /// Longer than a server may take, so that who gives up is usually not we.
    pub fn http() -> Result<reqwest::Client, reqwest::Error> {
        reqwest::Client::builder().timeout(Duration::from_secs(25)).connect_timeout(Duration::from_secs(2)).build()
    }

    pub async fn ask(&self, addr: SocketAddr, query: &str, variables: Value) -> Answer {
        let request = self.http.post(format!("http://{addr}/graphql")).bearer_auth(&self.token);
        let Ok(response) = request.json(&json!({ "query": query, "variables": variables })).send().await else {
            return Answer::Lost;
        };
        let Ok(mut answer) = response.json::<Value>().await else { return Answer::Lost };
        match answer["errors"][0]["extensions"]["code"].as_str() {
            Some(code) => Answer::Error(code.to_owned()),
            None if answer["data"].is_object() => Answer::Data(answer["data"].take()),
            None => Answer::Lost,
        }
    }
}
