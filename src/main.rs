//! The command line.

use clap::Parser;
use orderflow::cli::{Cli, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("orderflow: {error}");
            ExitCode::FAILURE
        }
    }
}
