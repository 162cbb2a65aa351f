//! A wire between the app and a server that can be cut and mended, or go dead or silent.

use std::net::SocketAddr;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// More connections than all pools of a test together have.
const MOST: usize = 200;

pub struct Proxy {
    pub addr: SocketAddr,
    whole: watch::Sender<bool>,
    dead: watch::Sender<u32>,
    silent: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a port of its own and carries everything to `server` (host and port) and back.
    pub async fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let ((whole, is_whole), (dead, dies), (silent, is_silent)) =
            (watch::channel(true), watch::channel(0), watch::channel(false));
        let task = tokio::spawn(carry(listener, server.to_owned(), Wire { whole: is_whole, dies, silent: is_silent }));
        Self { addr, whole, dead, silent, task }
    }

    /// Breaks every connection; new ones are broken at once, until [`Self::mend`].
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    pub fn mend(&self) {
        self.whole.send_replace(true);
        self.silent.send_replace(false);
    }

    /// Swallows everything, on the connections that are there and on new ones, until [`Self::mend`]; then they are broken.
    pub fn silence(&self) {
        self.silent.send_replace(true);
    }

    /// Lets nothing more pass on the connections that are there, without a word to anybody, as a router does that has forgotten
    /// them. New ones are good.
    pub fn forget(&self) {
        self.dead.send_modify(|times| *times += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What one connection must know of its wire.
#[derive(Clone)]
struct Wire {
    whole: watch::Receiver<bool>,
    dies: watch::Receiver<u32>,
    silent: watch::Receiver<bool>,
}

async fn carry(listener: TcpListener, server: String, wire: Wire) {
    let mut wires = JoinSet::new();
    loop {
        tokio::select! {
            Ok((client, _)) = listener.accept(), if wires.len() < MOST => {
                if *wire.whole.borrow() {
                    wires.spawn(wire.clone().connect(client, server.clone()));
                }
            }
            Some(_) = wires.join_next() => {}
        }
    }
}

impl Wire {
    async fn connect(mut self, mut client: TcpStream, server: String) {
        self.dies.mark_unchanged();
        let mut far = None;
        let silent = *self.silent.borrow();
        if !silent {
            let Ok(server) = TcpStream::connect(server).await else { return };
            let server = far.insert(server);
            let died = tokio::select! {
                _ = copy_bidirectional(&mut client, server) => return,
                _ = self.whole.wait_for(|whole| !whole) => return,
                _ = self.dies.changed() => true,
                _ = self.silent.wait_for(|silent| *silent) => false,
            };
            if died {
                // Both ends stay open and hear nothing.
                let _ = self.whole.wait_for(|whole| !whole).await;
                return;
            }
        }
        tokio::select! {
            _ = self.whole.wait_for(|whole| !whole) => {}
            _ = self.silent.wait_for(|silent| !silent) => {}
        }
    }
}
