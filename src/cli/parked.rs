//! `orderflow parked`: what stands still in the read model, why, and what to do about it. Safe while projectors run, and safe to
//! kill: every step is one transaction, and running it again goes on where it stopped.

mod show;

use super::{Failure, say};
use crate::{
    clock::Clock,
    command,
    config::{Config, Parts, PartsOptions},
    event::Stream,
    query::{
        Cause, Store,
        projector::{Discard, Fold, Group, Head, Operator, Retried, SetAside, stream_named},
    },
};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Parked {
    /// Lists what stands still, by cause
    List(show::List),
    /// Shows one aggregate that stands still: the event that is wrong, what waits behind it, and what to do
    Show(show::Show),
    /// Tries again, and goes on with what waits, in order
    Retry(Retry),
    /// Sets one event aside for good and goes on with what waits behind it
    Discard(SetEventAside),
}

#[derive(Debug, Args)]
pub struct Retry {
    #[command(flatten)]
    which: Which,
    /// Also send the event that is wrong again from the event log, in case only its message was damaged
    #[arg(long)]
    from_log: bool,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    parts: PartsOptions,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The aggregate: order_0190…, or order/0190…; or "unreadable"
    #[arg(value_parser = stream_named)]
    aggregate: Option<String>,
    /// Everything that stands still
    #[arg(long)]
    all: bool,
    /// Everything that stands still for this cause
    #[arg(long)]
    cause: Option<Cause>,
}

#[derive(Debug, Args)]
pub struct SetEventAside {
    /// The event, as `parked show` names it: order/0190…:2, event_0190…, or unreadable:…
    #[arg(value_parser = event_named)]
    event: String,
    /// Why, for the record
    #[arg(long, value_parser = reason)]
    reason: String,
    /// Who decides it, for the record
    #[arg(long, env = "USER", value_parser = reason)]
    by: String,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    parts: PartsOptions,
}

impl Parked {
    pub async fn run(self) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run().await,
            Self::Show(show) => show.run().await,
            Self::Retry(retry) => retry.run().await,
            Self::Discard(discard) => discard.run().await,
        }
    }
}

async fn operator(options: &PartsOptions) -> Result<(Operator, Parts), Failure> {
    let parts = Config::parts(options)?;
    let store = Store::connect(&parts.mongodb_uri, 4).await?;
    Ok((Operator::new(store, Fold::CURRENT, Clock::system()), parts))
}

/// What stands still, a line a cause, for `doctor`.
pub async fn notes(store: &Store) -> Vec<String> {
    let groups = Operator::new(store.clone(), Fold::CURRENT, Clock::system()).groups().await.unwrap_or_default();
    let note = |group: &Group| {
        let Group { cause, aggregates, events, .. } = group;
        format!("parked: aggregates {aggregates}, events {events}, cause {cause}; see `orderflow parked list`")
    };
    groups.iter().map(note).collect()
}

/// What came of the retry of one aggregate.
struct Came {
    aggregate: String,
    applied: u64,
    /// CURRENT, NOT_PARKED, SENT_AGAIN or STILL_PARKED.
    status: &'static str,
    /// What it still stands at.
    head: Option<Head>,
    sent: u64,
}

impl Retry {
    async fn run(self) -> Result<(), Failure> {
        let (operator, parts) = operator(&self.parts).await?;
        let mut log = None;
        let (mut still, mut all) = (0, 0);
        let mut told = Vec::new();
        let mut after = String::new();
        loop {
            let names = match &self.which.aggregate {
                Some(name) if after.is_empty() => vec![name.clone()],
                Some(_) => break,
                None => {
                    let heads = operator.heads(self.which.cause, Some(&after), 100).await?;
                    heads.into_iter().map(|head| head.stream).collect()
                }
            };
            let Some(last) = names.last() else { break };
            after.clone_from(last);
            for name in names {
                let came = self.one(&operator, &parts, &mut log, name).await?;
                all += 1;
                still += u32::from(came.status == "STILL_PARKED");
                if self.json { told.push(came.json()) } else { say(&came.line())? }
            }
        }
        if self.json {
            say(&format!("{:#}\n", json!({ "retried": told, "still": still })))?;
        } else if all == 0 {
            say("Nothing stands still.\n")?;
        }
        if still > 0 {
            Err(format!("{still} of {all} still stand still; `orderflow parked show` says why").into())
        } else {
            Ok(())
        }
    }

    async fn one(
        &self,
        operator: &Operator,
        parts: &Parts,
        log: &mut Option<command::Database>,
        aggregate: String,
    ) -> Result<Came, Failure> {
        let mut came = Came { aggregate, applied: 0, status: "NOT_PARKED", head: None, sent: 0 };
        match operator.retry(&came.aggregate).await? {
            Retried::NotParked => {}
            Retried::Current(applied) => (came.applied, came.status) = (applied, "CURRENT"),
            Retried::Still(applied, head) => {
                (came.applied, came.status) = (applied, "STILL_PARKED");
                let wanted = !head.cause.is_poison() || self.from_log;
                if let (true, Ok(stream)) = (wanted, head.stream.parse::<Stream>()) {
                    if log.is_none() {
                        *log = Some(command::connect(&parts.database_url, 1).await?);
                    }
                    let first = operator.look(&head.stream, 1).await?.and_then(|(_, events)| Some(events.first()?.version));
                    let upto = first.map_or(head.next, |first| first - 1).max(head.next);
                    let upto = head.missing.filter(|_| !head.cause.is_poison()).map_or(upto, |(_, last)| last.max(upto));
                    if let Some(log) = log {
                        came.sent = command::republish(log, stream, head.next, upto).await?;
                    }
                    if came.sent > 0 {
                        came.status = "SENT_AGAIN";
                    }
                }
                came.head = Some(*head);
            }
        }
        Ok(came)
    }
}

impl Came {
    fn line(&self) -> String {
        let Self { aggregate, applied, head, sent, .. } = self;
        match (self.status, head) {
            ("CURRENT", _) => format!("ok     {aggregate}: {applied} applied, nothing waits any more\n"),
            ("SENT_AGAIN", _) => {
                format!("again  {aggregate}: {applied} applied, {sent} sent again from the event log; a projector takes them\n")
            }
            (_, Some(head)) => {
                let Head { cause, next, detail, .. } = head;
                format!("STILL  {aggregate}: {applied} applied, then {cause} at version {next}: {detail}\n")
            }
            _ => format!("ok     {aggregate}: does not stand still\n"),
        }
    }

    fn json(&self) -> Value {
        json!({
            "aggregate": self.aggregate,
            "status": self.status,
            "applied": self.applied,
            "sentAgain": self.sent,
            "parked": self.head.as_ref().map(show::head),
        })
    }
}

impl SetEventAside {
    async fn run(self) -> Result<(), Failure> {
        let (operator, _) = operator(&self.parts).await?;
        let wish = Discard { by: self.by.clone(), why: self.reason.clone() };
        let retried = match operator.discard(&self.event, wish).await? {
            SetAside::NotWaiting => {
                return Err(format!("{} waits nowhere; `orderflow parked show` names events", self.event).into());
            }
            SetAside::Refused(why) => return Err(format!("{} cannot be discarded: {why}", self.event).into()),
            SetAside::Done(retried) => retried,
        };
        let (applied, rest) = match &retried {
            Retried::NotParked => (0, None),
            Retried::Current(applied) => (*applied, None),
            Retried::Still(applied, head) => (*applied, Some(head)),
        };
        if self.json {
            let parked = rest.map(|rest| show::head(rest));
            let record = json!({ "discarded": self.event, "by": self.by, "reason": self.reason, "parked": parked });
            return say(&format!("{record:#}\n"));
        }
        say(&format!("{} is set aside; who, when and why is recorded. Applied behind it: {applied}.\n", self.event))?;
        match rest {
            None => say("Nothing of it waits any more.\n"),
            Some(head) => say(&format!("It stands still again, {} at version {}: {}\n", head.cause, head.next, head.detail)),
        }
    }
}

/// An event by its own id, or by its place.
fn event_named(text: &str) -> Result<String, String> {
    match text.rsplit_once(':') {
        _ if text.starts_with("event_") => Ok(text.to_owned()),
        Some(("unreadable", _)) => Ok(text.to_owned()),
        Some((aggregate, version)) if version.parse::<i64>().is_ok() => {
            stream_named(aggregate).map(|stream| format!("{stream}:{version}"))
        }
        _ => Err("an event is named by its id (event_0190…) or its place (order/0190…:2)".into()),
    }
}

/// A text for the record.
fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    let fits = !text.is_empty() && text.chars().count() <= 500;
    fits.then(|| text.to_owned()).ok_or_else(|| "the record needs 1 to 500 characters".into())
}
