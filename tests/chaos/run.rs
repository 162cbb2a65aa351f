//! One run: the servers, the shop, the load, the faults, the end of the day, and the ledger.

use crate::{
    Args, Failure,
    book::Book,
    faults::{Dealt, Faults, Wires},
    ledger::Ledger,
    lives,
    load::{Shop, Till},
    operator::Operator,
    pause,
    processes::{Addresses, Processes},
    proxy::Proxy,
    stack::Stack,
    subscribers::{Ends, Follows, Subscriber},
    table::{self, Counts},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
    time::{Instant, timeout},
};

/// What comes on top of the load: setting up, finishing commands, settling, checking.
const ON_TOP: Duration = Duration::from_secs(600);

/// Subscribers to lists, of customers and of everybody, and to single orders.
const OF_CUSTOMERS: u64 = 4;
const OF_ALL: u64 = 2;
const OF_ORDERS: u64 = 6;

/// Holds a run, and leaves nothing behind but logs where there is something to read. Whether the ledger is clean.
pub async fn hold(args: &Args) -> Result<bool, Failure> {
    if let Some(bug) = args.planted.as_deref().filter(|bug| !orderflow::crash::BUGS.contains(bug)) {
        return Err(format!("{bug} is none of {}", orderflow::crash::BUGS.join(", ")).into());
    }
    println!("chaos: seed {}, {} minutes", args.seed, args.minutes);
    let (mut interrupted, mut ended) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stack = Stack::up(&format!("chaos-{}", args.seed)).await?;
    let bound = Duration::from_secs_f64(args.minutes * 60.0) + ON_TOP;
    let held = tokio::select! {
        held = timeout(bound, on(&stack, args)) => held.unwrap_or_else(|_| Err(format!("not done after {bound:?}").into())),
        _ = interrupted.recv() => Err("interrupted".into()),
        _ = ended.recv() => Err("asked to end".into()),
    };
    let logs = stack.logs.clone();
    let clean = matches!(held, Ok(true));
    stack.end(!clean || args.keep_logs).await?;
    if !clean || args.keep_logs {
        println!("chaos: what processes and servers said is in {}", logs.display());
    }
    held
}

async fn on(stack: &Stack, args: &Args) -> Result<bool, Failure> {
    let (postgres, database_url) = Proxy::before(&stack.database_url).await?;
    let (rabbitmq, amqp_url) = Proxy::before(&stack.amqp_url).await?;
    let (mongodb, mongodb_uri) = Proxy::before(&stack.mongodb_uri).await?;
    let wires = Wires([postgres, rabbitmq, mongodb]);
    let addresses = Addresses { database_url, amqp_url, mongodb_uri };
    let book = Arc::new(Book::default());
    let processes = Processes::start(stack, &addresses, args.processes, args.planted.as_deref()).await?;
    let shop = Arc::new(Shop::open(args.seed, &book, &processes).await?);

    let (tell_ends, ends) = watch::channel(None);
    let mut subscribers = JoinSet::new();
    let early = open_lines(&shop, &ends, &mut subscribers).await?;
    let (tell_over, over) = watch::channel(false);
    let mut load = JoinSet::new();
    for number in 0..args.clients {
        load.spawn(lives::trade(Arc::clone(&shop), number, over.clone()));
    }
    let operator = Operator::new(&shop, &addresses.database_url);
    let operator = tokio::spawn(operator.work(over.clone()));
    let time = Duration::from_secs_f64(args.minutes * 60.0);
    let dealt = Faults::new(&shop, stack, &wires).deal(time, args.only).await?;
    tell_over.send_replace(true);
    ended_well(&book, load).await;
    let jobs = operator.await??;

    let ledger = Ledger::open(&shop, stack).await?;
    let mut counts = Counts { jobs, own_disk: stack.can_be_full(), settled: ledger.settle().await?, ..Counts::default() };
    tell_ends.send_replace(Some(Arc::new(ledger.ends(&early).await?)));
    ended_well(&book, subscribers).await;
    ledger.check(&mut counts).await?;
    Ok(judge(args, &book, &dealt, &counts))
}

/// Lets all subscribers come, and waits until those of lists have a cursor: from then on they must miss nothing. Gives the orders
/// that it took.
async fn open_lines(
    shop: &Arc<Shop>,
    ends: &watch::Receiver<Option<Arc<Ends>>>,
    subscribers: &mut JoinSet<()>,
) -> Result<Vec<String>, Failure> {
    let followed: Vec<_> = shop.customers.iter().take(OF_CUSTOMERS as usize).cloned().collect();
    let mut all: Vec<Follows> = followed.iter().cloned().map(Follows::Customer).collect();
    all.extend((0..OF_ALL).map(|_| Follows::All));
    all.extend((0..OF_ORDERS).map(|_| Follows::Orders));
    let mut ready = Vec::new();
    for (number, follows) in (0..).zip(all) {
        let is_ready = Arc::new(AtomicBool::new(false));
        let subscriber = Subscriber { shop: Arc::clone(shop), number, follows, ready: Arc::clone(&is_ready), ends: ends.clone() };
        subscribers.spawn(subscriber.run());
        ready.push(is_ready);
    }
    let (mut till, by) = (Till::new(shop, "early", 0), Instant::now() + Duration::from_secs(60));
    till.patient = true;
    let mut early = Vec::new();
    while !ready.iter().all(|ready| ready.load(Ordering::Relaxed)) {
        if Instant::now() > by {
            return Err("the subscribers have heard nothing in a minute in which nothing was wrong".into());
        }
        for customer in &followed {
            early.extend(lives::place(shop, &mut till, customer).await.map(|placed| placed.aggregate));
        }
        pause(Duration::from_millis(300)).await;
    }
    Ok(early)
}

/// Waits for tasks of our own; one that panics has found something, if only in the suite.
async fn ended_well(book: &Book, mut tasks: JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            book.finds(format!("a task of the suite: {error}"));
        }
    }
}

/// The verdict, with its table. A run in which nothing went on proves nothing.
fn judge(args: &Args, book: &Book, dealt: &Dealt, counts: &Counts) -> bool {
    if counts.acknowledged < 100 || dealt.kinds.is_empty() {
        book.finds("too little went on for a proof");
    }
    table::print(args, book, dealt, counts);
    book.findings().is_empty()
}
