//! A wire between the app and a server that can be cut and mended, or go dead or silent.

use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
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
    delay: watch::Sender<Duration>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a port of its own and carries everything to `server` (host and port) and back.
    pub async fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let ((whole, is_whole), (dead, dies), (silent, is_silent)) =
            (watch::channel(true), watch::channel(0), watch::channel(false));
        let (delay, takes) = watch::channel(Duration::ZERO);
        let wire = Wire { whole: is_whole, dies, silent: is_silent, takes };
        let task = tokio::spawn(carry(listener, server.to_owned(), wire));
        Self { addr, whole, dead, silent, delay, task }
    }

    /// Breaks every connection; new ones are broken at once, until [`Self::mend`].
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    pub fn mend(&self) {
        self.whole.send_replace(true);
        self.silent.send_replace(false);
        self.delay.send_replace(Duration::ZERO);
    }

    /// Takes so long for everything that passes, until [`Self::mend`].
    pub fn slow(&self, delay: Duration) {
        self.delay.send_replace(delay);
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
    takes: watch::Receiver<Duration>,
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
            let ((mut from_client, mut to_client), (mut from_server, mut to_server)) = (client.split(), server.split());
            let died = tokio::select! {
                () = one_way(&mut from_client, &mut to_server, &self.takes) => return,
                () = one_way(&mut from_server, &mut to_client, &self.takes) => return,
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

async fn one_way(from: &mut ReadHalf<'_>, to: &mut WriteHalf<'_>, takes: &watch::Receiver<Duration>) {
    let mut chunk = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut chunk).await {
        let delay = *takes.borrow();
        if !delay.is_zero() {
            // What it carries is late by this, whatever anybody waits for.
            let _ = tokio::time::timeout(delay, std::future::pending::<()>()).await;
        }
        if to.write_all(&chunk[..read]).await.is_err() {
            return;
        }
    }
}
