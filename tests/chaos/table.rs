//! What a run says in the end.

use crate::{
    Args,
    book::{Book, told},
    faults::Dealt,
    operator::Ended,
};
use std::{collections::BTreeMap, time::Duration};

/// What the ledger counted.
#[derive(Debug, Default)]
pub struct Counts {
    pub acknowledged: usize,
    pub refused: usize,
    pub unknown: usize,
    pub events: i64,
    pub orders: usize,
    /// From the last fault to nothing waiting anywhere.
    pub settled: Duration,
    pub starts: u32,
    /// The most memory of a process of each role, in MB.
    pub peaks: BTreeMap<&'static str, u64>,
    /// What came of the jobs of the operator.
    pub jobs: Ended,
    /// Whether the disk could be full.
    pub own_disk: bool,
}

pub fn print(args: &Args, book: &Book, dealt: &Dealt, counts: &Counts) {
    let findings = book.findings();
    let mut recoveries = dealt.recoveries.clone();
    recoveries.sort_unstable();
    let at = |share: f64| recoveries.get((recoveries.len() as f64 * share) as usize).or(recoveries.last());
    let seconds = |time: Option<&Duration>| time.map_or("-".to_owned(), |time| format!("{:.2} s", time.as_secs_f64()));
    let faults: Vec<_> = dealt.kinds.iter().map(|(kind, times)| format!("{kind:?} {times}")).collect();
    let total: u32 = dealt.kinds.values().sum();
    println!();
    println!(
        "seed            {} ({} minutes, planted: {})",
        args.seed,
        args.minutes,
        args.planted.as_deref().unwrap_or("nothing")
    );
    println!(
        "commands        {} done, {} refused, {} of which nobody heard",
        counts.acknowledged, counts.refused, counts.unknown
    );
    println!(
        "retries         {} ({} faults told, {} of them INTERNAL)",
        told(&book.retries),
        told(&book.faulty),
        told(&book.internal)
    );
    println!("orders, events  {}, {}", counts.orders, counts.events);
    println!("receipts read   {}", told(&book.reads));
    println!(
        "deliveries      {} on {} resumed lines, {} RESYNC",
        told(&book.deliveries),
        told(&book.resumes),
        told(&book.resyncs)
    );
    println!("faults          {total}: {}", faults.join(", "));
    if !counts.own_disk {
        println!("                a full disk is not among them: this machine grants no file system of our own");
    }
    let jobs: Vec<_> = counts.jobs.iter().map(|(job, times)| format!("{job} {times}")).collect();
    println!("read models     {}", jobs.join(", "));
    let peaks: Vec<_> = counts.peaks.iter().map(|(role, peak)| format!("{role} {peak} MB")).collect();
    println!("processes       {} starts; most memory: {}", counts.starts, peaks.join(", "));
    println!("lost            {}", told(&book.lost));
    println!("duplicated      {}", told(&book.duplicated));
    println!("reordered       {}", told(&book.reordered));
    println!("recovery        p50 {}, max {}", seconds(at(0.5)), seconds(recoveries.last()));
    println!("settled after   {}", seconds(Some(&counts.settled)));
    println!("findings        {}", findings.len());
    for finding in findings.iter().take(30) {
        println!("  - {finding}");
    }
    if findings.len() > 30 {
        println!("  ... and {} more", findings.len() - 30);
    }
}
