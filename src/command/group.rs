//! Group commit: concurrent commands share one transaction, which makes PostgreSQL several times faster than one each, because
//! the waits for the disk and for the network are shared.
//!
//! One command never takes its neighbours down: a refusal is just an outcome; a race makes the group decide anew; and when that
//! does not help, each goes alone, so that only the one that cannot be done fails.

use super::{
    Backlog, Command, Fault, Outcome, Receipt, Refusal, idempotency,
    store::{self, Class, Database, Remembered},
    work::{Needs, Work},
};
use crate::{
    clock::{Clock, Ids},
    crash,
    value::CommandId,
};
use sea_orm::{DbErr, TransactionTrait};
use std::{collections::HashMap, time::Duration};

/// How often a group is decided anew after a lost race, and then each of its commands alone.
const ATTEMPTS: u32 = 3;

/// How long a transaction may take. The server bounds statements and waits for locks, but cannot bound silence on the wire.
const PATIENCE: Duration = Duration::from_secs(8);

/// Everything that carrying out commands takes.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub database: Database,
    pub clock: Clock,
    pub ids: Ids,
    pub backlog: Backlog,
}

impl Group {
    /// Carries out all commands, in order; the answers are in the same order.
    pub async fn carry_out(&self, commands: &[Command]) -> Vec<Result<Outcome, Fault>> {
        let failed = match self.attempt(commands).await {
            Ok(outcomes) => return outcomes,
            Err(class) => class,
        };
        if commands.len() == 1 || failed == Class::Unavailable {
            return commands.iter().map(|_| Err(failed.into())).collect();
        }
        let mut answers = Vec::with_capacity(commands.len());
        for command in commands {
            let alone = self.attempt(std::slice::from_ref(command)).await;
            answers.push(alone.map_err(Fault::from).and_then(|mut outcomes| outcomes.pop().unwrap_or(Err(Fault::Internal))));
        }
        answers
    }

    async fn attempt(&self, commands: &[Command]) -> Result<Vec<Result<Outcome, Fault>>, Class> {
        for attempt in 1.. {
            match tokio::time::timeout(PATIENCE, self.transact(commands)).await {
                Ok(Ok(outcomes)) => return Ok(outcomes),
                Err(_) => {
                    // A connection on which nothing comes any more; the next group gets another.
                    tracing::warn!(commands = commands.len(), "PostgreSQL did not finish a group of commands in time");
                    return Err(Class::Unavailable);
                }
                Ok(Err(error)) => {
                    let class = store::classify(&error);
                    if class == Class::Race && attempt < ATTEMPTS {
                        metrics::counter!("orderflow_command_races_total").increment(1);
                        continue;
                    }
                    // The boundary of the write side: the only place where the driver's words are logged.
                    tracing::warn!(error = %error, commands = commands.len(), attempt, ?class, "a group of commands failed");
                    return Err(class);
                }
            }
        }
        Err(Class::Internal)
    }

    /// One transaction: recall, load, decide, write, commit.
    async fn transact(&self, commands: &[Command]) -> Result<Vec<Result<Outcome, Fault>>, DbErr> {
        let mut prints = Vec::with_capacity(commands.len());
        for command in commands {
            prints.push(idempotency::fingerprint(command).map_err(odd)?);
        }
        let keys: Vec<(String, CommandId)> = commands.iter().map(|c| (c.actor.subject.clone(), c.id.clone())).collect();

        let tx = self.database.0.begin().await?;
        let mut known = store::recall(&tx, &keys).await?;
        // Then only what became of earlier commands is told.
        let full = self.backlog.full().is_some();
        let fresh = |index: usize, known: &HashMap<_, _>| {
            !full && !known.contains_key(&keys[index]) && !keys[..index].contains(&keys[index])
        };

        let mut needs = Needs::default();
        for (index, command) in commands.iter().enumerate() {
            if fresh(index, &known) {
                command.use_case.as_decide().needs(&mut needs);
            }
        }
        let mut work = Work::new(self.clock.now(), self.ids.clone());
        store::load(&tx, &needs, &mut work).await?;

        let mut outcomes = Vec::with_capacity(commands.len());
        let mut decided: Vec<((String, CommandId), Remembered)> = Vec::new();
        for (index, command) in commands.iter().enumerate() {
            if let Some(remembered) = known.get(&keys[index]) {
                outcomes.push(Ok(idempotency::replay(&prints[index], remembered).map_err(odd)?));
                continue;
            }
            if full {
                outcomes.push(Err(Fault::Backlog));
                continue;
            }
            let result = decide(command, &mut work);
            let remembered = idempotency::store(prints[index].clone(), &result).map_err(odd)?;
            known.insert(keys[index].clone(), remembered.clone());
            decided.push((keys[index].clone(), remembered));
            outcomes.push(Ok(Outcome { result, replayed: false }));
        }
        work.seal();

        store::save(&tx, &work).await?;
        store::append(&tx, &work.events).await?;
        store::remember(&tx, work.recorded_at, decided).await?;
        crash::point("before-commit");
        tx.commit().await?;
        crash::point("after-commit");
        self.backlog.grew(work.events.len());
        Ok(outcomes)
    }
}

fn decide(command: &Command, work: &mut Work) -> Result<Receipt, Vec<Refusal>> {
    let written = command.use_case.as_decide().decide(command, work).map_err(|refusal| vec![refusal])?;
    Ok(Receipt {
        command_id: command.id.clone(),
        stream: written.stream,
        version: written.version,
        stock_version: written.stock_version,
        committed_at: work.recorded_at,
    })
}

fn odd(error: serde_json::Error) -> DbErr {
    DbErr::Custom(format!("an outcome cannot be stored or read: {error}"))
}
