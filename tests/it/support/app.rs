//! A whole Orderflow in this process: the production wiring, on a port of its own.

use super::{
    Client, Proxy,
    stack::{Parts, through},
};
use orderflow::{
    app::{self, App},
    auth::Keys,
    clock::{Clock, Ids},
    config::{Config, Options, Role as Part},
    value::{Role, Viewer},
};
use std::{net::SocketAddr, time::Duration};

const PRODUCTION_SECRET: &str = "a secret that only this test knows";

/// How an app is to be.
pub struct Build {
    roles: Vec<Part>,
    flags: Vec<String>,
    through_proxy: bool,
    mongodb_uri: Option<String>,
}

/// The wires to the three servers, for tests that cut them.
pub struct Wires {
    pub postgres: Proxy,
    pub broker: Proxy,
    pub mongodb: Proxy,
}

impl Build {
    /// Only these parts of the work.
    pub fn roles(mut self, roles: &[Part]) -> Self {
        self.roles = roles.to_vec();
        self
    }

    /// With a setting, as on the command line.
    pub fn with(mut self, flag: &str, value: &str) -> Self {
        self.flags.extend([flag.to_owned(), value.to_owned()]);
        self
    }

    /// As a deployment has it: with a secret of its own and without `--dev`.
    pub fn production(mut self) -> Self {
        self.flags[0] = format!("--jwt-secret={PRODUCTION_SECRET}");
        self
    }

    /// As a deployment that trusts somebody else's keys has it: without `--dev` and without a secret.
    pub fn trusting(mut self, flag: &str, value: &str) -> Self {
        self.flags[0] = format!("{flag}={value}");
        self
    }

    /// With wires to the three servers that can be cut.
    pub fn through_proxy(mut self) -> Self {
        self.through_proxy = true;
        self
    }

    /// On a MongoDB of its own.
    pub fn mongodb(mut self, uri: String) -> Self {
        self.mongodb_uri = Some(uri);
        self
    }

    pub async fn start(mut self) -> TestApp {
        // What a process would log, for whoever looks at a test that failed.
        let log = tracing_subscriber::fmt().with_env_filter("orderflow=warn").with_test_writer();
        let _ = log.try_init();
        let name = format!("t_{}", uuid::Uuid::now_v7().simple());
        let mut parts = Parts::new(&name).await;
        if let Some(uri) = self.mongodb_uri.take() {
            parts.mongodb_uri = uri;
        }
        let mut wires = None;
        if self.through_proxy {
            let (postgres, database_url) = through(&parts.database_url).await;
            let (broker, amqp_url) = through(&parts.amqp_url).await;
            let (mongodb, mongodb_uri) = through(&parts.mongodb_uri).await;
            self.flags.extend([format!("--database-url={database_url}"), format!("--amqp-url={amqp_url}")]);
            self.flags.push(format!("--mongodb-uri={mongodb_uri}"));
            wires = Some(Wires { postgres, broker, mongodb });
        }
        let config = config(&parts, &self.flags);
        app::migrate(&config.parts, &config.work).await.expect("migrate");
        let app = start(&config, &self.roles).await;
        TestApp { app: Some(app), parts, config, wires, ledger: tokio::sync::OnceCell::new(), more: Vec::new() }
    }
}

pub struct TestApp {
    app: Option<App>,
    parts: Parts,
    pub config: Config,
    wires: Option<Wires>,
    /// A connection to PostgreSQL for looking, opened when somebody first looks.
    pub(super) ledger: tokio::sync::OnceCell<sea_orm::DatabaseConnection>,
    /// Further processes on the same parts.
    more: Vec<App>,
}

impl TestApp {
    /// Every role, in one process.
    pub async fn start() -> Self {
        Self::build().start().await
    }

    pub fn build() -> Build {
        Build {
            roles: vec![Part::Api, Part::Relay, Part::Projector],
            flags: vec!["--dev".to_owned()],
            through_proxy: false,
            mongodb_uri: None,
        }
    }

    pub fn app(&self) -> &App {
        self.app.as_ref().expect("the app runs")
    }

    pub fn addr(&self) -> SocketAddr {
        self.app().addr.expect("the app has an API")
    }

    /// Where its servers are, for processes that join from outside.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    pub fn wires(&self) -> &Wires {
        self.wires.as_ref().expect("built through_proxy")
    }

    /// Starts one more process on the same parts, and gives the address of its API if it has one.
    pub async fn join(&mut self, roles: &[Part]) -> Option<SocketAddr> {
        let app = start(&self.config, roles).await;
        let addr = app.addr;
        self.more.push(app);
        addr
    }

    /// Stops the first process, in order, and starts it again.
    pub async fn restart(&mut self, roles: &[Part]) {
        let app = self.app.take().expect("the app runs");
        app.shutdown.finish().await.expect("an orderly end");
        self.app = Some(start(&self.config, roles).await);
    }

    /// The broker throws everybody out, and says how many that were.
    pub async fn kick_everybody(&self) -> usize {
        self.parts.kick_everybody().await
    }

    /// The broker lets nobody new in, or everybody again.
    pub async fn open_broker(&self, open: bool) {
        self.parts.open_broker(open).await;
    }

    /// See [`super::stack::Parts::narrow_queues`].
    pub async fn narrow_queues(&self, pattern: Option<&str>) {
        self.parts.narrow_queues(pattern).await;
    }

    pub fn bus(&self) -> orderflow::bus::Settings {
        self.config.parts.bus.clone()
    }

    /// See [`super::stack::Parts::silence`].
    pub async fn silence(&self, queue: &str) {
        self.parts.silence(queue).await;
    }

    /// The read model as the driver sees it.
    pub async fn mongo(&self) -> mongodb::Database {
        let client = mongodb::Client::with_uri_str(&self.parts.mongodb_uri).await.expect("MongoDB");
        client.default_database().expect("the address names a database")
    }

    /// The write model as the driver sees it.
    pub async fn postgres(&self) -> sea_orm::DatabaseConnection {
        sea_orm::Database::connect(&self.parts.database_url).await.expect("PostgreSQL")
    }

    pub fn token(&self, subject: &str, role: Role) -> String {
        let viewer = Viewer { subject: subject.to_owned(), role };
        self.keys().sign(&viewer, Clock::system().now(), Duration::from_secs(600)).expect("a token")
    }

    /// The keys that make this app's tokens.
    pub fn keys(&self) -> Keys {
        Keys::by_secret(&self.config.auth, &Clock::system())
    }

    pub fn admin(&self) -> Client {
        Client::new(self.addr(), Some(self.token("admin", Role::Admin)))
    }

    pub fn staff(&self) -> Client {
        Client::new(self.addr(), Some(self.token("staff", Role::Staff)))
    }

    pub fn anonymous(&self) -> Client {
        Client::new(self.addr(), None)
    }

    /// A client for a customer that exists.
    pub fn as_customer(&self, id: &str) -> Client {
        Client::new(self.addr(), Some(self.token(id, Role::Customer)))
    }

    /// Stops everything, in order, and leaves nothing behind. Fails if a task has died.
    pub async fn close(mut self) {
        for app in self.app.take().into_iter().chain(self.more.drain(..)) {
            app.shutdown.finish().await.expect("no task has died");
        }
        self.parts.drop().await;
    }
}

async fn start(config: &Config, roles: &[Part]) -> App {
    app::start(config, roles, &Clock::system(), &Ids::system()).await.expect("the app starts")
}

fn config(parts: &Parts, flags: &[String]) -> Config {
    #[derive(clap::Parser)]
    #[command(args_override_self = true)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }
    let fixed = [
        "test",
        "--http-addr=127.0.0.1:0",
        // Two are enough to be apart, and declare sooner than eight.
        "--partitions=2",
        "--database-connections=6",
        "--mongodb-connections=16",
        &format!("--database-url={}", parts.database_url),
        &format!("--amqp-url={}", parts.amqp_url),
        &format!("--mongodb-uri={}", parts.mongodb_uri),
    ]
    .map(str::to_owned);
    let line = <Line as clap::Parser>::parse_from(fixed.into_iter().chain(flags.iter().cloned()));
    Config::new(&line.options).expect("the configuration is right")
}
