//! What everybody writes down while the run goes on: every command that was sent and what was answered, every order that was
//! placed, and everything that should not have happened.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

/// More findings of one run say nothing new.
const MOST_FINDINGS: usize = 100;

/// What a client was told of its command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Done { aggregate: String, version: i64 },
    Refused(String),
}

#[derive(Debug, Clone)]
pub struct Sent {
    pub id: String,
    pub name: &'static str,
    /// Nothing when no answer ever came: nobody knows, and it must have happened once at most.
    pub outcome: Option<Outcome>,
}

#[derive(Debug, Default)]
pub struct Book {
    commands: Mutex<Vec<Sent>>,
    orders: Mutex<Vec<String>>,
    findings: Mutex<Vec<String>>,
    pub retries: AtomicU64,
    pub faulty: AtomicU64,
    pub internal: AtomicU64,
    pub reads: AtomicU64,
    pub deliveries: AtomicU64,
    pub resumes: AtomicU64,
    pub resyncs: AtomicU64,
    pub lost: AtomicU64,
    pub duplicated: AtomicU64,
    pub reordered: AtomicU64,
}

/// A panic of somebody else leaves plain lists, which are still right.
fn open<T>(list: &Mutex<T>) -> MutexGuard<'_, T> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Book {
    /// A command is about to be sent for the first time; gives its line in the book.
    pub fn sends(&self, id: &str, name: &'static str) -> usize {
        let mut commands = open(&self.commands);
        commands.push(Sent { id: id.to_owned(), name, outcome: None });
        commands.len() - 1
    }

    /// An answer has come; a second one must be the same.
    pub fn answered(&self, line: usize, outcome: Outcome) {
        let before = open(&self.commands).get_mut(line).and_then(|sent| sent.outcome.replace(outcome.clone()));
        if let Some(before) = before.filter(|before| *before != outcome) {
            count(&self.duplicated);
            self.finds(format!("a command was answered {before:?} and then {outcome:?}"));
        }
    }

    pub fn commands(&self) -> Vec<Sent> {
        open(&self.commands).clone()
    }

    pub fn placed(&self, order: &str) {
        open(&self.orders).push(order.to_owned());
    }

    /// One of the newest orders, if there is any: the index counts back.
    pub fn newest_order(&self, back: usize) -> Option<String> {
        let orders = open(&self.orders);
        orders.iter().rev().nth(back).or(orders.last()).cloned()
    }

    /// Something should not have happened.
    pub fn finds(&self, what: impl Into<String>) {
        let mut findings = open(&self.findings);
        if findings.len() < MOST_FINDINGS {
            findings.push(what.into());
        }
    }

    pub fn findings(&self) -> Vec<String> {
        open(&self.findings).clone()
    }
}

pub fn count(counter: &AtomicU64) {
    add(counter, 1);
}

pub fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

pub fn told(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
