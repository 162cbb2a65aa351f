//! Our processes: several of each role of the real binary, and the supervisor that starts again whichever has ended.

use crate::{
    Failure, pause,
    stack::{Stack, signal},
};
use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    ops::Deref,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

/// How soon the supervisor notices an end, and how long it waits before it starts anew.
const LOOK: Duration = Duration::from_millis(50);
const REST: Duration = Duration::from_millis(300);

/// Fixed for the life of a deployment; four are enough to be apart.
pub const PARTITIONS: u16 = 4;

/// Where the processes find the servers: at the near ends of the wires.
pub struct Addresses {
    pub database_url: String,
    pub amqp_url: String,
    pub mongodb_uri: String,
}

/// A place for one process at a time.
struct Place {
    role: &'static str,
    name: String,
    child: Option<Child>,
    addr: Option<SocketAddr>,
    out: PathBuf,
    starts: u32,
    rest_until: Instant,
    /// What the next start is armed with.
    armed: Option<String>,
    /// The most memory that any process here had, resident.
    peak_kb: u64,
}

/// All places, and what every process is started with. Cheap enough to clone.
#[derive(Clone)]
pub struct Crew {
    places: Arc<Mutex<Vec<Place>>>,
    environment: Vec<(String, String)>,
    logs: PathBuf,
}

/// The crew with its supervisor. All processes end with it.
pub struct Processes {
    crew: Crew,
    watch: JoinHandle<()>,
}

impl Deref for Processes {
    type Target = Crew;

    fn deref(&self) -> &Crew {
        &self.crew
    }
}

impl Processes {
    /// Migrates, and starts so many of each role.
    pub async fn start(stack: &Stack, at: &Addresses, of_each: usize, planted: Option<&str>) -> Result<Arc<Self>, Failure> {
        let mut environment = vec![
            ("DATABASE_URL".to_owned(), at.database_url.clone()),
            ("AMQP_URL".to_owned(), at.amqp_url.clone()),
            ("MONGODB_URI".to_owned(), at.mongodb_uri.clone()),
            ("RUST_BACKTRACE".to_owned(), "1".to_owned()),
            ("ORDERFLOW_PARTITIONS".to_owned(), PARTITIONS.to_string()),
        ];
        environment.extend(planted.map(|bug| ("ORDERFLOW_PLANTED_BUG".to_owned(), bug.to_owned())));
        let mut places = Vec::new();
        for role in ["api", "relay", "projector"] {
            places.extend((1..=of_each).map(|number| Place::new(role, number)));
        }
        let crew = Crew { places: Arc::new(Mutex::new(places)), environment, logs: stack.logs.clone() };
        let mut migrating = crew.command("migrate", &["migrate"], None)?;
        if !tokio::task::spawn_blocking(move || migrating.wait()).await??.success() {
            return Err("orderflow migrate failed; see migrate.log".into());
        }
        let watching = crew.clone();
        let watch = tokio::spawn(async move {
            loop {
                watching.look();
                pause(LOOK).await;
            }
        });
        Ok(Arc::new(Self { crew, watch }))
    }
}

impl Crew {
    fn places(&self) -> MutexGuard<'_, Vec<Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the binary, with what it says going to files of this name.
    pub fn command(&self, name: &str, args: &[&str], armed: Option<String>) -> Result<Child, Failure> {
        let file = |kind: &str| fs::OpenOptions::new().create(true).append(true).open(self.logs.join(format!("{name}.{kind}")));
        let mut command = Command::new(env!("CARGO_BIN_EXE_orderflow"));
        command.args(args).env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.env("ORDERFLOW_CLOCK_OFFSET_FILE", self.clock(name));
        command.envs(armed.map(|point| ("ORDERFLOW_CRASH_AT", point)));
        Ok(command.stdin(Stdio::null()).stdout(file("out")?).stderr(file("log")?).spawn()?)
    }

    fn clock(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.clock"))
    }

    /// One round of the supervisor.
    fn look(&self) {
        for place in self.places().iter_mut() {
            if let Some(child) = &mut place.child {
                place.peak_kb = place.peak_kb.max(peak_kb(child.id()).unwrap_or_default());
                if let Ok(Some(_)) = child.try_wait() {
                    place.ended();
                }
            }
            if place.child.is_none() && Instant::now() >= place.rest_until {
                place.starts += 1;
                place.out = self.logs.join(format!("{}.out", place.name));
                // The address of this start is the one that stands in a file of its own.
                let _ = fs::remove_file(&place.out);
                let args = ["serve", "--dev", "--http-addr", "127.0.0.1:0", "--role", place.role];
                place.child = self.command(&place.name, &args, place.armed.take()).ok();
            }
            if place.child.is_some() && place.addr.is_none() {
                place.addr = place.told_address();
            }
        }
    }

    pub fn count(&self) -> usize {
        self.places().len()
    }

    /// Runs the binary to its end: its exit code, and what it printed. What it said in error stays in the logs.
    pub async fn run(&self, name: &str, args: &[&str]) -> Result<(Option<i32>, String), Failure> {
        self.run_for(name, args, None, Duration::from_secs(120)).await
    }

    /// The same, armed with a crash point if one is given, and killed if it is not done in time.
    pub async fn run_for(
        &self,
        name: &str,
        args: &[&str],
        armed: Option<&str>,
        time: Duration,
    ) -> Result<(Option<i32>, String), Failure> {
        let (mut child, until) = (self.command(name, args, armed.map(str::to_owned))?, Instant::now() + time);
        let ended = loop {
            match child.try_wait()? {
                Some(ended) => break ended,
                None if Instant::now() > until => {
                    child.kill()?;
                    break child.wait()?;
                }
                None => pause(LOOK).await,
            }
        };
        Ok((ended.code(), fs::read_to_string(self.logs.join(format!("{name}.out")))?))
    }

    /// The most memory that a process of each role had at any time, in MB.
    pub fn peaks(&self) -> BTreeMap<&'static str, u64> {
        let mut peaks = BTreeMap::new();
        for place in self.places().iter() {
            let peak: &mut u64 = peaks.entry(place.role).or_default();
            *peak = (*peak).max(place.peak_kb / 1024);
        }
        peaks
    }

    /// The places of a role.
    pub fn of(&self, role: &str) -> Vec<usize> {
        let places = self.places();
        places.iter().enumerate().filter(|(_, place)| place.role == role).map(|(index, _)| index).collect()
    }

    /// Where the API can be reached just now, or could be a moment ago.
    pub fn apis(&self) -> Vec<SocketAddr> {
        self.places().iter().filter(|place| place.role == "api").filter_map(|place| place.addr).collect()
    }

    /// Where every process has its health, if all have said so.
    pub fn all(&self) -> Option<Vec<SocketAddr>> {
        self.places().iter().map(|place| place.addr).collect()
    }

    /// Sends a signal to whichever process is in a place.
    pub fn send(&self, index: usize, name: &str) {
        if let Some(place) = self.places().get_mut(index)
            && let Some(child) = &place.child
        {
            signal(child.id(), name);
        }
    }

    /// Kills the process in a place, and arms the one that follows with a crash point.
    pub fn crash(&self, index: usize, point: String) {
        if let Some(place) = self.places().get_mut(index) {
            place.armed = Some(point);
        }
        self.send(index, "KILL");
    }

    pub fn role(&self, index: usize) -> &'static str {
        self.places().get(index).map_or("", |place| place.role)
    }

    /// Lets the clock of a place go wrong by so many milliseconds.
    pub fn step_clock(&self, index: usize, milliseconds: i64) -> Result<(), Failure> {
        let name = self.places().get(index).map(|place| place.name.clone()).unwrap_or_default();
        // Renamed into place: a reader finds the old or the new.
        let (new, clock) = (self.logs.join("clock.new"), self.clock(&name));
        fs::write(&new, milliseconds.to_string())?;
        Ok(fs::rename(new, clock)?)
    }

    /// How often anything was started.
    pub fn starts(&self) -> u32 {
        self.places().iter().map(|place| place.starts).sum()
    }

    /// What no fault of ours explains: panics, and tasks that died.
    pub fn accidents(&self) -> Vec<String> {
        let mut accidents = Vec::new();
        for entry in fs::read_dir(&self.logs).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|kind| kind == "log") {
                let text = fs::read_to_string(&path).unwrap_or_default();
                let lines = text.lines().filter(|line| line.contains("panicked at") || line.contains("a task died"));
                accidents.extend(lines.map(|line| format!("{}: {line}", path.display())));
            }
        }
        accidents
    }
}

/// The high-water mark of a process's resident memory.
fn peak_kb(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().trim_end_matches(" kB").parse().ok()
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.watch.abort();
        for place in self.places().iter_mut() {
            if let Some(mut child) = place.child.take() {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

impl Place {
    fn new(role: &'static str, number: usize) -> Self {
        Self {
            role,
            name: format!("{role}-{number}"),
            child: None,
            addr: None,
            out: PathBuf::new(),
            starts: 0,
            rest_until: Instant::now(),
            armed: None,
            peak_kb: 0,
        }
    }

    fn ended(&mut self) {
        self.child = None;
        self.addr = None;
        self.rest_until = Instant::now() + REST;
    }

    /// The address that the process has printed.
    fn told_address(&self) -> Option<SocketAddr> {
        let said = fs::read_to_string(&self.out).ok()?;
        // A line is whole when it has ended.
        let (said, _) = said.rsplit_once('\n')?;
        let line = said.lines().find(|line| line.starts_with("Orderflow "))?;
        line.split_once("http://")?.1.split(['/', ' ']).next()?.parse().ok()
    }
}
