//! The line to a client, with a limit on every wait for it.
//!
//! hyper's own `header_read_timeout` also runs while a kept connection rests, for which there is another limit (a proxy keeps its
//! connections longer than a head may take), and hyper-util looks at the first bytes without any limit. So the line looks at its
//! own clock: from the first byte of a head to its last, from one request to the next, and while nothing of what is written is
//! taken. How long a body may take is the business of whoever reads it (`http::body`).

use super::Slot;
use crate::config;
use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep},
};

/// How long each wait may be.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    pub head: Duration,
    pub idle: Duration,
    pub write: Duration,
}

impl Times {
    pub fn new(limits: &config::Clients) -> Self {
        Self { head: limits.head_timeout, idle: limits.idle_timeout, write: limits.write_timeout }
    }

    /// With less patience for whoever is silent.
    pub fn at_most(self, patience: Duration) -> Self {
        Self { head: self.head.min(patience), idle: self.idle.min(patience), ..self }
    }
}

/// What the line knows of what is spoken on it. Told by whoever serves the requests.
#[derive(Debug, Default)]
pub struct Pulse {
    /// Requests that have begun, ever.
    begun: AtomicUsize,
    /// Requests whose answer has not been written yet.
    in_hand: AtomicUsize,
    /// Another protocol is spoken now, which has limits of its own.
    upgraded: AtomicBool,
    /// HTTP/2: bytes between requests need not be of a head.
    framed: AtomicBool,
}

/// A request in hand, until this is dropped.
pub struct InHand(Arc<Pulse>);

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.in_hand.fetch_sub(1, SeqCst);
    }
}

impl Pulse {
    pub fn begin(self: &Arc<Self>, framed: bool) -> InHand {
        self.framed.store(framed, SeqCst);
        self.begun.fetch_add(1, SeqCst);
        self.in_hand.fetch_add(1, SeqCst);
        InHand(Arc::clone(self))
    }

    pub fn upgraded(&self) {
        self.upgraded.store(true, SeqCst);
    }

    fn is_busy(&self) -> bool {
        self.upgraded.load(SeqCst) || self.in_hand.load(SeqCst) > 0
    }
}

/// What the client is waited for, and since when.
#[derive(Debug, Clone, Copy)]
enum Wait {
    Head(Instant),
    NextRequest(Instant),
}

pub struct Line {
    stream: TcpStream,
    times: Times,
    pulse: Arc<Pulse>,
    waits: Wait,
    /// Requests that had begun when the wait did.
    after: usize,
    reading: Alarm,
    writing: Alarm,
    _slot: Slot,
}

impl Line {
    /// The first head is waited for from the beginning.
    pub fn new(stream: TcpStream, times: Times, pulse: Arc<Pulse>, slot: Slot) -> Self {
        let waits = Wait::Head(Instant::now());
        Self { stream, times, pulse, waits, after: 0, reading: Alarm(None), writing: Alarm(None), _slot: slot }
    }

    /// Until when more must have come, and what is late otherwise.
    fn deadline(&mut self) -> Option<(Instant, &'static str)> {
        if self.pulse.is_busy() {
            return None;
        }
        let begun = self.pulse.begun.load(SeqCst);
        if begun != self.after {
            self.after = begun;
            self.waits = Wait::NextRequest(Instant::now());
        }
        Some(match self.waits {
            Wait::Head(since) => (since + self.times.head, "head"),
            Wait::NextRequest(since) => (since + self.times.idle, "idle"),
        })
    }

    /// Something has come. If nothing was in hand, it is the beginning of a head.
    fn heard(&mut self) {
        let begins = !self.pulse.is_busy() && !self.pulse.framed.load(SeqCst);
        let rested = matches!(self.waits, Wait::NextRequest(_)) || self.pulse.begun.load(SeqCst) != self.after;
        if begins && rested {
            self.after = self.pulse.begun.load(SeqCst);
            self.waits = Wait::Head(Instant::now());
        }
    }

    /// What a write has come to; one that waits is given up after a time without any progress.
    fn written<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.writing.0 = None;
            return written;
        }
        let deadline = match &self.writing.0 {
            Some(sleep) => sleep.deadline(),
            None => Instant::now() + self.times.write,
        };
        self.writing.poll(cx, deadline, "write").map(Err)
    }
}

/// A time at which a wait is over; nothing while nothing is waited for.
struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant, of: &'static str) -> Poll<io::Error> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx).map(|()| {
            metrics::counter!("orderflow_timeouts_total", "of" => of).increment(1);
            io::ErrorKind::TimedOut.into()
        })
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buf) {
            Poll::Ready(read) => {
                if buf.filled().len() > before {
                    this.heard();
                }
                Poll::Ready(read)
            }
            // An alarm of before may still ring while a request is in hand, and wakes us for nothing, once.
            Poll::Pending => match this.deadline() {
                Some((deadline, of)) => this.reading.poll(cx, deadline, of).map(Err),
                None => Poll::Pending,
            },
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(cx, written)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, all: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, all);
        self.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
