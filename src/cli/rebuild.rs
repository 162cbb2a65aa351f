//! `orderflow rebuild`.

use super::{Failure, both, say};
use crate::{
    app::{self, rebuild::Rebuilder, rebuild::Wish},
    clock::{Clock, Ids},
    config::{ConfigError, Parts, PartsOptions, Work, WorkOptions},
    query::{
        Generation, Registry,
        projector::Fold,
        rebuild::{Kind, Progress, RebuildError, Seen, Step},
    },
};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use std::fmt::Write as _;

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Rebuild {
    /// Views cannot be rebuilt one by one: they are written together, in one transaction a batch. Only `all` is understood
    view: Option<String>,
    /// Make the previous read model live again
    #[arg(long, conflicts_with_all = ["strict", "drop_previous", "status"])]
    undo: bool,
    /// Fail, and leave everything as it is, if the new read model differs from the live one
    #[arg(long, conflicts_with_all = ["drop_previous", "status"])]
    strict: bool,
    /// Remove the previous read model, with its queues; it cannot be made live any more
    #[arg(long, conflicts_with = "status")]
    drop_previous: bool,
    /// Only say which read models there are, and how far a rebuild is
    #[arg(long)]
    status: bool,
    /// Say it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    parts: PartsOptions,
    #[command(flatten)]
    work: WorkOptions,
}

impl Rebuild {
    /// # Errors
    /// Everything that is wrong with the settings.
    pub fn check(&self) -> Result<(Parts, Work), ConfigError> {
        both(&self.parts, &self.work)
    }

    pub async fn run(self) -> Result<(), Failure> {
        if let Some(view) = self.view.as_deref().filter(|view| *view != "all") {
            return Err(format!(
                "{view:?} cannot be rebuilt alone: orders, users, products, sales and what waits are written together, so a read \
                 model is rebuilt whole; run `orderflow rebuild`"
            )
            .into());
        }
        let (parts, work) = self.check()?;
        let (database, store) = app::connect(&parts).await?;
        store.register(1).await?;
        if self.status {
            return self.tell(&store.look().await?, store.job().await?);
        }
        let (clock, ids) = (Clock::system(), Ids::system());
        let settings = app::projecting(&parts, &work, Fold::CURRENT);
        let rebuilder = Rebuilder::new(&database, &store, settings, work.relay_shards, &clock, &ids);
        let kind = match (self.undo, self.drop_previous) {
            (true, _) => Kind::Undo,
            (_, true) => Kind::DropPrevious,
            _ => Kind::Rebuild,
        };
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(ProgressStyle::with_template("{msg:<12} {bar:40} {pos}/{len}, {elapsed}, {eta} left")?);
        let done = rebuilder.run(Wish { kind, strict: self.strict }, &|progress| show(&bar, progress)).await;
        bar.finish_and_clear();
        match done {
            Ok(progress) => self.tell(&store.look().await?, Some(Seen { progress, alive: true })),
            Err(RebuildError::Differs(comparison)) => {
                let told =
                    if self.json { format!("{}\n", serde_json::to_string_pretty(&comparison)?) } else { list(&comparison) };
                say(&told)?;
                Err(RebuildError::Differs(comparison).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn tell(&self, registry: &Registry, seen: Option<Seen>) -> Result<(), Failure> {
        if self.json {
            let told: Value = json!({
                "live": as_json(&registry.live),
                "previous": registry.previous.as_ref().map(as_json),
                "building": registry.building.as_ref().map(as_json),
                "job": seen.as_ref().map(job_as_json),
            });
            return say(&format!("{}\n", serde_json::to_string_pretty(&told)?));
        }
        let mut text = String::new();
        let all =
            [("live", Some(&registry.live)), ("previous", registry.previous.as_ref()), ("building", registry.building.as_ref())];
        for (name, generation) in all {
            if let Some(generation) = generation {
                writeln!(text, "{name:<9} generation {}, written by fold {}", generation.id, generation.fold)?;
            }
        }
        if let Some(Seen { progress, alive }) = seen {
            text += &describe(&progress, alive);
        }
        say(&text)
    }
}

fn as_json(generation: &Generation) -> Value {
    json!({ "id": generation.id, "fold": generation.fold, "ready": generation.ready })
}

fn job_as_json(Seen { progress, alive }: &Seen) -> Value {
    json!({
        "kind": progress.kind,
        "generation": progress.generation,
        "step": progress.step,
        "done": progress.done,
        "total": progress.total,
        "secondsLeft": progress.seconds_left(),
        "finished": progress.finished,
        "alive": alive,
        "failure": progress.failure,
        "comparison": progress.comparison,
    })
}

fn show(bar: &ProgressBar, progress: &Progress) {
    let message = step(progress.step);
    if bar.message() != message {
        bar.set_message(message);
        bar.reset();
    }
    bar.set_length(u64::try_from(progress.total).unwrap_or_default());
    bar.set_position(u64::try_from(progress.done).unwrap_or_default());
}

fn step(step: Step) -> &'static str {
    match step {
        Step::Preparing => "preparing",
        Step::Replaying => "replaying",
        Step::CatchingUp => "catching up",
        Step::Comparing => "comparing",
        Step::Switching => "switching",
        Step::Switched => "switched",
        Step::Done => "done",
    }
}

fn describe(progress: &Progress, alive: bool) -> String {
    let what = match progress.kind {
        Kind::Rebuild => "rebuild",
        Kind::Undo => "undo",
        Kind::DropPrevious => "removal of the previous read model",
    };
    let state = match (&progress.failure, progress.finished, alive) {
        (Some(failure), ..) => format!("failed: {failure}"),
        (None, true, _) => "done".to_owned(),
        (None, false, true) => {
            let left = progress.seconds_left().map(|seconds| format!(", about {seconds} s left")).unwrap_or_default();
            format!("{}, {} of {}{left}", step(progress.step), progress.done, progress.total)
        }
        (None, false, false) => format!("died while {}; run the command again", step(progress.step)),
    };
    let compared = progress.comparison.as_ref().map(list).unwrap_or_default();
    format!("last job  {what}: {state}\n{compared}")
}

fn list(comparison: &crate::query::rebuild::Comparison) -> String {
    let mut lines = vec![format!("compared  {} documents, {} differ", comparison.compared, comparison.differing)];
    lines.extend(comparison.examples.iter().map(|example| {
        let fields = if example.fields.is_empty() { "on one side only".to_owned() } else { example.fields.join(", ") };
        format!("  {} {}: {fields}", example.collection, example.id)
    }));
    lines.join("\n") + "\n"
}
