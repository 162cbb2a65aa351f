//! The wires between our processes and a server: they can be cut, slowed, and forgotten by a router.

use crate::{Failure, pause};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// More connections than all pools of all processes together have; one more has to wait.
const MOST: usize = 1_000;

/// How long a forgotten connection stays open.
const SILENCE: Duration = Duration::from_secs(60);

/// The state of all wires to one server.
#[derive(Debug, Clone, Copy, Default)]
struct Line {
    cut: bool,
    /// What every piece of data waits for.
    delay: Duration,
    /// Connections from before the last change of this are dead, and nobody was told.
    forgotten: u32,
}

pub struct Proxy {
    line: watch::Sender<Line>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Wires to the server of this address, and the address of their near ends.
    pub async fn before(url: &str) -> Result<(Self, String), Failure> {
        let begin = url.rfind('@').or(url.find("//").map(|slashes| slashes + 1)).ok_or("an address has a host")? + 1;
        let end = begin + url[begin..].find('/').ok_or("an address has a path")?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let (line, watching) = watch::channel(Line::default());
        let task = tokio::spawn(carry(listener, url[begin..end].to_owned(), watching));
        Ok((Self { line, task }, format!("{}{addr}{}", &url[..begin], &url[end..])))
    }

    /// Breaks every connection, and new ones at once.
    pub fn cut(&self) {
        self.line.send_modify(|line| line.cut = true);
    }

    pub fn slow(&self, delay: Duration) {
        self.line.send_modify(|line| line.delay = delay);
    }

    /// Lets nothing more pass on the connections that are there. New ones are good.
    pub fn forget(&self) {
        self.line.send_modify(|line| line.forgotten += 1);
    }

    /// Takes cut and delay back.
    pub fn mend(&self) {
        self.line.send_modify(|line| (line.cut, line.delay) = (false, Duration::ZERO));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(listener: TcpListener, server: String, line: watch::Receiver<Line>) {
    let mut wires = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if wires.len() < MOST => {
                if let Ok((client, _)) = accepted && !line.borrow().cut {
                    wires.spawn(wire(client, server.clone(), line.clone()));
                }
            }
            Some(_) = wires.join_next() => {}
        }
    }
}

async fn wire(client: TcpStream, server: String, line: watch::Receiver<Line>) {
    let (mut cutting, mut forgetting, since) = (line.clone(), line.clone(), line.borrow().forgotten);
    let Ok(server) = TcpStream::connect(server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) = (split(client), split(server));
    tokio::select! {
        () = one_way(&mut from_client, &mut to_server, &line) => return,
        () = one_way(&mut from_server, &mut to_client, &line) => return,
        _ = cutting.wait_for(|line| line.cut) => return,
        _ = forgetting.wait_for(|line| line.forgotten != since) => {}
    }
    // Both ends stay open and hear nothing, for as long as a kernel would keep asking: the server has places for so many only.
    let _ = tokio::time::timeout(SILENCE, cutting.wait_for(|line| line.cut)).await;
}

async fn one_way(from: &mut ReadHalf<TcpStream>, to: &mut WriteHalf<TcpStream>, line: &watch::Receiver<Line>) {
    let mut chunk = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut chunk).await {
        let delay = line.borrow().delay;
        if !delay.is_zero() {
            pause(delay).await;
        }
        if to.write_all(&chunk[..read]).await.is_err() {
            return;
        }
    }
}
