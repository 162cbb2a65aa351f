//! The settings as they are given: texts, from flags or from the environment. Their meaning and defaults stand here, once.

use super::{AuthOptions, clients::ClientOptions};
use clap::Args;

/// Everything that `serve` takes.
#[derive(Debug, Clone, Args)]
pub struct Options {
    #[command(flatten)]
    pub parts: PartsOptions,
    #[command(flatten)]
    pub work: WorkOptions,
    #[command(flatten)]
    pub http: HttpOptions,
    #[command(flatten)]
    pub clients: ClientOptions,
    #[command(flatten)]
    pub auth: AuthOptions,
}

/// Where the three servers are.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "The parts")]
pub struct PartsOptions {
    /// PostgreSQL, the write model: postgres://user:password@host:port/database
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// Connections to PostgreSQL at most
    #[arg(long, env = "ORDERFLOW_DATABASE_CONNECTIONS", default_value = "10")]
    pub database_connections: String,
    /// RabbitMQ: amqp://user:password@host:port/vhost
    #[arg(long, env = "AMQP_URL", hide_env_values = true)]
    pub amqp_url: Option<String>,
    /// Queues between relay and projector; the same in all processes, and fixed for the life of a deployment
    #[arg(long, env = "ORDERFLOW_PARTITIONS", default_value = "8")]
    pub partitions: String,
    /// MongoDB, the read model; a replica set: mongodb://host:port/database?replicaSet=rs0
    #[arg(long, env = "MONGODB_URI", hide_env_values = true)]
    pub mongodb_uri: Option<String>,
    /// Connections to MongoDB at most
    #[arg(long, env = "ORDERFLOW_MONGODB_CONNECTIONS", default_value = "32")]
    pub mongodb_connections: String,
}

/// Bounds of bus, relay, projector and feed.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Bounds of the work")]
pub struct WorkOptions {
    /// Groups of commands that may commit at the same time
    #[arg(long, env = "ORDERFLOW_COMMAND_LANES", default_value = "2")]
    pub command_lanes: String,
    /// Commands that may wait in a lane; more are refused as BUSY
    #[arg(long, env = "ORDERFLOW_COMMAND_QUEUE", default_value = "1000")]
    pub command_queue: String,
    /// Commands in one transaction at most
    #[arg(long, env = "ORDERFLOW_COMMAND_GROUP", default_value = "64")]
    pub command_group: String,
    /// How long a client waits for a command before it is told UNAVAILABLE
    #[arg(long, env = "ORDERFLOW_COMMAND_PATIENCE", default_value = "10s")]
    pub command_patience: String,
    /// Events that may wait to be published; at that new commands are refused as BUSY
    #[arg(long, env = "ORDERFLOW_MAX_BACKLOG", default_value = "100000")]
    pub max_backlog: String,
    /// Parts of the outbox that are relayed at the same time; the same in all processes
    #[arg(long, env = "ORDERFLOW_RELAY_SHARDS", default_value = "1")]
    pub relay_shards: String,
    /// Events published in one transaction at most
    #[arg(long, env = "ORDERFLOW_RELAY_BATCH", default_value = "500")]
    pub relay_batch: String,
    /// How often the relay looks without having been woken
    #[arg(long, env = "ORDERFLOW_RELAY_SWEEP", default_value = "500ms")]
    pub relay_sweep: String,
    /// Events projected in one transaction at most
    #[arg(long, env = "ORDERFLOW_PROJECTOR_BATCH", default_value = "500")]
    pub projector_batch: String,
    /// Events that wait behind a parked one at most; what comes beyond is taken from the event log by `parked retry`
    #[arg(long, env = "ORDERFLOW_PARKED_TAIL", default_value = "1000")]
    pub parked_tail: String,
    /// Messages that may wait for a read model that is not live; one that is further behind is given up, with its queues
    #[arg(long, env = "ORDERFLOW_MAX_BEHIND", default_value = "1000000")]
    pub max_behind: String,
    /// Events of the log that `rebuild` folds in one batch; it has two of them in memory
    #[arg(long, env = "ORDERFLOW_REBUILD_BATCH", default_value = "8000")]
    pub rebuild_batch: String,
    /// How long outcomes of commands are remembered; later the same commandId would be a new command
    #[arg(long, env = "ORDERFLOW_KEEP_OUTCOMES", default_value = "30days")]
    pub keep_outcomes: String,
    /// How long subscribers can resume; older cursors are told RESYNC
    #[arg(long, env = "ORDERFLOW_KEEP_CHANGES", default_value = "24h")]
    pub keep_changes: String,
    /// How long a part may be silent, or an event unpublished, before /readyz says no
    #[arg(long, env = "ORDERFLOW_READY_WITHIN", default_value = "15s")]
    pub ready_within: String,
}

/// The API.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "The API")]
pub struct HttpOptions {
    /// Where to listen; port 0 takes a free one and prints it
    #[arg(long = "http-addr", env = "ORDERFLOW_HTTP_ADDR", default_value = "127.0.0.1:8080")]
    pub addr: String,
    /// Development: a built-in secret, GraphiQL with ready-made tokens, introspection
    #[arg(long)]
    pub dev: bool,
    /// The explorer at /graphiql: on or off [default: on with --dev]
    #[arg(long, env = "ORDERFLOW_GRAPHIQL")]
    pub graphiql: Option<String>,
    /// Whether the schema can be asked for: on or off [default: on with --dev]
    #[arg(long, env = "ORDERFLOW_INTROSPECTION")]
    pub introspection: Option<String>,
    /// A manifest of trusted documents (JSON); when given, nothing else is executed
    #[arg(long, env = "ORDERFLOW_TRUSTED_DOCUMENTS")]
    pub trusted_documents: Option<std::path::PathBuf>,
    /// Origins whose pages may call the API, with commas between them
    #[arg(long, env = "ORDERFLOW_CORS_ORIGINS")]
    pub cors_origins: Option<String>,
    /// Bytes of a request at most
    #[arg(long, env = "ORDERFLOW_BODY_LIMIT", default_value = "1048576")]
    pub body_limit: String,
    /// How long a query or a mutation may take
    #[arg(long, env = "ORDERFLOW_OPERATION_TIMEOUT", default_value = "20s")]
    pub operation_timeout: String,
    /// Tokens of a document at most; blanks between them count as well
    #[arg(long, env = "ORDERFLOW_MAX_TOKENS", default_value = "20000")]
    pub max_tokens: String,
    /// Selections of an operation at most, counted wherever its fragments are spread
    #[arg(long, env = "ORDERFLOW_MAX_SELECTIONS", default_value = "20000")]
    pub max_selections: String,
    /// Bytes of an operation's variables at most
    #[arg(long, env = "ORDERFLOW_MAX_VARIABLES", default_value = "262144")]
    pub max_variables: String,
    /// Levels of an operation at most
    #[arg(long, env = "ORDERFLOW_MAX_DEPTH", default_value = "20")]
    pub max_depth: String,
    /// Points of an operation at most: one a field, times the items of the lists it is in
    #[arg(long, env = "ORDERFLOW_MAX_COST", default_value = "20000")]
    pub max_cost: String,
    /// Aliases of an operation at most
    #[arg(long, env = "ORDERFLOW_MAX_ALIASES", default_value = "30")]
    pub max_aliases: String,
    /// Directives of an operation at most
    #[arg(long, env = "ORDERFLOW_MAX_DIRECTIVES", default_value = "50")]
    pub max_directives: String,
    /// How long a payload's object waits for the read side before it is null
    #[arg(long, env = "ORDERFLOW_PAYLOAD_WAIT", default_value = "2s")]
    pub payload_wait: String,
    /// How long the process may take to finish after the first signal
    #[arg(long, env = "ORDERFLOW_SHUTDOWN_GRACE", default_value = "10s")]
    pub shutdown_grace: String,
}

/// Logs.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Logs")]
pub struct LogOptions {
    /// What is logged, as for tracing's EnvFilter
    #[arg(long, env = "ORDERFLOW_LOG", default_value = "info,lapin=error,sqlx=warn,sea_orm_migration=warn", global = true)]
    pub log: String,
    /// text or json
    #[arg(long, env = "ORDERFLOW_LOG_FORMAT", default_value = "text", global = true)]
    pub log_format: String,
}
