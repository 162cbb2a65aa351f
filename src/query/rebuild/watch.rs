//! Follows whoever rebuilds.

use super::{Progress, Seen};
use crate::{
    query::{QueryError, Reader, feed::Topic},
    value::{Role, Viewer},
};
use futures_util::Stream;
use std::time::Duration;

/// Between looks when no news comes, so that a job that dies is seen to be dead.
const LOOK: Duration = Duration::from_secs(2);

impl Reader {
    /// The last job or the one that is being done: how far it is now, then whenever it has come further. It ends when
    /// the job does, unless it had ended before anybody looked: then it waits for the next. For administrators.
    ///
    /// # Errors
    /// The viewer is none.
    pub fn rebuild_progress(
        &self,
        viewer: &Viewer,
    ) -> Result<impl Stream<Item = Result<Seen, QueryError>> + Send + use<>, QueryError> {
        if viewer.role != Role::Admin {
            return Err(QueryError::NotFound);
        }
        let news = self.feed.listen(Topic::Generations);
        let start = (self.store.clone(), news, None::<Seen>, false);
        Ok(futures_util::stream::unfold(start, |(store, mut news, told, ended)| async move {
            if ended {
                return None;
            }
            loop {
                match store.job().await {
                    Err(error) => return Some((Err(error.into()), (store, news, told, true))),
                    Ok(seen) if seen == told => {}
                    Ok(None) => {}
                    Ok(Some(seen)) => {
                        let ends = seen.progress.finished && told.as_ref().is_some_and(unfinished);
                        return Some((Ok(seen.clone()), (store, news, Some(seen), ends)));
                    }
                }
                // News that were missed are news as well.
                let _ = tokio::time::timeout(LOOK, news.recv()).await;
            }
        }))
    }
}

fn unfinished(seen: &Seen) -> bool {
    let Progress { finished, .. } = seen.progress;
    !finished
}
