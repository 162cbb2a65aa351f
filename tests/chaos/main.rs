//! The chaos suite: real servers and several real processes of each role under a random load, with faults on a schedule, and a
//! ledger that knows at the end whether anything was lost, done twice or told out of order. Everything random comes from one
//! seed.
//!
//! `cargo test --test chaos -- --seed 7 --minutes 2` is one run. It ends with 0 when the ledger is clean, with 1 when it is not,
//! and with 2 when the run itself could not be held. `--prove` plants one bug after the other and wants each to turn it red.
#![allow(clippy::pedantic, reason = "the pedantic lints are for code that is shipped")]

mod book;
mod client;
mod disk;
mod faults;
mod ledger;
mod lives;
mod load;
mod operator;
mod processes;
mod proxy;
mod run;
mod socket;
mod stack;
mod subscribers;
mod table;

use clap::Parser;
use orderflow::crash::BUGS;
use std::{process::ExitCode, time::Duration};

/// Why a run could not be held.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// One run, or one for each bug.
#[derive(Debug, Clone, Parser)]
#[command(name = "chaos")]
pub struct Args {
    /// Where everything random comes from
    #[arg(long)]
    seed: u64,
    /// How long load and faults last; setting up, settling and checking come on top
    #[arg(long, default_value = "2")]
    minutes: f64,
    /// Clients that send commands at the same time
    #[arg(long, default_value = "6")]
    clients: u64,
    /// Processes of each role
    #[arg(long, default_value = "2")]
    processes: usize,
    /// Only this fault, again and again
    #[arg(long)]
    only: Option<faults::Kind>,
    /// Keep what everybody said, also when nothing was found
    #[arg(long)]
    keep_logs: bool,
    /// A mistake for all processes to make; see src/crash.rs
    #[arg(long)]
    planted: Option<String>,
    /// Plant one bug after the other: each must turn the ledger red
    #[arg(long, conflicts_with = "planted")]
    prove: bool,
}

fn main() -> ExitCode {
    // `cargo test` and nextest start every test there is, with arguments of their own: none of them asks for chaos.
    if !std::env::args().any(|arg| arg.starts_with("--seed") || arg == "--help") {
        return ExitCode::SUCCESS;
    }
    let args = Args::parse();
    disk::withdraw();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return could_not(&error.into()),
    };
    let ended = runtime.block_on(async { if args.prove { prove(&args).await } else { run::hold(&args).await } });
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => could_not(&error),
    }
}

fn could_not(error: &Failure) -> ExitCode {
    eprintln!("chaos: the run could not be held: {error}");
    ExitCode::from(2)
}

/// A run for each bug; whether all of them were seen.
async fn prove(args: &Args) -> Result<bool, Failure> {
    let mut unseen = Vec::new();
    for bug in BUGS {
        println!("planted: {bug}");
        let clean = run::hold(&Args { planted: Some((*bug).to_owned()), prove: false, ..args.clone() }).await?;
        println!("planted: {bug}: {}\n", if clean { "NOT SEEN" } else { "seen" });
        if clean {
            unseen.push(*bug);
        }
    }
    if !unseen.is_empty() {
        println!("these bugs were planted and not seen: {}", unseen.join(", "));
    }
    Ok(unseen.is_empty())
}

/// The only pause there is: between looks, between the commands of a client, and for as long as a fault is to last.
pub async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}
