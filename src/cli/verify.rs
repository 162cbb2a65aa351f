//! `orderflow verify`.

use super::{Exit, Failure, say};
use crate::{
    app,
    clock::Clock,
    config::{Config, PartsOptions},
    verify::{Options, Report, Verifier},
};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

/// The exit code when something differs.
const DIFFERS: u8 = 1;
/// The exit code when it could not be found out.
const COULD_NOT_RUN: u8 = 2;
/// The exit code when nothing differs, but something was behind the log until the end.
const UNSETTLED: u8 = 3;

#[derive(Debug, Args)]
pub struct Verify {
    /// Look at so many customers, each with all their orders, and so many products, and at no counters of the whole shop
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    sample: Option<u32>,
    /// Chooses the sample: the same number chooses the same again
    #[arg(long, requires = "sample")]
    seed: Option<u64>,
    /// How long to wait in all for what is behind the log
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
    wait: Duration,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Differences to print at most; all are counted
    #[arg(long, default_value = "100", value_name = "N")]
    show: usize,
    /// Print the values of personal fields too, such as names and addresses
    #[arg(long)]
    show_values: bool,
    #[command(flatten)]
    parts: PartsOptions,
}

impl Verify {
    pub async fn run(self) -> Result<(), Failure> {
        let report =
            self.compare().await.map_err(|error| Exit { code: COULD_NOT_RUN, why: format!("could not verify: {error}") })?;
        let (differences, unsettled) = (report.differences.total, report.is_unsettled());
        let report = report.shown(self.show, self.show_values);
        if self.json {
            say(&format!("{}\n", serde_json::to_string_pretty(&report)?))?;
        } else {
            say(&report.to_string())?;
        }
        match (differences, unsettled) {
            (0, false) => Ok(()),
            (0, true) => {
                let why = "nothing differs, but not everything has come to where the log is; is everything running?".to_owned();
                Err(Exit { code: UNSETTLED, why }.into())
            }
            (1, _) => Err(Exit { code: DIFFERS, why: "1 difference".to_owned() }.into()),
            (differences, _) => Err(Exit { code: DIFFERS, why: format!("{differences} differences") }.into()),
        }
    }

    async fn compare(&self) -> Result<Report, Failure> {
        let parts = Config::parts(&self.parts)?;
        let (database, store) = app::connect(&parts).await?;
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} streams, {per_sec}, {eta} left")?);
        let seed = self.seed.unwrap_or_else(rand::random);
        let options = Options { sample: self.sample.map(|many| (many, seed)), wait: self.wait };
        let mut verifier = Verifier::new(&database, &store, &parts.bus, &Clock::system());
        let report = verifier.run(&options, &bar).await;
        bar.finish_and_clear();
        Ok(report?)
    }
}
