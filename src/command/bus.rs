//! The command bus: bounded lanes, each a queue and a worker that carries out all that waits in it as one group.
//!
//! Nobody waits for a group to fill: while one commits, the next gathers. Commands on one aggregate share a lane, so they never
//! race each other within a process.

use super::{Backlog, Command, Database, Fault, Outcome, group::Group};
use crate::{
    clock::{Clock, Ids},
    crash,
    shutdown::Shutdown,
};
use std::{sync::Arc, time::Duration};
use tokio::sync::{Notify, mpsc, oneshot};

/// Bounds of the bus.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Groups that may commit at the same time; each uses one connection.
    pub lanes: usize,
    /// Commands that may wait in one lane. One more is refused with [`Fault::Busy`].
    pub queue: usize,
    /// The most commands in one transaction.
    pub group: usize,
    /// How long a caller waits for an outcome before it is told [`Fault::Unavailable`]; the command may still be carried out.
    pub patience: Duration,
}

struct Job {
    command: Command,
    answer: oneshot::Sender<Result<Outcome, Fault>>,
}

/// The way into the write side. Cheap to clone.
#[derive(Clone)]
pub struct Bus {
    lanes: Arc<[mpsc::Sender<Job>]>,
    patience: Duration,
}

impl Bus {
    /// Starts the lanes as supervised tasks. `committed` is signalled after each commit, for a relay in this process.
    pub fn start(
        database: &Database,
        settings: Settings,
        clock: &Clock,
        ids: &Ids,
        committed: &Arc<Notify>,
        backlog: &Backlog,
        shutdown: &Shutdown,
    ) -> Self {
        let group = Group { database: database.clone(), clock: clock.clone(), ids: ids.clone(), backlog: backlog.clone() };
        let lanes = (0..settings.lanes.max(1))
            .map(|_| {
                let (sender, receiver) = mpsc::channel(settings.queue);
                let lane = run_lane(group.clone(), receiver, settings.group, Arc::clone(committed));
                shutdown.supervise_last("command lane", lane);
                sender
            })
            .collect();
        Self { lanes, patience: settings.patience }
    }

    /// Carries out a command.
    ///
    /// # Errors
    /// [`Fault`], after which the outcome is unknown unless it says more; sending the same command again under the same id is
    /// safe and tells.
    pub async fn send(&self, command: Command) -> Result<Outcome, Fault> {
        let name = command.use_case.name();
        let lane = command.use_case.as_decide().lane().as_u128() % self.lanes.len() as u128;
        let (answer, outcome) = oneshot::channel();
        let started = std::time::Instant::now();
        // A remainder of the number of lanes is within usize and in bounds.
        let result = match self.lanes[lane as usize].try_send(Job { command, answer }) {
            Err(mpsc::error::TrySendError::Full(_)) => Err(Fault::Busy),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Fault::Unavailable),
            Ok(()) => match tokio::time::timeout(self.patience, outcome).await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) | Err(_) => Err(Fault::Unavailable),
            },
        };
        let label = match &result {
            Ok(Outcome { replayed: true, .. }) => "replayed",
            Ok(Outcome { result: Ok(_), .. }) => "accepted",
            Ok(_) => "refused",
            Err(Fault::Busy | Fault::Backlog) => "busy",
            Err(_) => "fault",
        };
        metrics::counter!("orderflow_commands_total", "use_case" => name, "outcome" => label).increment(1);
        metrics::histogram!("orderflow_command_seconds").record(started.elapsed().as_secs_f64());
        result
    }
}

/// Runs until every sender is gone and the queue is empty: commands that were taken in are carried out, also during shutdown.
async fn run_lane(group: Group, mut queue: mpsc::Receiver<Job>, limit: usize, committed: Arc<Notify>) {
    let mut jobs = Vec::with_capacity(limit);
    while queue.recv_many(&mut jobs, limit).await > 0 {
        let (commands, answers): (Vec<_>, Vec<_>) = jobs.drain(..).map(|job| (job.command, job.answer)).unzip();
        metrics::histogram!("orderflow_command_group_size").record(commands.len() as f64);
        let outcomes = group.carry_out(&commands).await;
        committed.notify_waiters();
        committed.notify_one();
        for (answer, outcome) in answers.into_iter().zip(outcomes) {
            // A caller that gave up does not hear; the outcome is stored all the same.
            let _ = answer.send(outcome);
        }
        crash::point("after-reply");
    }
}
