//! Accepts connections, as many as may be, and gives each what it needs to be served and to be ended.
//!
//! `axum::serve` would take any number of them and wait for each for ever. Here every connection has a place, of its address and
//! of all, and a limit on every wait (see [`line`]). All of them are tasks of the server's, so whoever ends the server ends them;
//! what a connection has turned into, such as a WebSocket, is waited for as well, by the line it holds.
//!
//! A drain closes the listener, lets requests in hand finish, and closes each connection behind them.

mod connection;
mod line;

use super::{
    admission::{Admission, Peer, Place, Refusal},
    health::{Health, probes},
    negotiate::Form,
};
use crate::shutdown::Shutdown;
use axum::{Extension, Router, http::HeaderMap};
use connection::{Connection, Streams};
use line::Times;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

/// Files that the process needs beside the connections of clients: those to the three servers, and some air.
const OTHER_FILES: usize = 256;
/// Connections beyond the bound that are still answered, so that probes come through and others hear why they are refused.
const CROWD: usize = 64;
/// How long one of those may take to say what it wants.
const CROWD_PATIENCE: Duration = Duration::from_secs(2);
/// How long the listener rests when the operating system has no connection to give, such as for want of files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// A listener with the routes behind it.
pub struct Server {
    listener: TcpListener,
    routes: Router,
    /// What is served to those for whom there is no place.
    crowded: Router,
    admission: Admission,
    places: Arc<Semaphore>,
    crowd: Arc<Semaphore>,
    /// Lines that are open, whatever is spoken on them.
    lines: TaskTracker,
    /// How long an answer may be in the making.
    longest: Duration,
    shutdown: Shutdown,
}

/// What a connection takes away from others, given back when its line is closed.
pub struct Slot {
    _of_all: OwnedSemaphorePermit,
    _of_address: Option<Place>,
    _line: TaskTrackerToken,
}

impl Drop for Slot {
    fn drop(&mut self) {
        metrics::gauge!("orderflow_connections").decrement(1.0);
    }
}

impl Server {
    /// Listens, and answers nobody yet. `longest` is how long an answer may be in the making once the request is there.
    ///
    /// # Errors
    /// The operating system's.
    pub async fn bind(
        addr: SocketAddr,
        routes: Router,
        health: Health,
        admission: Admission,
        longest: Duration,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let shutdown = health.shutdown.clone();
        let places = Arc::new(Semaphore::new(connections(admission.limits().connections)));
        let crowded = probes(health).fallback(refuse);
        let (crowd, lines) = (Arc::new(Semaphore::new(CROWD)), TaskTracker::new());
        Ok(Self { listener, routes, crowded, admission, places, crowd, lines, longest, shutdown })
    }

    /// # Errors
    /// The operating system's.
    pub fn addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the process drains and the last connection has ended.
    pub async fn run(self) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        if let Some(connection) = self.admit(stream, peer.ip()) {
                            connections.spawn(connection.serve());
                        }
                    }
                    Err(error) if gone(&error) => {}
                    Err(error) => {
                        metrics::counter!("orderflow_accept_errors_total").increment(1);
                        tracing::warn!(%error, "no connection can be accepted at present");
                        tokio::select! {
                            () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                            () = self.shutdown.draining() => break,
                        }
                    }
                },
                Some(ended) = connections.join_next() => tell(&ended),
                () = self.shutdown.draining() => break,
            }
        }
        let Self { listener, lines, .. } = self;
        drop(listener);
        while let Some(ended) = connections.join_next().await {
            tell(&ended);
        }
        lines.close();
        lines.wait().await;
    }

    /// Finds a place for a connection; nothing when there is not even one among the crowd, which closes it.
    fn admit(&self, stream: TcpStream, peer: IpAddr) -> Option<Connection> {
        let trusted = self.admission.trusts(peer);
        let of_address = if trusted { Ok(None) } else { self.admission.at(peer).connection().map(Some) };
        let of_all = Arc::clone(&self.places).try_acquire_owned();
        let (slot, refusal) = match (of_all, of_address) {
            (Ok(of_all), Ok(of_address)) => (self.slot(of_all, of_address), None),
            (of_all, of_address) => {
                let full = || Refusal::Overloaded("connections").counted();
                let refusal = of_address.err().or_else(|| of_all.err().map(|_| full()))?;
                (self.slot(Arc::clone(&self.crowd).try_acquire_owned().ok()?, None), Some(refusal))
            }
        };
        let limits = self.admission.limits();
        let (routes, times) = (self.routes.clone(), Times::new(limits));
        let (routes, times) =
            if refusal.is_some() { (self.crowded.clone(), times.at_most(CROWD_PATIENCE)) } else { (routes, times) };
        let patience = limits.body_timeout + self.longest + limits.write_timeout;
        let streams = Streams { tasks: self.lines.clone(), shutdown: self.shutdown.clone(), patience };
        Some(Connection { stream, peer: Peer(peer), slot, routes, times, refusal, shutdown: self.shutdown.clone(), streams })
    }

    fn slot(&self, of_all: OwnedSemaphorePermit, of_address: Option<Place>) -> Slot {
        metrics::gauge!("orderflow_connections").increment(1.0);
        Slot { _of_all: of_all, _of_address: of_address, _line: self.lines.token() }
    }
}

/// How many connections there may be: never more than there can be files, or the process could not reach its own databases.
fn connections(wanted: usize) -> usize {
    let needed = wanted.saturating_add(OTHER_FILES);
    let files = rlimit::increase_nofile_limit(needed as u64).ok().and_then(|files| usize::try_from(files).ok());
    let most = files.unwrap_or(needed).saturating_sub(OTHER_FILES).max(OTHER_FILES);
    if most < wanted {
        tracing::warn!(wanted, most, "fewer connections than ORDERFLOW_CONNECTIONS: the limit of open files is low (ulimit -n)");
    }
    wanted.min(most)
}

/// The client has gone between knocking and being let in.
fn gone(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// A handler that panics ends its connection; others are not touched.
fn tell(ended: &Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection ended in a panic");
    }
}

/// What everything but the probes is answered when there is no place.
async fn refuse(Extension(refusal): Extension<Refusal>, headers: HeaderMap) -> axum::response::Response {
    refusal.answer(Form::wanted(&headers).unwrap_or(Form::Json))
}
