//! What a test app has of the three servers for itself: a database from a template, a vhost, and a MongoDB database.

use super::Proxy;
use orderflow::command;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use serde_json::json;
use std::env::var;
use tokio::process::Command;

pub fn address(name: &str) -> String {
    var(name).unwrap_or_else(|_| panic!("{name} is not set: run `make test`, or eval \"$(scripts/stack env test)\" first"))
}

/// The address with another database (or vhost) at its end.
fn with_last(url: &str, last: &str) -> String {
    let (base, query) = url.split_once('?').map_or((url, String::new()), |(base, query)| (base, format!("?{query}")));
    let slash = base.rfind('/').expect("an address has a path");
    format!("{}/{last}{query}", &base[..slash])
}

/// A wire to the server of this address, and the address of its near end.
pub async fn through(url: &str) -> (Proxy, String) {
    let begin = url.rfind('@').or(url.find("//").map(|slashes| slashes + 1)).expect("an address has a host") + 1;
    let end = begin + url[begin..].find('/').expect("an address has a path");
    let proxy = Proxy::to(&url[begin..end]).await;
    let near = format!("{}{}{}", &url[..begin], proxy.addr, &url[end..]);
    (proxy, near)
}

pub struct Parts {
    pub database_url: String,
    pub amqp_url: String,
    pub mongodb_uri: String,
    name: String,
}

impl Parts {
    pub async fn new(name: &str) -> Self {
        let admin = Database::connect(address("DATABASE_URL")).await.expect("PostgreSQL");
        template(&admin).await;
        Self::copy_of(TEMPLATE, &admin, name).await
    }

    /// Servers on which nobody has run `orderflow migrate` yet.
    pub async fn empty(name: &str) -> Self {
        let admin = Database::connect(address("DATABASE_URL")).await.expect("PostgreSQL");
        Self::copy_of("template0", &admin, name).await
    }

    async fn copy_of(template: &str, admin: &DatabaseConnection, name: &str) -> Self {
        let parts = Self {
            database_url: with_last(&address("DATABASE_URL"), name),
            amqp_url: with_last(&address("AMQP_URL"), name),
            mongodb_uri: with_last(&address("MONGODB_URI"), name),
            name: name.to_owned(),
        };
        execute(admin, &format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        admin.close_by_ref().await.expect("close");
        broker(reqwest::Method::PUT, &format!("vhosts/{name}"), "{}").await;
        parts
    }

    pub async fn drop(&self) {
        let admin = Database::connect(address("DATABASE_URL")).await.expect("PostgreSQL");
        execute(&admin, &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)).await;
        admin.close().await.expect("close");
        broker(reqwest::Method::DELETE, &format!("vhosts/{}", self.name), "").await;
        let mongo = mongodb::Client::with_uri_str(&self.mongodb_uri).await.expect("MongoDB");
        mongo.database(&self.name).drop().await.expect("drop");
    }

    /// Throws every connection to this vhost out, as a restarting broker would; says how many there were.
    pub async fn kick_everybody(&self) -> usize {
        let found: serde_json::Value = broker(reqwest::Method::GET, &format!("vhosts/{}/connections", self.name), "").await;
        let found = found.as_array().map(Vec::as_slice).unwrap_or_default();
        for connection in found {
            let name = connection["name"].as_str().expect("a connection has a name").replace(' ', "%20").replace('>', "%3E");
            broker(reqwest::Method::DELETE, &format!("connections/{name}"), "").await;
        }
        found.len()
    }

    /// Lets each of the queues whose names match hold a few messages only; or, with none, as many as they like.
    pub async fn narrow_queues(&self, pattern: Option<&str>) {
        let definition = json!({ "max-length": 4, "overflow": "reject-publish" });
        let policy = |pattern| json!({ "pattern": pattern, "apply-to": "queues", "definition": definition }).to_string();
        let (method, body) = pattern.map_or((reqwest::Method::DELETE, String::new()), |it| (reqwest::Method::PUT, policy(it)));
        broker(method, &format!("policies/{}/narrow", self.name), body).await;
    }

    /// From now on a quorum queue takes no message and refuses none, as if it had lost its leader for good.
    pub async fn silence(&self, queue: &str) {
        let member = format!("{}_{queue}", self.name);
        let asking = ["eval".to_owned(), format!("sys:suspend(whereis('{member}'))."), "--silent".to_owned()];
        let suspended = Command::new(address("RABBITMQ_CTL")).args(asking).output().await.expect("the broker's own tool runs");
        let said = String::from_utf8_lossy(&suspended.stdout);
        assert_eq!(said.trim(), "ok", "{member}: {}", String::from_utf8_lossy(&suspended.stderr));
    }

    /// Lets nobody new into this vhost, or everybody again.
    pub async fn open_broker(&self, open: bool) {
        let most = if open { r#"{"value":-1}"# } else { r#"{"value":0}"# };
        broker(reqwest::Method::PUT, &format!("vhost-limits/{}/max-connections", self.name), most).await;
    }
}

const TEMPLATE: &str = "orderflow_template";

/// Makes the template once for all tests, whoever comes first. It is made anew when the migrations have changed.
async fn template(admin: &DatabaseConnection) {
    use sea_orm::TransactionTrait;
    let turn = admin.begin().await.expect("begin");
    execute(&turn, "SELECT pg_advisory_xact_lock(77)").await;
    let wanted = format!("{:x}", fingerprint());
    let comment = "SELECT shobj_description(oid, 'pg_database') AS made_of FROM pg_database WHERE datname = 'orderflow_template'";
    let row = turn.query_one_raw(Statement::from_string(sea_orm::DbBackend::Postgres, comment)).await.expect("template");
    let made_of: Option<String> = row.and_then(|row| row.try_get("", "made_of").ok());
    if made_of.as_deref() != Some(&wanted) {
        // Databases are not made within transactions; the lock is held by the other connection meanwhile.
        execute(admin, &format!("DROP DATABASE IF EXISTS {TEMPLATE} WITH (FORCE)")).await;
        execute(admin, &format!("CREATE DATABASE {TEMPLATE}")).await;
        command::migrate(&with_last(&address("DATABASE_URL"), TEMPLATE)).await.expect("migrate");
        execute(admin, &format!("COMMENT ON DATABASE {TEMPLATE} IS '{wanted}'")).await;
    }
    turn.commit().await.expect("commit");
}

fn fingerprint() -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    include_str!("../../../migrations/src/m20261123_000001_write_model.rs").hash(&mut hasher);
    include_str!("../../../migrations/src/m20261124_000001_streams_by_key.rs").hash(&mut hasher);
    include_str!("../../../migrations/src/m20261124_000002_rebuild_requests.rs").hash(&mut hasher);
    hasher.finish()
}

async fn execute(db: &impl ConnectionTrait, sql: &str) {
    db.execute_unprepared(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
}

/// The management API of the broker.
async fn broker(method: reqwest::Method, path: &str, body: impl Into<String>) -> serde_json::Value {
    let base = address("RABBITMQ_API");
    let (credentials, host) = base.trim_start_matches("http://").split_once('@').expect("credentials");
    let (user, password) = credentials.split_once(':').expect("a password");
    let request = reqwest::Client::new()
        .request(method.clone(), format!("http://{host}/api/{path}"))
        .basic_auth(user, Some(password))
        .header("content-type", "application/json")
        .body(body.into());
    let answer = request.send().await.expect("the management API answers");
    let status = answer.status();
    assert!(status.is_success() || status == 404, "{method} {path}: {status}");
    serde_json::from_str(&answer.text().await.expect("a body")).unwrap_or_default()
}
