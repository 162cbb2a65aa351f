//! The commands of the command line. Each does one thing and says how it went; `serve` is the only one that stays.

mod doctor;
mod import;
mod parked;
mod rebuild;
mod serve;
mod token;
mod verify;

use crate::{
    app,
    clock::{Clock, Ids},
    command::{self, Backlog, Bus},
    config::{Config, ConfigError, LogOptions, Parts, PartsOptions, Work, WorkOptions},
    crash, demo, graphql,
    shutdown::Shutdown,
    telemetry,
};
use clap::{Args, Parser, Subcommand};
use std::{mem::ManuallyDrop, path::PathBuf, sync::Arc};
use tokio::sync::Notify;

/// A GraphQL order server whose writes and reads are two different systems.
#[derive(Debug, Parser)]
#[command(name = "orderflow", version)]
pub struct Cli {
    #[command(flatten)]
    logs: LogOptions,
    #[command(subcommand)]
    command: Run,
}

#[derive(Debug, Subcommand)]
enum Run {
    /// Serves until a signal: API, relay and projector, or only the roles named
    Serve(Box<serve::Serve>),
    /// Brings both databases' schemas up to date; safe to run twice and by several at once
    Migrate(Both),
    /// Loads a small shop to look at: users, products, orders in every status
    Demo(DemoArgs),
    /// Turns a file of another system into products, users and orders
    #[command(subcommand)]
    Import(import::Import),
    /// Folds the event log and compares it with MongoDB and with PostgreSQL's tables, also while the system works
    Verify(verify::Verify),
    /// What stands still in the read model: list it, look at it, retry it, or set an event aside
    #[command(subcommand)]
    Parked(parked::Parked),
    /// Builds the read model anew from the event log beside the live one, and switches; --undo switches back
    Rebuild(Box<rebuild::Rebuild>),
    /// Makes a token for development
    Token(token::Token),
    /// Prints the GraphQL schema
    Schema,
    /// Looks at PostgreSQL, RabbitMQ, MongoDB and the public keys of tokens and says what is wrong
    Doctor(doctor::Doctor),
}

impl Run {
    /// What is wrong with the settings of a command.
    fn problems(&self) -> Option<ConfigError> {
        match self {
            Run::Serve(serve) => serve.check().err(),
            Run::Migrate(both) | Run::Demo(DemoArgs { both, .. }) => both.check().err(),
            Run::Doctor(doctor) => doctor.check().err(),
            Run::Rebuild(rebuild) => rebuild.check().err(),
            Run::Import(_) | Run::Verify(_) | Run::Parked(_) | Run::Token(_) | Run::Schema => None,
        }
    }
}

#[derive(Debug, Args)]
struct Both {
    #[command(flatten)]
    parts: PartsOptions,
    #[command(flatten)]
    work: WorkOptions,
}

impl Both {
    fn check(&self) -> Result<(Parts, Work), ConfigError> {
        both(&self.parts, &self.work)
    }
}

/// Both, or all that is wrong with either.
fn both(parts: &PartsOptions, work: &WorkOptions) -> Result<(Parts, Work), ConfigError> {
    match (Config::parts(parts), Config::work(work)) {
        (Ok(parts), Ok(work)) => Ok((parts, work)),
        (Err(parts), Err(work)) => Err(parts.and(work)),
        (Err(problems), _) | (_, Err(problems)) => Err(problems),
    }
}

#[derive(Debug, Args)]
struct DemoArgs {
    #[command(flatten)]
    both: Both,
    /// Do nothing when there are users already
    #[arg(long)]
    if_empty: bool,
}

/// Why a command failed, for the person who ran it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A failure with an exit code of its own; any other is 1.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct Exit {
    pub code: u8,
    why: String,
}

/// Runs a command.
///
/// # Errors
/// Whatever went wrong, as a sentence.
pub fn run(cli: Cli) -> Result<(), Failure> {
    if let Err(problems) = telemetry::start_logs(&cli.logs) {
        // Together with all else that is wrong.
        return Err(cli.command.problems().map_or(problems.clone(), |others| others.and(problems)).into());
    }
    crash::arm()?;
    // It ends with the process and not before: MongoDB's driver (3.9) has tasks of its own, which panic, and say so on standard
    // error, when the runtime ends beneath them.
    let runtime = ManuallyDrop::new(tokio::runtime::Builder::new_multi_thread().enable_all().build()?);
    runtime.block_on(async {
        match cli.command {
            Run::Serve(serve) => serve.run().await,
            Run::Migrate(both) => migrate(&both).await,
            Run::Demo(args) => load_demo(&args).await,
            Run::Import(import) => import.run().await,
            Run::Verify(verify) => verify.run().await,
            Run::Parked(parked) => parked.run().await,
            Run::Rebuild(rebuild) => rebuild.run().await,
            Run::Token(token) => token.run(),
            Run::Schema => say(&graphql::sdl()),
            Run::Doctor(doctor) => doctor.run().await,
        }
    })
}

async fn migrate(both: &Both) -> Result<(), Failure> {
    let (parts, work) = both.check()?;
    app::migrate(&parts, &work).await?;
    say("PostgreSQL and MongoDB are up to date.\n")
}

async fn load_demo(args: &DemoArgs) -> Result<(), Failure> {
    let writing = Writing::open(&args.both).await?;
    if args.if_empty && !command::is_empty(&writing.database).await? {
        say("There are users already; the demo shop is left alone.\n")?;
        return writing.close().await;
    }
    let loaded = demo::load(&writing.bus, &writing.clock, &writing.ids).await?;
    let verb = if loaded.replayed { "was there already" } else { "is loaded" };
    say(&format!("The demo shop {verb}: {} users, {} products, {} orders.\n", loaded.users, loaded.products, loaded.orders))?;
    writing.close().await
}

/// The write side alone, for commands that load something.
struct Writing {
    database: command::Database,
    bus: Bus,
    clock: Clock,
    ids: Ids,
    shutdown: Shutdown,
}

impl Writing {
    async fn open(both: &Both) -> Result<Self, Failure> {
        let (parts, work) = both.check()?;
        let (database, _) = app::connect(&parts).await?;
        let (clock, ids, shutdown) = (Clock::system(), Ids::system(), Shutdown::new());
        let bus = Bus::start(&database, work.command, &clock, &ids, &Arc::new(Notify::new()), &Backlog::unbounded(), &shutdown);
        Ok(Self { database, bus, clock, ids, shutdown })
    }

    async fn close(self) -> Result<(), Failure> {
        // The lanes end when nothing can feed them any more.
        drop(self.bus);
        Ok(self.shutdown.finish().await?)
    }
}

/// Prints to standard output. A reader that has gone away (`| head`) has heard enough.
fn say(text: &str) -> Result<(), Failure> {
    use std::io::{ErrorKind, Write};
    let mut out = std::io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// A file to read.
#[derive(Debug, Args)]
struct File {
    /// The file
    file: PathBuf,
}
