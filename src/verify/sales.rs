//! The sales report's buckets against the orders of the log.
//!
//! The walk has added up what the log says in all. Where that is what the buckets say, they are right. Elsewhere orders may have
//! come in meanwhile, so each such hour is read once more in one transaction: its buckets, and which orders were placed in it, in
//! which versions. The buckets must say what the folds of these orders up to just these versions add up to, at any moment and
//! whatever goes on. An order whose document is wrong about its version, or missing, may count as the log has it.

use super::{Report, Verifier, VerifyError, settle::Settling};
use crate::{
    command::Stretch,
    difference::Difference,
    event::Stream,
    query::audit::{Contribution, Hour, OrderFold, Sums, add, places},
    value::{Currency, Time},
};
use std::collections::{BTreeMap, BTreeSet};

impl Verifier {
    pub(super) async fn compare_sales(&self, walked: &Sums, settling: &Settling, report: &mut Report) -> Result<(), VerifyError> {
        let (buckets, misnamed, read) = self.audit.sales().await?;
        report.compared(places::SALES, read);
        report.differences.extend(misnamed);
        let keys: BTreeSet<_> = walked.keys().chain(buckets.keys()).copied().collect();
        let of = |sums: &Sums, key| sums.get(&key).copied().unwrap_or_default();
        let unlike = keys.into_iter().filter(|key| of(walked, *key) != of(&buckets, *key));
        let hours: BTreeSet<Time> = unlike.map(|(hour, _)| hour).collect();
        for hour in hours {
            let first = self.compare_hour(hour, settling.lost(), report).await?;
            if !first.is_empty() {
                // Seen twice, like everything else.
                let again = self.compare_hour(hour, settling.lost(), report).await?;
                report.differences.extend(again.into_iter().filter(|difference| first.contains(difference)));
            }
        }
        Ok(())
    }

    /// How an hour's buckets differ from its orders.
    async fn compare_hour(
        &self,
        hour: Time,
        lost: &BTreeSet<Stream>,
        report: &mut Report,
    ) -> Result<Vec<Difference>, VerifyError> {
        let Hour { buckets, orders } = self.audit.hour(hour).await?;
        let mut versions: BTreeMap<Stream, i64> = lost.iter().map(|stream| (*stream, 0)).collect();
        versions.extend(orders.into_iter().map(|(id, version)| (Stream::Order(id), version)));
        let heads = self.log.heads(&versions.keys().copied().collect::<Vec<_>>()).await?;
        let head = |stream: &Stream| heads.get(stream).copied().unwrap_or(0);
        let until = |stream: &Stream, version: i64| if lost.contains(stream) { head(stream) } else { version.min(head(stream)) };
        let stretches: Vec<_> = versions
            .iter()
            .map(|(stream, version)| Stretch { stream: *stream, after: 0, until: until(stream, *version) })
            .collect();
        let (mut seen, mut all) = (Sums::new(), Sums::new());
        // One stream follows the other, so one fold is enough.
        let mut fold: Option<(Stream, OrderFold)> = None;
        report.events += self
            .each(stretches, |recorded| {
                if fold.as_ref().is_none_or(|(stream, _)| *stream != recorded.stream) {
                    fold = Some((recorded.stream, OrderFold::default()));
                }
                let Some((stream, fold)) = &mut fold else { return };
                let envelope = recorded.envelope.as_ref().map_err(ToString::to_string);
                if let Some(tallied) = fold.step((recorded.stream, recorded.version), envelope, &self.discards) {
                    let (hour, currency, more) = tallied.sold();
                    add(&mut all, hour, currency, more);
                    if versions.get(stream).is_some_and(|version| recorded.version <= *version) {
                        add(&mut seen, hour, currency, more);
                    }
                }
            })
            .await?;
        Ok(compare(hour, &buckets, &seen, &all))
    }
}

/// How the buckets of an hour differ from what its orders add up to, by either count.
fn compare(hour: Time, buckets: &BTreeMap<Currency, Contribution>, seen: &Sums, all: &Sums) -> Vec<Difference> {
    let of = |sums: &Sums, currency| sums.get(&(hour, currency)).copied().unwrap_or_default();
    let summed = all.keys().filter(|(at, _)| *at == hour).map(|(_, currency)| currency);
    let currencies: BTreeSet<Currency> = summed.chain(buckets.keys()).copied().collect();
    let mut wrong = Vec::new();
    for currency in currencies {
        let found = buckets.get(&currency).copied().unwrap_or_default();
        let by = |expected: Contribution| {
            let counts = [
                ("orderCount", expected.orders, found.orders),
                ("itemCount", expected.items, found.items),
                ("revenue", expected.revenue, found.revenue),
            ];
            let id = format!("{}:{currency}", hour.unix_timestamp());
            let unlike = counts.into_iter().filter(|(_, expected, found)| expected != found);
            let difference = |(path, expected, found): (_, i64, i64)| {
                Difference::new(places::SALES, &id, path, Some(expected.into()), Some(found.into()))
            };
            unlike.map(difference).collect::<Vec<_>>()
        };
        let (seen, all) = (by(of(seen, currency)), by(of(all, currency)));
        wrong.extend(if all.len() < seen.len() { all } else { seen });
    }
    wrong
}
