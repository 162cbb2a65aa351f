//! What an operator is shown. The content of an event may be personal, so it is only printed when asked for.

use super::operator;
use crate::{
    cli::{Failure, say},
    clock::Clock,
    config::PartsOptions,
    query::{
        Cause,
        projector::{Group, Head, STRAYS, Waiting, stream_named},
    },
    value::Time,
};
use clap::Args;
use serde_json::{Value, json};
use std::fmt::Write;
use time::format_description::well_known::Rfc3339;

/// Waiting events that are shown at most; the count is always told.
const SHOWN: i64 = 50;

#[derive(Debug, Args)]
pub struct List {
    /// Only for this cause
    #[arg(long)]
    cause: Option<Cause>,
    /// Aggregates that are named at most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    parts: PartsOptions,
}

#[derive(Debug, Args)]
pub struct Show {
    /// The aggregate: order_0190…, or order/0190…; or "unreadable"
    #[arg(value_parser = stream_named)]
    aggregate: String,
    /// Print the content of the event too; it may be personal
    #[arg(long)]
    payload: bool,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    parts: PartsOptions,
}

impl List {
    pub async fn run(self) -> Result<(), Failure> {
        let (operator, _) = operator(&self.parts).await?;
        let mut groups = operator.groups().await?;
        groups.retain(|group| self.cause.is_none_or(|cause| group.cause == cause));
        let heads = operator.heads(self.cause, None, self.limit).await?;
        if self.json {
            let heads: Vec<Value> = heads.iter().map(head).collect();
            return say(&format!("{:#}\n", json!({ "groups": groups, "aggregates": heads })));
        }
        say(&listed(&groups, &heads, Clock::system().now())?)
    }
}

fn listed(groups: &[Group], heads: &[Head], now: Time) -> Result<String, Failure> {
    if groups.is_empty() {
        return Ok("Nothing stands still.\n".to_owned());
    }
    let mut text = String::new();
    for group in groups {
        let Group { cause, aggregates, events, oldest, kinds } = group;
        writeln!(
            text,
            "{cause}  aggregates {aggregates}, events waiting {events}, oldest {} ({})",
            at(*oldest),
            age(now, *oldest)
        )?;
        for (kind, count) in kinds {
            writeln!(text, "    type {kind}: {count}")?;
        }
        let own: Vec<&Head> = heads.iter().filter(|head| head.cause == *cause).collect();
        for head in &own {
            writeln!(text, "    {}  at version {}, {} waiting, since {}", head.stream, head.next, head.waiting, at(head.since))?;
        }
        let more = *aggregates - own.len() as i64;
        if more > 0 {
            writeln!(text, "    and {more} more")?;
        }
        writeln!(text, "    {}", cause.advice())?;
    }
    Ok(text)
}

impl Show {
    pub async fn run(self) -> Result<(), Failure> {
        let (operator, _) = operator(&self.parts).await?;
        let Some((parked, events)) = operator.look(&self.aggregate, SHOWN).await? else {
            return Err(format!("{} does not stand still; `orderflow parked list` says what does", self.aggregate).into());
        };
        if self.json {
            let mut shown = head(&parked);
            shown["advice"] = json!(parked.cause.advice());
            shown["events"] = events.iter().map(|waiting| event(waiting, self.payload)).collect();
            return say(&format!("{shown:#}\n"));
        }
        say(&shown(&parked, &events, self.payload)?)
    }
}

fn shown(head: &Head, events: &[Waiting], payload: bool) -> Result<String, Failure> {
    let mut text = String::new();
    writeln!(text, "{}", head.stream)?;
    writeln!(text, "  stands still since {}, {} at version {}", at(head.since), head.cause, head.next)?;
    writeln!(text, "  {}", head.detail)?;
    let unsaid = || "not told".to_owned();
    for waiting in events {
        let what = waiting.kind().unwrap_or_else(unsaid);
        let when = waiting.attribute("time").unwrap_or_else(unsaid);
        // What is wrong, in full; what only waits, in a line.
        if waiting.version == head.next || head.stream == STRAYS {
            writeln!(text, "\n  the event that is wrong: {}", waiting.id)?;
            writeln!(text, "    type      {what}\n    version   {}\n    time      {when}", waiting.version)?;
            writeln!(text, "    id        {}", waiting.event.clone().unwrap_or_else(unsaid))?;
            writeln!(text, "    came      {}\n    cause     {} {}", at(waiting.since), waiting.code, waiting.cause)?;
            if payload {
                writeln!(text, "    payload   {}", waiting.body)?;
            }
        } else {
            writeln!(
                text,
                "  waits: {}  {what}, {when}{}",
                waiting.id,
                if waiting.code.is_poison() { ", wrong too" } else { "" }
            )?;
        }
    }
    let more = head.waiting - events.len() as i64;
    if more > 0 {
        writeln!(text, "  and {more} more wait")?;
    }
    match head.missing {
        Some((_, lost)) if head.stream == STRAYS => writeln!(text, "  {lost} more came and were dropped")?,
        Some((from, upto)) => writeln!(text, "  versions {from} to {upto} were not kept; the event log has them")?,
        None => {}
    }
    writeln!(text, "\n  what to do: {}", head.cause.advice())?;
    if !payload && head.cause.is_poison() {
        writeln!(text, "  its content may be personal; --payload prints it")?;
    }
    Ok(text)
}

/// One aggregate that stands still, in JSON.
pub fn head(head: &Head) -> Value {
    json!({
        "aggregate": head.stream,
        "cause": head.cause,
        "detail": head.detail,
        "next": head.next,
        "type": head.kind,
        "since": at(head.since),
        "waiting": head.waiting,
        "missing": head.missing.map(|(from, upto)| json!({ "from": from, "upto": upto })),
    })
}

fn event(waiting: &Waiting, payload: bool) -> Value {
    let mut shown = json!({
        "event": waiting.id,
        "id": waiting.event,
        "type": waiting.kind(),
        "version": waiting.version,
        "time": waiting.attribute("time"),
        "came": at(waiting.since),
        "reason": waiting.reason,
        "cause": waiting.code,
        "detail": waiting.cause,
    });
    if payload {
        shown["payload"] = json!(waiting.body);
    }
    shown
}

fn at(time: Time) -> String {
    // Every moment of our range can be written so.
    time.format(&Rfc3339).unwrap_or_default()
}

fn age(now: Time, since: Time) -> String {
    let seconds = u64::try_from((now - since).whole_seconds()).unwrap_or_default();
    humantime::format_duration(std::time::Duration::from_secs(seconds)).to_string()
}
