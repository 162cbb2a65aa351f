//! A process of the real binary. It does not outlive its test.

use crate::support::until;
use std::{
    io::Read,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

pub struct Process {
    child: Child,
    out: Said,
    err: Said,
}

/// How it ended: the exit code (none when a signal killed it), and all that it said.
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// What a process has said so far.
struct Said {
    text: Arc<Mutex<String>>,
    reading: Option<JoinHandle<()>>,
}

impl Said {
    fn listen(mut from: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&text);
        let reading = std::thread::spawn(move || {
            let mut chunk = [0; 4_096];
            while let Ok(n @ 1..) = from.read(&mut chunk) {
                heard.lock().expect("no panic").push_str(&String::from_utf8_lossy(&chunk[..n]));
            }
        });
        Self { text, reading: Some(reading) }
    }

    fn so_far(&self) -> String {
        self.text.lock().expect("no panic").clone()
    }

    /// All of it; the process has ended.
    fn all(&mut self) -> String {
        if let Some(reading) = self.reading.take() {
            reading.join().expect("no panic");
        }
        self.so_far()
    }
}

impl Process {
    /// Starts it with this environment and no other.
    pub fn start(args: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orderflow"));
        command.args(args).env_clear().envs(variables.iter().copied()).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
        let out = Said::listen(child.stdout.take().expect("a pipe"));
        let err = Said::listen(child.stderr.take().expect("a pipe"));
        Self { child, out, err }
    }

    /// Starts it and waits for its end.
    pub async fn run(args: &[&str], variables: &[(&str, &str)]) -> Ended {
        Self::start(args, variables).end().await
    }

    /// Waits for a line of its output that begins so, and gives the rest of it.
    pub async fn prints(&self, beginning: &str) -> String {
        until(beginning, || async {
            let said = self.out.so_far();
            // A line is whole when the next one has begun.
            let lines = said.rsplit_once('\n').map(|(lines, _)| lines).unwrap_or_default();
            let found = lines.lines().find_map(|line| line.strip_prefix(beginning)).map(str::to_owned);
            found.ok_or_else(|| said.clone() + &self.err.so_far())
        })
        .await
    }

    /// Waits for something in its log.
    pub async fn logs(&self, text: &str) {
        until(text, || async {
            let said = self.err.so_far();
            if said.contains(text) { Ok(()) } else { Err(said) }
        })
        .await;
    }

    /// Sends a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill can be run").success(), "{name} could not be sent");
    }

    /// Waits for its end.
    pub async fn end(mut self) -> Ended {
        let child = Mutex::new(&mut self.child);
        let status = until("the end of the process", || async {
            child.lock().expect("no panic").try_wait().expect("a status").ok_or("it runs")
        })
        .await;
        Ended { code: status.code(), out: self.out.all(), err: self.err.all() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
