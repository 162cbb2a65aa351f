//! `orderflow import`.

use super::{Both, Failure, File, Writing, say};
use crate::{command::Lookup, import::online_retail};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::path::PathBuf;

/// The formats that can be read.
#[derive(Debug, Subcommand)]
pub enum Import {
    /// A CSV file of the shape of the UCI "Online Retail" data. Killed and run again, it goes on where it stopped
    OnlineRetail(OnlineRetail),
}

#[derive(Debug, Args)]
pub struct OnlineRetail {
    #[command(flatten)]
    file: File,
    /// Write the report as JSON to this file as well; - for standard output in place of the text
    #[arg(long)]
    report: Option<PathBuf>,
    #[command(flatten)]
    both: Both,
}

impl Import {
    pub async fn run(self) -> Result<(), Failure> {
        let Self::OnlineRetail(import) = self;
        let writing = Writing::open(&import.both).await?;
        let lookup = Lookup::new(&writing.database);
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} rows, {elapsed}, {eta} left")?);
        let file = &import.file.file;
        let report = online_retail::run(&writing.bus, &lookup, &writing.clock, &writing.ids, file, &bar).await;
        bar.finish_and_clear();
        writing.close().await?;
        let report = report?;
        let json = serde_json::to_string_pretty(&report)?;
        match &import.report {
            Some(path) if path.as_os_str() == "-" => say(&format!("{json}\n"))?,
            Some(path) => {
                std::fs::write(path, json)?;
                say(&report.to_string())?;
            }
            None => say(&report.to_string())?,
        }
        if report.adds_up() { Ok(()) } else { Err("the report does not add up: this is a bug of the import".into()) }
    }
}
