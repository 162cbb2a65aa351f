//! The three servers of a run: a native stack of its own, whose processes are stopped, killed and started again by their pids.

use crate::{Failure, disk::Disk, pause};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// The broker's files, which are on no disk of ours: RabbitMQ 3.10 does not survive a full one by itself. Its alarm stops
/// publishers in time where a disk fills slowly; where it does not, quorum queues refuse everything until the node is restarted,
/// and one was seen that could not be read again then (`gap_between_snapshot_and_first_index`).
const BROKERS_FILES: &str = "rabbitmq-files";

/// How long a server may take to go after a signal before it is killed.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    Postgres,
    RabbitMq,
    MongoDb,
}

impl Server {
    fn name(self) -> &'static str {
        match self {
            Server::Postgres => "postgres",
            Server::RabbitMq => "rabbitmq",
            Server::MongoDb => "mongodb",
        }
    }

    /// The signal of an orderly shutdown that does not wait for clients.
    fn goodbye(self) -> &'static str {
        if self == Server::Postgres { "INT" } else { "TERM" }
    }
}

/// A stack that is up.
pub struct Stack {
    name: String,
    /// What processes and servers said, kept when something was found.
    pub logs: PathBuf,
    pub database_url: String,
    pub amqp_url: String,
    pub mongodb_uri: String,
    /// The broker's management API, with its password.
    pub broker_api: String,
    /// The broker's own tool.
    broker_tool: String,
    /// What its files are on, where it is ours.
    disk: Option<Disk>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl Stack {
    /// A fresh one; what an earlier run has left of it goes first.
    pub async fn up(name: &str) -> Result<Self, Failure> {
        let logs = root().join(".stack").join(format!("{name}-logs"));
        let _ = fs::remove_dir_all(&logs);
        fs::create_dir_all(&logs)?;
        script("wipe", name).await?;
        let folder = root().join(".stack").join(name);
        let disk = Disk::mount(&folder)?;
        if disk.is_some() {
            fs::create_dir_all(logs.join(BROKERS_FILES))?;
            symlink(logs.join(BROKERS_FILES), folder.join(Server::RabbitMq.name()))?;
        }
        if let Err(error) = script("up", name).await {
            let _ = script("wipe", name).await;
            return Err(error);
        }
        let told = script("env", name).await?;
        let value = |key: &str| {
            let line = told.lines().find_map(|line| line.strip_prefix(&format!("export {key}='")));
            line.and_then(|rest| rest.strip_suffix('\'')).map(str::to_owned).ok_or(format!("scripts/stack env has no {key}"))
        };
        Ok(Self {
            name: name.to_owned(),
            logs,
            database_url: value("DATABASE_URL")?,
            amqp_url: value("AMQP_URL")?,
            mongodb_uri: value("MONGODB_URI")?,
            broker_api: value("RABBITMQ_API")?,
            broker_tool: value("RABBITMQ_CTL")?,
            disk,
        })
    }

    fn folder(&self) -> PathBuf {
        root().join(".stack").join(&self.name)
    }

    /// The pid of a server, if it is alive and the one that this stack started: the pid file names its start time too.
    fn pid(&self, server: Server) -> Option<u32> {
        let told = fs::read_to_string(self.folder().join(format!("{}.pid", server.name()))).ok()?;
        let mut words = told.split_whitespace();
        let (pid, started) = (words.next()?.parse().ok()?, words.next()?);
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<_> = stat.rsplit_once(") ")?.1.split(' ').collect();
        (fields.first() != Some(&"Z") && fields.get(19) == Some(&started)).then_some(pid)
    }

    /// Stops a server, by surprise or not, and starts it again.
    pub async fn restart(&self, server: Server, by_surprise: bool) -> Result<(), Failure> {
        if let Some(pid) = self.pid(server) {
            signal(pid, if by_surprise { "KILL" } else { server.goodbye() });
            let since = Instant::now();
            while self.pid(server).is_some() {
                if since.elapsed() > PATIENCE {
                    signal(pid, "KILL");
                }
                pause(Duration::from_millis(50)).await;
            }
        }
        script("up", &self.name).await.map(|_| ())
    }

    /// Has the broker evaluate an expression, which must say `ok`.
    pub async fn ask_broker(&self, expression: &str) -> Result<(), Failure> {
        let mut command = Command::new(&self.broker_tool);
        command.args(["eval", expression, "--silent"]).stdin(Stdio::null());
        let told = tokio::task::spawn_blocking(move || command.output()).await??;
        if told.stdout.trim_ascii() == b"ok" {
            return Ok(());
        }
        Err(format!("the broker was asked for {expression}: {}", String::from_utf8_lossy(&told.stderr)).into())
    }

    /// Whether the disk can be full.
    pub fn can_be_full(&self) -> bool {
        self.disk.is_some()
    }

    /// Leaves no room on the disk for as long as something lasts, and then starts again whichever server has not survived that,
    /// as an operator would.
    pub async fn full_while(&self, lasting: impl Future<Output = ()>) -> Result<(), Failure> {
        let Some(disk) = &self.disk else { return Ok(()) };
        disk.fill()?;
        lasting.await;
        disk.empty()?;
        match script("up", &self.name).await {
            Ok(_) => Ok(()),
            // One was still alive when it was looked at, and dying.
            Err(_) => script("up", &self.name).await.map(|_| ()),
        }
    }

    /// Everything down and wiped. The logs stay when there is a reason to read them.
    pub async fn end(self, keep_logs: bool) -> Result<(), Failure> {
        if keep_logs {
            for entry in fs::read_dir(self.folder())?.flatten() {
                let name = entry.file_name();
                if name.to_string_lossy().contains(".log") {
                    fs::copy(entry.path(), self.logs.join(&name))?;
                }
            }
        }
        let wiped = script("wipe", &self.name).await.map(|_| ());
        let _ = fs::remove_dir_all(if keep_logs { self.logs.join(BROKERS_FILES) } else { self.logs.clone() });
        wiped
    }
}

/// Runs scripts/stack and gives what it prints.
async fn script(verb: &'static str, name: &str) -> Result<String, Failure> {
    let name = name.to_owned();
    let ended = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(root().join("scripts/stack"));
        command.args([verb, &name]).current_dir(root()).stdin(Stdio::null()).output()
    });
    let ended = ended.await??;
    if !ended.status.success() {
        return Err(format!("scripts/stack {verb}: {}", String::from_utf8_lossy(&ended.stderr)).into());
    }
    Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
}

/// Sends a signal to a process of ours. That it has just gone is no failure.
pub fn signal(pid: u32, name: &str) {
    let _ = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).stderr(Stdio::null()).status();
}
