//! What one client may take, and what all of them together may: requests, operations, sockets, connections, and time.
//!
//! The bounds per client are off in development: everybody there is the same person, and load tests come from one address.

use super::parse::Problems;
use clap::Args;
use ipnet::IpNet;
use std::{num::NonZeroU32, time::Duration};

/// The settings as they are given.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits of clients and connections")]
pub struct ClientOptions {
    /// Requests a second that a client may send over time, or off [default: 100; off with --dev]
    #[arg(long, env = "ORDERFLOW_REQUEST_RATE")]
    pub request_rate: Option<String>,
    /// Requests that a client may send at once before the rate counts
    #[arg(long, env = "ORDERFLOW_REQUEST_BURST", default_value = "500")]
    pub request_burst: String,
    /// Queries and mutations that may run at the same time
    #[arg(long, env = "ORDERFLOW_OPERATIONS", default_value = "2000")]
    pub operations: String,
    /// Those of one client, or off [default: 200; off with --dev]
    #[arg(long, env = "ORDERFLOW_CLIENT_OPERATIONS")]
    pub client_operations: Option<String>,
    /// Operations that may run at the same time on one WebSocket, subscriptions included
    #[arg(long, env = "ORDERFLOW_SOCKET_OPERATIONS", default_value = "100")]
    pub socket_operations: String,
    /// WebSockets and streams of events that may be open
    #[arg(long, env = "ORDERFLOW_SOCKETS", default_value = "15000")]
    pub sockets: String,
    /// Those of one client, or off [default: 100; off with --dev]
    #[arg(long, env = "ORDERFLOW_CLIENT_SOCKETS")]
    pub client_sockets: Option<String>,
    /// Connections that may be open, whatever is spoken on them; never more than the process may have files less 256
    #[arg(long, env = "ORDERFLOW_CONNECTIONS", default_value = "20000")]
    pub connections: String,
    /// Those from one address, trusted proxies apart, or off [default: half of all; off with --dev]
    #[arg(long, env = "ORDERFLOW_CLIENT_CONNECTIONS")]
    pub client_connections: Option<String>,
    /// Proxies whose X-Forwarded-For is believed: addresses or networks such as 10.0.0.0/8, with commas between them
    #[arg(long, env = "ORDERFLOW_TRUSTED_PROXIES")]
    pub trusted_proxies: Option<String>,
    /// How long the head of a request may take to arrive
    #[arg(long, env = "ORDERFLOW_HEAD_TIMEOUT", default_value = "10s")]
    pub head_timeout: String,
    /// How long a connection may rest between two requests; longer than that of the proxy in front
    #[arg(long, env = "ORDERFLOW_IDLE_TIMEOUT", default_value = "75s")]
    pub idle_timeout: String,
    /// How long the body of a request may take to arrive
    #[arg(long, env = "ORDERFLOW_BODY_TIMEOUT", default_value = "10s")]
    pub body_timeout: String,
    /// How long a client may take nothing of what is sent to it
    #[arg(long, env = "ORDERFLOW_WRITE_TIMEOUT", default_value = "20s")]
    pub write_timeout: String,
    /// Bytes of bodies that may be on their way in at the same time
    #[arg(long, env = "ORDERFLOW_BODIES", default_value = "67108864")]
    pub bodies: String,
}

/// The same, checked. Where there may be no bound, `None` is none.
#[derive(Debug, Clone)]
pub struct Clients {
    pub rate: Option<Rate>,
    pub operations: usize,
    pub client_operations: Option<usize>,
    pub socket_operations: usize,
    pub sockets: usize,
    pub client_sockets: Option<usize>,
    pub connections: usize,
    pub client_connections: Option<usize>,
    pub trusted_proxies: Vec<IpNet>,
    pub head_timeout: Duration,
    pub idle_timeout: Duration,
    pub body_timeout: Duration,
    pub write_timeout: Duration,
    /// Bytes.
    pub bodies: usize,
}

/// A token bucket: so many a second, and so many at once when it is full.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    pub per_second: NonZeroU32,
    pub burst: NonZeroU32,
}

/// `body_limit` is the largest body, of which at least one must have room.
pub fn read(options: &ClientOptions, dev: bool, body_limit: usize, problems: &mut Problems) -> Clients {
    let connections = problems.number("ORDERFLOW_CONNECTIONS", &options.connections, 1, 1_000_000);
    let per_client = |standard: usize| (!dev).then_some(standard);
    let rate = problems.bound("ORDERFLOW_REQUEST_RATE", options.request_rate.as_deref(), per_client(100), 100_000);
    let burst = problems.number("ORDERFLOW_REQUEST_BURST", &options.request_burst, 1, 1_000_000);
    let small = |number: usize| u32::try_from(number).ok().and_then(NonZeroU32::new);
    Clients {
        rate: rate.and_then(|rate| Some(Rate { per_second: small(rate)?, burst: small(burst)? })),
        operations: problems.number("ORDERFLOW_OPERATIONS", &options.operations, 1, 1_000_000),
        client_operations: problems.bound(
            "ORDERFLOW_CLIENT_OPERATIONS",
            options.client_operations.as_deref(),
            per_client(200),
            1_000_000,
        ),
        socket_operations: problems.number("ORDERFLOW_SOCKET_OPERATIONS", &options.socket_operations, 1, 10_000),
        sockets: problems.number("ORDERFLOW_SOCKETS", &options.sockets, 1, 1_000_000),
        client_sockets: problems.bound("ORDERFLOW_CLIENT_SOCKETS", options.client_sockets.as_deref(), per_client(100), 1_000_000),
        connections,
        client_connections: problems.bound(
            "ORDERFLOW_CLIENT_CONNECTIONS",
            options.client_connections.as_deref(),
            per_client(connections.div_ceil(2)),
            1_000_000,
        ),
        trusted_proxies: problems.networks("ORDERFLOW_TRUSTED_PROXIES", options.trusted_proxies.as_deref()),
        head_timeout: problems.duration("ORDERFLOW_HEAD_TIMEOUT", &options.head_timeout, 1, 600),
        idle_timeout: problems.duration("ORDERFLOW_IDLE_TIMEOUT", &options.idle_timeout, 1, 3_600),
        body_timeout: problems.duration("ORDERFLOW_BODY_TIMEOUT", &options.body_timeout, 1, 600),
        write_timeout: problems.duration("ORDERFLOW_WRITE_TIMEOUT", &options.write_timeout, 1, 600),
        bodies: problems.number("ORDERFLOW_BODIES", &options.bodies, body_limit, 1 << 32),
    }
}
