//! The command line.

use clap::Parser;
use orderflow::cli::{Cli, Exit, run};
use std::process::ExitCode;

/// Answers are made of very many small allocations: for a list of orders glibc's allocator takes a quarter of the processor time.
/// The price is memory of an idle process, about 13 MB.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("orderflow: {error}");
            error.downcast_ref::<Exit>().map_or(ExitCode::FAILURE, |exit| ExitCode::from(exit.code))
        }
    }
}
