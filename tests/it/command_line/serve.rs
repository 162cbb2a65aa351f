//! `orderflow serve`: how it begins and how it ends.

use super::{at, process::Process, servers};
use crate::support::{Client, PATIENCE, Parts};
use serde_json::json;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Starts a server in development mode and waits until it says where it is, with the token of the administrator.
async fn serve(parts: &Parts, more: &[&str]) -> (Process, Client) {
    let args = [&["serve", "--dev", "--http-addr", "127.0.0.1:0", "--partitions", "2"], more].concat();
    let process = Process::start(&args, &at(parts));
    let addr: SocketAddr = process.prints("Orderflow listens on http://").await.parse().expect("an address");
    assert_ne!(addr.port(), 0);
    let token = process.prints("  ADMIN admin").await.trim().to_owned();
    let client = Client::new(addr, Some(token));
    // Whoever answers is there, and hears signals.
    client.ask("{ __typename }", json!({})).await;
    (process, client)
}

async fn migrated() -> Parts {
    let parts = servers().await;
    assert_eq!(Process::run(&["migrate"], &at(&parts)).await.code, Some(0));
    parts
}

/// A request of which the server has read the head and waits for the rest.
struct Half {
    stream: TcpStream,
    rest: &'static str,
}

impl Half {
    async fn send(client: &Client) -> Self {
        let body = "{\"query\":\"{ __typename }\"}";
        let (now, rest) = body.split_at(10);
        let mut stream = TcpStream::connect(client.addr).await.expect("a connection");
        let head = format!(
            "POST /graphql HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\nexpect: 100-continue\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.expect("a head");
        let mut half = Self { stream, rest };
        assert!(half.read_until("\r\n\r\n").await.starts_with("HTTP/1.1 100 "), "the server wants the body");
        half.stream.write_all(now.as_bytes()).await.expect("a half");
        half
    }

    async fn read_until(&mut self, end: &str) -> String {
        let mut read = Vec::new();
        let reading =
            async { while !read.ends_with(end.as_bytes()) && self.stream.read_buf(&mut read).await.expect("an answer") > 0 {} };
        timeout(PATIENCE, reading).await.expect("the server answers");
        String::from_utf8(read).expect("UTF-8")
    }

    async fn finish(mut self) -> String {
        self.stream.write_all(self.rest.as_bytes()).await.expect("the other half");
        self.read_until("}\n").await
    }
}

#[tokio::test]
async fn a_server_says_where_it_is_and_ends_in_order() {
    let parts = migrated().await;
    // Longer than a test waits: whoever needs the whole grace fails here.
    let (process, admin) = serve(&parts, &["--shutdown-grace", "60s"]).await;
    let tea = json!({ "sku": "TEA-1", "name": "Tea", "price": { "amount": "6.50", "currencyCode": "GBP" } });
    let receipt = admin.accepted("createProduct", tea.clone()).await;
    let query = "query($id: ID!, $token: String!) {
        product(id: $id, consistency: { token: $token, timeoutMs: 10000, onTimeout: FAIL }) { sku } }";
    let seen = admin.ask(query, json!({ "id": receipt["aggregateId"], "token": receipt["token"] })).await;
    assert_eq!(seen["product"]["sku"], "TEA-1", "all three roles are at work");
    // Somebody is following, somebody is keeping a connection, and somebody is in the middle of a question.
    let socket = admin.socket().await;
    let half = Half::send(&admin).await;
    process.signal("TERM");
    process.logs("draining").await;
    socket.closed().await;
    let answer = half.finish().await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("{\"__typename\":\"Query\"}"), "{answer}");
    let ended = process.end().await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(!ended.err.contains("ERROR") && !ended.err.contains("did not finish"), "{}", ended.err);
    // What was done is there for the next one.
    let (process, admin) = serve(&parts, &[]).await;
    assert_eq!(admin.refused("createProduct", tea).await, "SKU_TAKEN");
    process.signal("INT");
    assert_eq!(process.end().await.code, Some(0), "Ctrl-C is as good");
    parts.drop().await;
}

#[tokio::test]
async fn whoever_does_not_finish_within_the_grace_is_cut_off() {
    let parts = migrated().await;
    let (process, admin) = serve(&parts, &["--shutdown-grace", "1s"]).await;
    let _half = Half::send(&admin).await;
    process.signal("TERM");
    let ended = process.end().await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.err.contains("did not finish in time"), "{}", ended.err);
    parts.drop().await;
}

#[tokio::test]
async fn a_second_signal_cuts() {
    let parts = migrated().await;
    let (process, admin) = serve(&parts, &["--shutdown-grace", "60s"]).await;
    let _half = Half::send(&admin).await;
    process.signal("TERM");
    process.logs("draining").await;
    process.signal("TERM");
    let ended = process.end().await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(ended.err.contains("cut by a second signal"), "{}", ended.err);
    parts.drop().await;
}

#[tokio::test]
async fn a_server_that_cannot_start_says_what_to_do() {
    let parts = servers().await;
    let mut variables = at(&parts);
    let serve = ["serve", "--dev", "--http-addr", "127.0.0.1:0"];
    let ended = Process::run(&serve, &variables).await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{}", ended.err);
    assert!(ended.err.contains("run `orderflow migrate` first"), "{}", ended.err);

    assert_eq!(Process::run(&["migrate"], &variables).await.code, Some(0));
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = taken.local_addr().expect("an address").to_string();
    let ended = Process::run(&["serve", "--http-addr", &addr, "--jwt-secret", "short"], &variables).await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{}", ended.err);
    assert!(ended.err.contains(&format!("cannot listen on {addr}")), "{}", ended.err);
    assert!(ended.err.contains("ORDERFLOW_JWT_SECRET is short"), "{}", ended.err);

    variables[0].1 = "postgres://me:hunter2@127.0.0.1:1/db";
    let ended = Process::run(&serve, &variables).await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("PostgreSQL cannot be used") && !ended.err.contains("hunter2"), "{}", ended.err);
    parts.drop().await;
}
