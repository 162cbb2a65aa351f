//! The run of an import, from the file to the report.

use super::{
    plan::{Invoice, Plan},
    report::Report,
    row::Customer,
    shop::{IN_FLIGHT, Shop, patiently},
    till::Till,
};
use crate::{
    clock::{Clock, Ids},
    command::{Bus, Lookup},
    import::ImportError,
    value::Time,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use indicatif::ProgressBar;
use std::{
    cmp::Reverse,
    collections::HashMap,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::Instant,
};

/// The largest file, which is held in memory with its rows: five times the data of two years of a wholesaler.
const MAX_MIB: u64 = 256;

/// Imports a file. Whatever stops it, running it again goes on where it stopped, and once more does nothing.
///
/// # Errors
/// [`ImportError`] when the file cannot be read or the shop stays away; never for a row.
pub async fn run(
    bus: &Bus,
    lookup: &Lookup,
    clock: &Clock,
    ids: &Ids,
    file: &Path,
    progress: &ProgressBar,
) -> Result<Report, ImportError> {
    let started = Instant::now();
    let plan = read(file.to_owned(), clock.now()).await?;
    let mut report = Report::of(&plan);
    progress.set_length(plan.rows);
    progress.inc(plan.refused.len() as u64);

    let shop = Shop { bus, lookup, clock, ids };
    // Outcomes before stock: a sale that is decided in between is then topped up for in vain, not missing its goods.
    let decided = shop.decided(&plan).await?;
    let users = shop.users(&plan, &decided, &mut report).await?;
    let products = shop.products(&plan, &mut report).await?;
    shop.top_up(&plan, &decided, &products, &mut report).await?;

    let till = Till { shop, decided, users, products, progress };
    let mut refunds = Vec::new();
    {
        let till = &till;
        let mut parts = stream::iter(by_customer(plan.invoices)).map(|invoices| till.serve(invoices)).buffer_unordered(IN_FLIGHT);
        while let Some(part) = parts.try_next().await? {
            refunds.extend_from_slice(&part.refunds);
            report.add(part);
        }
    }
    let amounts = patiently(|| lookup.refund_amounts(&refunds)).await?;
    report.refunds_pence = amounts.values().fold(0, |sum, amount| sum.saturating_add(amount.minor));
    report.finish(started.elapsed());
    Ok(report)
}

/// Each customer's invoices in their order; who has most comes first, since nothing can shorten that queue.
fn by_customer(invoices: Vec<Invoice>) -> Vec<Vec<Invoice>> {
    let mut places: HashMap<Customer, usize> = HashMap::new();
    let mut queues: Vec<Vec<Invoice>> = Vec::new();
    for invoice in invoices {
        let next = queues.len();
        let place = *places.entry(invoice.customer().clone()).or_insert(next);
        if place == next {
            queues.push(Vec::new());
        }
        queues[place].push(invoice);
    }
    queues.sort_by_key(|queue| Reverse(queue.len()));
    queues
}

/// Reads and plans on a thread of its own: half a million rows take a second or two.
async fn read(path: PathBuf, now: Time) -> Result<Plan, ImportError> {
    let named = path.clone();
    let planned = tokio::task::spawn_blocking(move || {
        let bytes = load(&path)?;
        Plan::read(&bytes, now).map_err(|problem| ImportError::Header { path, problem })
    });
    planned.await.unwrap_or_else(|died| Err(ImportError::Unreadable { path: named, source: io::Error::other(died) }))
}

fn load(path: &Path) -> Result<Vec<u8>, ImportError> {
    let unreadable = |source| ImportError::Unreadable { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let limit = MAX_MIB * 1024 * 1024;
    // One byte more than may be, to see that there is more; a pipe does not say its length.
    File::open(path).map_err(unreadable)?.take(limit + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > limit {
        return Err(ImportError::TooLarge { path: path.to_owned(), limit_mib: MAX_MIB });
    }
    Ok(bytes)
}
