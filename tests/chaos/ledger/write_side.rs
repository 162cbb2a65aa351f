//! What the clients were told against what PostgreSQL has.

use super::Ledger;
use crate::{
    Failure,
    book::{Outcome, add, count},
    table::Counts,
};
use std::collections::{BTreeMap, HashMap};

impl Ledger<'_> {
    /// Every acknowledged command has exactly the outcome that was told; no other has more than one.
    pub(super) async fn check_commands(&self, counts: &mut Counts) -> Result<(), Failure> {
        let mut effects: HashMap<String, Vec<(String, i64)>> = HashMap::new();
        // The level of a stock is told once a transaction, under any of its commands.
        let sql = "SELECT command_id, stream_kind || '_' || replace(stream_id::text, '-', '') AS stream, version FROM event_log
                   WHERE stream_kind <> 'stock'";
        for row in self.rows(sql).await? {
            let effect = (row.try_get("", "stream")?, row.try_get("", "version")?);
            effects.entry(row.try_get("", "command_id")?).or_default().push(effect);
        }
        let mut remembered: BTreeMap<String, i64> = BTreeMap::new();
        for row in self.rows("SELECT command_id, count(*) AS times FROM commands GROUP BY command_id").await? {
            remembered.insert(row.try_get("", "command_id")?, row.try_get("", "times")?);
        }
        let book = &self.shop.book;
        for sent in book.commands() {
            let happened = effects.remove(&sent.id).unwrap_or_default();
            let times = remembered.remove(&sent.id).unwrap_or_default();
            let (name, id) = (sent.name, &sent.id);
            if happened.len() > 1 || times > 1 {
                count(&book.duplicated);
                self.finds(format!("{name} {id} happened {} times and is remembered {times} times", happened.len()));
            }
            match &sent.outcome {
                Some(Outcome::Done { aggregate, version }) => {
                    counts.acknowledged += 1;
                    if happened.first() != Some(&(aggregate.clone(), *version)) || times == 0 {
                        count(&book.lost);
                        self.finds(format!("{name} {id} was said to be {aggregate} version {version}, and is {happened:?}"));
                    }
                }
                Some(Outcome::Refused(code)) => {
                    counts.refused += 1;
                    if !happened.is_empty() {
                        self.finds(format!("{name} {id} was refused with {code}, and is {happened:?}"));
                    }
                }
                None => counts.unknown += 1,
            }
        }
        for (id, effects) in effects {
            self.finds(format!("nobody sent {id}, and it is {effects:?}"));
        }
        Ok(())
    }

    /// The log has every version of every stream once.
    pub(super) async fn check_log(&self, counts: &mut Counts) -> Result<(), Failure> {
        counts.events = self.number("SELECT count(*) FROM event_log").await?;
        let broken = "SELECT count(*) FROM (SELECT count(*) n, min(version) first, max(version) last FROM event_log
                      GROUP BY stream_kind, stream_id) streams WHERE first <> 1 OR last <> n";
        let broken = self.number(broken).await?;
        if broken > 0 {
            add(&self.shop.book.lost, broken.unsigned_abs());
            self.finds(format!("{broken} streams of the log miss a version"));
        }
        Ok(())
    }
}
