//! One connection: HTTP/1.1, or HTTP/2 for a proxy that speaks it without TLS.

use super::{
    Slot,
    line::{Line, Pulse, Times},
};
use crate::{
    http::{
        admission::{Peer, Refusal},
        held::hold,
    },
    shutdown::Shutdown,
};
use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, Version},
    response::Response,
};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};
use tokio::{net::TcpStream, time::Instant};
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// Bytes of a head at most, and of what waits to be written before the writer waits; more is answered with 431.
const HEAD: usize = 128 * 1024;
/// Requests that may be in hand at once on a connection of HTTP/2, and bytes of the head of each.
const STREAMS: u32 = 100;
const HEADER_LIST: u32 = 32 * 1024;
/// How often a connection of HTTP/2 is asked whether it is still there, and how long it may take to say so.
const PING_EVERY: Duration = Duration::from_secs(20);

pub struct Connection {
    pub stream: TcpStream,
    pub peer: Peer,
    pub slot: Slot,
    pub routes: Router,
    pub times: Times,
    /// Why there is no place for it; all but the probes are told so.
    pub refusal: Option<Refusal>,
    pub shutdown: Shutdown,
    pub streams: Streams,
}

impl Connection {
    /// Serves it to its end. A drain lets what is in hand finish.
    pub async fn serve(self) {
        let Self { stream, peer, slot, routes, times, refusal, shutdown, streams } = self;
        // Small messages that follow each other must not wait for the acknowledgement of the first (Nagle's algorithm).
        let _ = stream.set_nodelay(true);
        // A client that has vanished from the network is noticed when something is sent to it, not a quarter of an hour later.
        #[cfg(target_os = "linux")]
        let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(times.write));
        let pulse = Arc::new(Pulse::default());
        let line = Line::new(stream, times, Arc::clone(&pulse), slot);
        let service = service_fn(move |request: Request<Incoming>| {
            let in_hand = pulse.begin(request.version() == Version::HTTP_2);
            let (routes, pulse) = (routes.clone(), Arc::clone(&pulse));
            async move {
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(peer);
                if let Some(refusal) = refusal {
                    request.extensions_mut().insert(refusal);
                }
                let response: Response = routes.oneshot(request).await?;
                if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                    pulse.upgraded();
                }
                Ok::<_, Infallible>(hold(response, in_hand))
            }
        });
        let mut builder = Builder::new(streams);
        let mut http1 = builder.http1();
        // The line has the limits. This one is above them; with it, hyper looks at the line again when an answer is finished.
        http1.timer(TokioTimer::new()).header_read_timeout(times.idle + times.head);
        http1.max_buf_size(HEAD).keep_alive(refusal.is_none());
        let mut http2 = builder.http2();
        http2.timer(TokioTimer::new()).keep_alive_interval(PING_EVERY).keep_alive_timeout(PING_EVERY);
        http2.max_concurrent_streams(STREAMS).max_header_list_size(HEADER_LIST);
        let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(line), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = shutdown.draining() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            // Clients that go away in the middle, or are too slow, are not worth a line; the metrics count them.
            tracing::trace!(%error, "a connection ended early");
        }
    }
}

/// Runs the streams of HTTP/2, which hyper wants to be tasks: known to the server, and ended with the process.
#[derive(Clone)]
pub struct Streams {
    pub tasks: TaskTracker,
    pub shutdown: Shutdown,
    /// How long a stream may be without being woken: longer than an answer may be in the making.
    pub patience: Duration,
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, stream: F) {
        self.tasks.spawn(self.shutdown.cuttable(unless_stalled(stream, self.patience)));
    }
}

/// Ends a stream that nothing has woken for so long: it waits for a client that takes nothing of its answer. Streams of events
/// have a heartbeat, and on HTTP/1.1 the line itself is stuck then.
async fn unless_stalled(stream: impl Future<Output = ()>, patience: Duration) {
    let (mut stream, mut alarm) = (pin!(stream), pin!(tokio::time::sleep(patience)));
    poll_fn(|cx| {
        if stream.as_mut().poll(cx).is_ready() || alarm.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        alarm.as_mut().reset(Instant::now() + patience);
        // Asked once more, so that it wakes us then.
        alarm.as_mut().poll(cx)
    })
    .await;
}
