//! One order, live: its state now (or what came since a cursor), then each version once and in order.

use super::{Feed, News, OrderUpdate, Topic, UpdateKind, cursor::OrderCursor};
use crate::{
    crash,
    query::{
        QueryError, Reader,
        view::{Change, EventKind, OrderView},
    },
    value::{OrderId, Viewer},
};
use futures_util::Stream;
use std::{collections::VecDeque, time::Duration};
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// How long to wait for an order that is not there: it may just have been placed. A stranger's order is not there either.
const PATIENCE: Duration = Duration::from_secs(2);

impl Reader {
    /// Follows one order.
    pub fn order_changed(
        &self,
        viewer: Viewer,
        id: OrderId,
        after: Option<String>,
    ) -> impl Stream<Item = Result<OrderUpdate, QueryError>> + Send + use<> {
        let start = Follow {
            reader: self.clone(),
            // Listening before reading: nothing falls between the two.
            news: self.feed.listen(Topic::Order(id)),
            viewer,
            id,
            after,
            at: None,
            ready: VecDeque::new(),
            behind: false,
            ended: false,
        };
        futures_util::stream::unfold(start, |mut follow| async move {
            let update = follow.next().await?;
            follow.ended = update.is_err();
            Some((update, follow))
        })
    }
}

struct Follow {
    reader: Reader,
    news: Receiver<News>,
    viewer: Viewer,
    id: OrderId,
    after: Option<String>,
    /// The last change that was told.
    at: Option<OrderCursor>,
    /// Read from the log and not told yet; at most a chunk.
    ready: VecDeque<OrderUpdate>,
    /// Whether the log must be read before listening.
    behind: bool,
    ended: bool,
}

impl Follow {
    async fn next(&mut self) -> Option<Result<OrderUpdate, QueryError>> {
        if self.ended {
            return None;
        }
        if self.at.is_none()
            && let Err(error) = self.begin().await
        {
            return Some(Err(error));
        }
        loop {
            if let Some(update) = self.ready.pop_front() {
                return Some(Ok(update));
            }
            if self.behind {
                match self.catch_up().await {
                    Ok(()) => continue,
                    Err(error) => return Some(Err(error)),
                }
            }
            match self.news.recv().await {
                Ok(News::Change { epoch, change }) if !self.skips(epoch, &change) => {
                    if let Some(update) = self.advance(epoch, &change) {
                        return Some(Ok(update));
                    }
                }
                Ok(News::Product(_) | News::User) => {}
                // Something is missing, or fell out of the ring because we were too slow: the log tells.
                Ok(News::Change { .. } | News::Gap) | Err(RecvError::Lagged(_)) => self.behind = true,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    async fn begin(&mut self) -> Result<(), QueryError> {
        let cursor = self.after.as_deref().map(OrderCursor::read).transpose()?;
        // Before, changes could pass that nobody hears.
        self.reader.feed.opened().await;
        let order = self.visible_order().await?;
        match cursor {
            None => {
                let at = self.place(&order).await?;
                self.at = Some(at);
                self.ready.push_back(OrderUpdate {
                    kind: UpdateKind::Snapshot,
                    cursor: at.write(),
                    order: Some(order),
                    event: None,
                    skipped_versions: 0,
                });
                Ok(())
            }
            Some(mut cursor) => {
                if crash::planted("resume-that-repeats") {
                    cursor.change.number -= 1;
                    cursor.version -= 1;
                }
                self.at = Some(cursor);
                self.behind = true;
                Ok(())
            }
        }
    }

    async fn visible_order(&mut self) -> Result<OrderView, QueryError> {
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            // However long it takes: that the database does not answer is no proof that there is no order.
            if let Some(order) = self.reader.order(&self.viewer, self.id).await? {
                return Ok(order);
            }
            // Also when the ring was overrun: looking again is all that is needed.
            if tokio::time::timeout_at(until, self.news.recv()).await.is_err() {
                return Err(QueryError::NotFound);
            }
        }
    }

    /// Whether versions are missing before a change, or its number says nothing because it is of another numbering.
    fn skips(&self, epoch: i64, change: &Change) -> bool {
        self.at.is_some_and(|at| {
            change.order.version > reachable(at.version, change)
                || change.id.partition == at.change.partition && epoch != at.epoch
        })
    }

    /// Makes an update of a change that has not been told yet.
    fn advance(&mut self, epoch: i64, change: &Change) -> Option<OrderUpdate> {
        let at = self.at?;
        let newer = if change.id.partition == at.change.partition {
            change.id.number > at.change.number
        } else {
            // The order's key moved to another queue: versions still tell.
            change.order.version > at.version
        };
        if !newer {
            return None;
        }
        let now = OrderCursor { change: change.id, version: change.order.version, epoch };
        self.at = Some(now);
        Some(OrderUpdate {
            kind: UpdateKind::Change,
            cursor: now.write(),
            order: Some(change.order.clone()),
            event: Some(change.event.clone()),
            skipped_versions: 0,
        })
    }

    /// Reads a chunk of what has not been told from the log; where the log does not reach back, tells so. What it reads is told
    /// before more is read, so that memory stays at a chunk.
    async fn catch_up(&mut self) -> Result<(), QueryError> {
        let Some(at) = self.at else { return Ok(()) };
        let Some(order) = self.reader.order(&self.viewer, self.id).await? else { return Err(QueryError::NotFound) };
        let newest = self.place(&order).await?;
        let renumbered = newest.change.partition == at.change.partition && newest.epoch != at.epoch;
        self.behind = false;
        // An older version in a later place is no old answer: this read model has not come as far as the one before it.
        let gone_back = newest.change.partition == at.change.partition && newest.change.number > at.change.number;
        if newest.version < at.version && !gone_back || newest.change == at.change && !renumbered {
            return Ok(());
        }
        let missed = self.reader.feed.changes_of(self.id, at.change).await?;
        let mut version = at.version;
        let whole = missed.changes.iter().all(|change| {
            let follows = change.order.version <= reachable(version, change);
            version = change.order.version;
            follows
        });
        let Some(last) = missed.changes.last().filter(|_| whole && !renumbered) else {
            self.at = Some(newest);
            self.ready.push_back(OrderUpdate {
                kind: UpdateKind::Resync,
                cursor: newest.write(),
                order: Some(order),
                event: None,
                skipped_versions: (newest.version - at.version).max(0),
            });
            return Ok(());
        };
        // More than a chunk, or the log has forgotten the end of it: read on before listening again.
        self.behind = missed.more || last.id.partition == newest.change.partition && last.id.number < newest.change.number;
        for change in &missed.changes {
            let update = self.advance(at.epoch, change);
            self.ready.extend(update);
        }
        Ok(())
    }

    async fn place(&self, order: &OrderView) -> Result<OrderCursor, QueryError> {
        let numbering = self.reader.feed.seen(order.change.partition).await?;
        // Where there is no numbering any more nothing has happened since, and the one that we know is as good.
        let epoch = numbering.map(|place| place.epoch).or(self.at.map(|at| at.epoch)).unwrap_or_default();
        Ok(OrderCursor { change: order.change, version: order.version, epoch })
    }
}

/// The version that a change may have when the one before it had `version`. A renaming is no version of the order.
fn reachable(version: i64, change: &Change) -> i64 {
    version + i64::from(change.event.kind != EventKind::CustomerRenamed)
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Feed")
    }
}
