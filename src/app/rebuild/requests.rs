//! Fulfils the wishes of administrators (`command::RebuildRequests`), in processes that project. There is one job at a time,
//! whoever does it; a wish whose process died stays open, and the next takes it up.

use super::{Rebuilder, Wish};
use crate::{
    clock::Clock,
    command::{RebuildRequest, RebuildRequests},
    crash,
    query::rebuild::{Kind, RebuildError},
    shutdown::Shutdown,
};
use std::time::Duration;

/// Between looks for a wish. A rebuild takes far longer.
const LOOK: Duration = Duration::from_secs(1);

/// Runs until the drain, which a job does not wait for: what it leaves the next goes on with.
pub async fn run(rebuilder: Rebuilder, requests: RebuildRequests, clock: Clock, shutdown: Shutdown) {
    while !shutdown.is_draining() {
        let work = async {
            tokio::time::sleep(LOOK).await;
            match requests.next(rebuilder.fold()).await {
                Ok(Some(request)) => fulfil(&rebuilder, &requests, &request, &clock).await,
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "wishes for a rebuild could not be looked for"),
            }
        };
        tokio::select! {
            () = work => {}
            () = shutdown.draining() => return,
        }
    }
}

async fn fulfil(rebuilder: &Rebuilder, requests: &RebuildRequests, request: &RebuildRequest, clock: &Clock) {
    let kind = if request.wish.undo { Kind::Undo } else { Kind::Rebuild };
    tracing::info!(request = request.id, ?kind, "the read model is rebuilt because an administrator asked for it");
    let failure = match rebuilder.run_for(Some(request.id), Wish { kind, strict: request.wish.strict }, &|_| {}).await {
        // Another process fulfils it, or somebody rebuilds by hand; it stays open.
        Err(RebuildError::Running(_) | RebuildError::Lost) => return,
        Ok(_) => None,
        // Somebody else was faster, or died before this could be written down.
        Err(RebuildError::Fulfilled(failure)) => failure,
        Err(error) => {
            tracing::error!(request = request.id, %error, "the read model could not be rebuilt");
            Some(error.to_string())
        }
    };
    crash::point("wish-fulfilled");
    if let Err(error) = requests.finish(request.id, failure, clock.now()).await {
        tracing::warn!(request = request.id, %error, "a wish for a rebuild could not be closed yet");
    }
}
