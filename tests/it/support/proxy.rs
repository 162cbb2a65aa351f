//! A wire between the app and a server that can be cut and mended.

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
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a port of its own and carries everything to `server` (host and port) and back.
    pub async fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let (whole, state) = watch::channel(true);
        let task = tokio::spawn(carry(listener, server.to_owned(), state));
        Self { addr, whole, task }
    }

    /// Breaks every connection; new ones are broken at once, until [`Self::mend`].
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    pub fn mend(&self) {
        self.whole.send_replace(true);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(listener: TcpListener, server: String, whole: watch::Receiver<bool>) {
    let mut wires = JoinSet::new();
    loop {
        tokio::select! {
            Ok((client, _)) = listener.accept(), if wires.len() < MOST => {
                if *whole.borrow() {
                    wires.spawn(wire(client, server.clone(), whole.clone()));
                }
            }
            Some(_) = wires.join_next() => {}
        }
    }
}

async fn wire(mut client: TcpStream, server: String, mut whole: watch::Receiver<bool>) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = whole.wait_for(|whole| !whole) => {}
    }
}
