//! The shop as an import meets it: commands that are sent until they are decided, and what must be there before anything can be
//! sold.

use super::{
    key,
    plan::{NewProduct, Plan},
    report::Report,
    row::Customer,
};
use crate::{
    clock::{Clock, Ids},
    command::{AdjustStock, Bus, Command, CreateProduct, CreateUser, Decided, Fault, Lookup, Refusal, Shelf, UseCase},
    domain::stock::Stock,
    import::ImportError,
    value::{CommandId, Email, Note, ProductId, Role, Sku, UserId, Viewer},
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

/// Who imports, in the log and as the scope of command ids.
const ACTOR: &str = "import";

/// The most commands on their way at once: enough for full groups, and far below what the lanes let wait.
pub(super) const IN_FLIGHT: usize = 64;

/// A fault is waited out: a tenth of a second first, then twice as long each time up to two seconds, about half a minute in all.
const RETRIES: u32 = 18;
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Something that is there, or what the shop said to the command that should have made it.
pub(super) type Made<T> = Result<T, String>;

/// The ways into the write side.
pub(super) struct Shop<'a> {
    pub bus: &'a Bus,
    pub lookup: &'a Lookup,
    pub clock: &'a Clock,
    pub ids: &'a Ids,
}

impl Shop<'_> {
    /// Sends a command until it is decided.
    pub async fn send(&self, id: CommandId, use_case: UseCase) -> Result<Decided, ImportError> {
        let actor = Viewer { subject: ACTOR.to_owned(), role: Role::Admin };
        let command = Command { id, actor, at: self.clock.now(), traceparent: None, use_case };
        let outcome = patiently(|| self.bus.send(command.clone())).await?;
        Ok(outcome.result)
    }

    /// What is decided of a plan already.
    pub async fn decided(&self, plan: &Plan) -> Result<HashMap<CommandId, Decided>, ImportError> {
        let ids = plan.command_ids();
        patiently(|| self.lookup.outcomes(ACTOR, &ids)).await
    }

    /// Finds the plan's customers, and makes those that are not there and buy.
    pub async fn users(
        &self,
        plan: &Plan,
        decided: &HashMap<CommandId, Decided>,
        report: &mut Report,
    ) -> Result<HashMap<Customer, Made<UserId>>, ImportError> {
        let mut users: HashMap<Customer, Made<UserId>> = HashMap::with_capacity(plan.users.len());
        let mut unknown = Vec::new();
        for (customer, user) in &plan.users {
            // Made by an import before; whoever it is may have changed the address since.
            if let Some(Ok(receipt)) = decided.get(&user.create) {
                users.insert(customer.clone(), Ok(UserId(receipt.stream.uuid())));
            } else {
                unknown.push((customer, user));
            }
        }
        let emails: Vec<Email> = unknown.iter().map(|(_, user)| user.email.clone()).collect();
        let found = patiently(|| self.lookup.users_by_email(&emails)).await?;
        let missing = unknown.iter().filter(|(_, user)| user.buys && !found.contains_key(&user.email.folded()));
        let commands = missing.map(|(customer, user)| {
            let create = CreateUser {
                user_id: UserId(self.ids.next()),
                email: user.email.clone(),
                display_name: user.display_name.clone(),
                role: Role::Customer,
            };
            ((*customer).clone(), user.create.clone(), UseCase::from(create))
        });
        let answers = self.send_all(commands.collect()).await?;
        report.users_created = answers.iter().filter(|(_, answer)| answer.is_ok()).count() as u64;

        // Read again: a refusal may mean that somebody else was faster to make the same.
        let found = patiently(|| self.lookup.users_by_email(&emails)).await?;
        for (customer, user) in unknown {
            users.extend(found.get(&user.email.folded()).map(|id| (customer.clone(), Ok(*id))));
        }
        report.users_found = (users.len() as u64).saturating_sub(report.users_created);
        Ok(with_refusals(users, answers))
    }

    /// Finds the plan's products, and makes those that are not there and are sold.
    pub async fn products(&self, plan: &Plan, report: &mut Report) -> Result<HashMap<Sku, Made<Shelf>>, ImportError> {
        let skus: Vec<Sku> = plan.products.keys().cloned().collect();
        let found = patiently(|| self.lookup.products_by_sku(&skus)).await?;
        let missing = plan.products.iter().filter(|(sku, _)| !found.contains_key(*sku));
        let commands = missing.filter_map(|(sku, product)| {
            let NewProduct { name, price: Some(price) } = product else { return None };
            let create = CreateProduct {
                product_id: ProductId(self.ids.next()),
                sku: sku.clone(),
                name: name.clone(),
                description: None,
                price: *price,
                stock: 0,
            };
            Some((sku.clone(), key::product(sku, name.as_str(), *price), UseCase::from(create)))
        });
        let answers = self.send_all(commands.collect()).await?;
        report.products_created = answers.iter().filter(|(_, answer)| answer.is_ok()).count() as u64;

        // Read again, as with users.
        let found = patiently(|| self.lookup.products_by_sku(&skus)).await?;
        report.products_found = (found.len() as u64).saturating_sub(report.products_created);
        let products: HashMap<Sku, Made<Shelf>> = found.into_iter().map(|(sku, shelf)| (sku, Ok(shelf))).collect();
        Ok(with_refusals(products, answers))
    }

    /// Tops stock up to what all sales need that are not decided yet. It goes by what is on the shelf now, so doing it again
    /// after a stop adds only what is short then.
    pub async fn top_up(
        &self,
        plan: &Plan,
        decided: &HashMap<CommandId, Decided>,
        products: &HashMap<Sku, Made<Shelf>>,
        report: &mut Report,
    ) -> Result<(), ImportError> {
        let mut needed: BTreeMap<&Sku, i64> = BTreeMap::new();
        for line in plan.sales().filter(|sale| !decided.contains_key(&sale.place)).flat_map(|sale| &sale.lines) {
            *needed.entry(&line.sku).or_default() += line.quantity.get();
        }
        let reason = Note::parse("Topped up for an import").ok();
        let commands = needed.into_iter().filter_map(|(sku, needed)| {
            let shelf = products.get(sku)?.as_ref().ok()?;
            // What a shelf cannot hold at once is left for the shop to refuse, order by order.
            let delta = needed.min(Stock::MAX) - shelf.available;
            let adjust = AdjustStock { product_id: shelf.product_id, delta, reason: reason.clone() };
            (delta > 0).then(|| (delta, key::top_up(sku, shelf.stock_version, delta), UseCase::from(adjust)))
        });
        for (delta, answer) in self.send_all(commands.collect()).await? {
            match answer {
                Ok(_) => {
                    report.stock_top_ups += 1;
                    report.stock_units_added += delta;
                }
                Err(refusals) => tracing::warn!(reason = %said(&refusals), "stock could not be topped up"),
            }
        }
        Ok(())
    }

    /// Sends commands that do not depend on each other.
    async fn send_all<K>(&self, commands: Vec<(K, CommandId, UseCase)>) -> Result<Vec<(K, Decided)>, ImportError> {
        stream::iter(commands)
            .map(|(key, id, use_case)| async move { Ok::<_, ImportError>((key, self.send(id, use_case).await?)) })
            .buffer_unordered(IN_FLIGHT)
            .try_collect()
            .await
    }
}

/// Adds what the shop said about those that are not there after all.
fn with_refusals<K: std::hash::Hash + Eq, T>(mut made: HashMap<K, Made<T>>, answers: Vec<(K, Decided)>) -> HashMap<K, Made<T>> {
    for (key, answer) in answers {
        if let Err(refusals) = answer {
            made.entry(key).or_insert_with(|| Err(said(&refusals)));
        }
    }
    made
}

/// The reasons of a refusal as one text.
pub(super) fn said(refusals: &[Refusal]) -> String {
    refusals.iter().map(|refusal| refusal.message.as_str()).collect::<Vec<_>>().join(" ")
}

/// Asks again while the shop is busy or away. What is asked must be safe to ask twice: commands are, by their ids.
pub(super) async fn patiently<T, F>(mut ask: impl FnMut() -> F) -> Result<T, ImportError>
where
    F: Future<Output = Result<T, Fault>>,
{
    let mut wait = FIRST_WAIT;
    for _ in 0..RETRIES {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(Fault::Internal) => return Err(ImportError::Stopped(Fault::Internal)),
            Err(fault) => tracing::warn!(%fault, retry_in_ms = wait.as_millis(), "the import waits"),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
    ask().await.map_err(ImportError::Stopped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test]
    async fn a_busy_shop_is_asked_again_and_a_broken_one_is_not() {
        let asked = Cell::new(0);
        let answer = patiently(|| {
            asked.set(asked.get() + 1);
            std::future::ready(if asked.get() < 3 { Err(Fault::Busy) } else { Ok(asked.get()) })
        });
        assert_eq!(answer.await.unwrap(), 3);

        asked.set(0);
        let answer = patiently(|| {
            asked.set(asked.get() + 1);
            std::future::ready(Err::<(), _>(Fault::Internal))
        });
        assert!(matches!(answer.await, Err(ImportError::Stopped(Fault::Internal))));
        assert_eq!(asked.get(), 1);
    }
}
