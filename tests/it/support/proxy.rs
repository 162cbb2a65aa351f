//! A wire between the app and a server that can be cut and mended, or go dead.

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
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a port of its own and carries everything to `server` (host and port) and back.
    pub async fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let ((whole, is_whole), (dead, dies)) = (watch::channel(true), watch::channel(0));
        let task = tokio::spawn(carry(listener, server.to_owned(), is_whole, dies));
        Self { addr, whole, dead, task }
    }

    /// Breaks every connection; new ones are broken at once, until [`Self::mend`].
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    pub fn mend(&self) {
        self.whole.send_replace(true);
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

async fn carry(listener: TcpListener, server: String, whole: watch::Receiver<bool>, dies: watch::Receiver<u32>) {
    let mut wires = JoinSet::new();
    loop {
        tokio::select! {
            Ok((client, _)) = listener.accept(), if wires.len() < MOST => {
                if *whole.borrow() {
                    wires.spawn(wire(client, server.clone(), whole.clone(), dies.clone()));
                }
            }
            Some(_) = wires.join_next() => {}
        }
    }
}

async fn wire(mut client: TcpStream, server: String, mut whole: watch::Receiver<bool>, mut dies: watch::Receiver<u32>) {
    dies.mark_unchanged();
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => return,
        _ = whole.wait_for(|whole| !whole) => return,
        _ = dies.changed() => {}
    }
    // Both ends stay open and hear nothing.
    let _ = whole.wait_for(|whole| !whole).await;
}
