//! The life of the process: every task is supervised, the first signal drains, the second cuts, and a task that dies takes the
//! process down with it. A server that looks alive while a part of it is dead is worse than one that restarts.

use std::{
    future::Future,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Hands out the tokens and keeps track of the tasks. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    drain: CancellationToken,
    cut: CancellationToken,
    tasks: TaskTracker,
    crash: Arc<OnceLock<String>>,
}

impl Shutdown {
    pub fn new() -> Self {
        Self::default()
    }

    /// Resolves when no new work should be begun.
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Begins the drain.
    pub fn begin(&self) {
        self.drain.cancel();
    }

    /// Runs a task that should live as long as the process. If it ends before the drain, or panics, that is a crash.
    pub fn supervise(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let (this, task) = (self.clone(), self.cuttable(task));
        self.tasks.spawn(async move {
            match tokio::spawn(task).await {
                Ok(()) if this.is_draining() => {}
                Ok(()) => this.crashed(name, "it ended"),
                Err(error) => this.crashed(name, &error.to_string()),
            }
        });
    }

    /// Runs a task that ends by itself when nothing feeds it any more. Only a panic is a crash.
    pub fn supervise_last(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let (this, task) = (self.clone(), self.cuttable(task));
        self.tasks.spawn(async move {
            if let Err(error) = tokio::spawn(task).await {
                this.crashed(name, &error.to_string());
            }
        });
    }

    /// A task that ends when the process is cut, for those that a library runs.
    pub fn cuttable(&self, task: impl Future<Output = ()> + Send + 'static) -> impl Future<Output = ()> + Send + 'static {
        let cut = self.cut.clone();
        async move {
            let _ = cut.run_until_cancelled_owned(task).await;
        }
    }

    fn crashed(&self, task: &'static str, why: &str) {
        tracing::error!(task, why, "a task died; the process goes down");
        let _ = self.crash.set(format!("{task}: {why}"));
        self.drain.cancel();
    }

    /// Waits for a signal or a crash, lets the tasks finish within `grace`, then cuts them off.
    ///
    /// # Errors
    /// What crashed, if something did.
    pub async fn run(self, mut signals: Signals, grace: Duration) -> Result<(), String> {
        tokio::select! {
            () = self.drain.cancelled() => {}
            name = signals.next() => {
                tracing::info!(signal = name, grace_seconds = grace.as_secs(), "draining; a second signal cuts");
            }
        }
        self.drain.cancel();
        crate::crash::point("shutdown-draining");
        self.tasks.close();
        tokio::select! {
            () = self.tasks.wait() => {}
            name = signals.next() => tracing::warn!(signal = name, "cut by a second signal"),
            () = tokio::time::sleep(grace) => tracing::warn!("some tasks did not finish in time and are cut"),
        }
        self.cut.cancel();
        self.tasks.wait().await;
        crate::crash::point("shutdown-drained");
        self.crash.get().map_or(Ok(()), |crash| Err(crash.clone()))
    }

    /// Ends a run that was never meant to wait for a signal: a command of the command line, or a test.
    pub async fn finish(self) -> Result<(), String> {
        self.drain.cancel();
        self.tasks.close();
        if tokio::time::timeout(Duration::from_secs(10), self.tasks.wait()).await.is_err() {
            self.cut.cancel();
            self.tasks.wait().await;
        }
        self.crash.get().map_or(Ok(()), |crash| Err(crash.clone()))
    }
}

/// The two signals that end a process. Listened to from the beginning, so that none comes too early to be heard.
pub struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    /// # Errors
    /// The operating system's.
    pub fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_or_panics_takes_the_process_down() {
        for broken in [false, true] {
            let shutdown = Shutdown::new();
            let other = shutdown.clone();
            shutdown.supervise("works as long as the process", async move { other.draining().await });
            shutdown.supervise("relay", async move { assert!(!broken, "a bug") });
            let crash = shutdown.run(Signals::listen().unwrap(), Duration::from_secs(5)).await.unwrap_err();
            assert!(crash.starts_with("relay: "), "{crash}");
        }
    }

    #[tokio::test]
    async fn a_drain_lets_tasks_finish_and_is_no_crash() {
        let shutdown = Shutdown::new();
        let (draining, (done, is_done)) = (shutdown.clone(), tokio::sync::oneshot::channel());
        shutdown.supervise("lane", async move {
            draining.draining().await;
            done.send(()).unwrap();
        });
        shutdown.begin();
        shutdown.run(Signals::listen().unwrap(), Duration::from_secs(5)).await.unwrap();
        is_done.await.unwrap();
    }

    #[tokio::test]
    async fn what_does_not_finish_within_the_grace_is_cut() {
        let shutdown = Shutdown::new();
        shutdown.supervise("stuck", std::future::pending());
        shutdown.begin();
        shutdown.run(Signals::listen().unwrap(), Duration::from_millis(10)).await.unwrap();
    }
}
