//! One step: some customers with their orders, some products with their stock, documents and rows against the fold of the log.
//!
//! The rule by which a summary is exact while orders come in: the user's document is read in one transaction with the versions of
//! all orders of that user, and it must say what the folds of these orders up to just these versions add up to. (Or what the
//! whole log adds up to, which is right by definition: an order whose document is missing counts there all the same.)

use super::{
    Accounts, Report, Verifier, VerifyError,
    scene::{BookTrack, Found, Scene, Staged},
};
use crate::{
    command::{Head, Stretch},
    event::{Envelope, Stream},
    query::audit::{Asked, CustomerFold, ProductFold, places, version_of},
    value::{ProductId, UserId},
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// Customers or products whose streams are folded together.
const GROUP: usize = 200;

impl Verifier {
    /// Compares everything of these keys. `heads` are all their streams, and what is behind is measured by them.
    pub(super) async fn check(
        &self,
        heads: &[Head],
        report: &mut Report,
        mut accounts: Option<&mut Accounts>,
    ) -> Result<BTreeMap<Uuid, Found>, VerifyError> {
        let (mut users, mut products) = (BTreeSet::new(), BTreeSet::new());
        for head in heads {
            match head.stream {
                Stream::User(_) | Stream::Order(_) => users.insert(UserId(head.partition_key)),
                Stream::Product(_) | Stream::Stock(_) => products.insert(ProductId(head.partition_key)),
            };
        }
        let (users, products): (Vec<_>, Vec<_>) = (users.into_iter().collect(), products.into_iter().collect());
        let asked = Asked {
            users: users.clone(),
            products: products.clone(),
            heads: heads.iter().map(|head| (head.stream, head.version)).collect(),
        };
        let mut scene = Scene::new(heads, self.audit.glance(asked).await?);
        for group in users.chunks(GROUP) {
            self.fold_customers(group, &mut scene, report).await?;
        }
        self.check_orders(&mut scene, report, accounts.as_deref_mut()).await?;
        for id in users {
            compare_customer(id, &mut scene);
        }
        for group in products.chunks(GROUP) {
            self.check_products(group, &mut scene, report, accounts.as_deref_mut()).await?;
        }
        Ok(scene.into_found())
    }

    /// The customers' own events: their orders need every name that they have had.
    async fn fold_customers(&self, ids: &[UserId], scene: &mut Scene, report: &mut Report) -> Result<(), VerifyError> {
        let streams: Vec<Stream> = ids.iter().map(|id| Stream::User(*id)).collect();
        let mut staged = self.stage(scene, &streams, |_| 0).await?;
        let mut books = tracks(&streams, &mut staged);
        let mut customers: HashMap<Stream, CustomerFold> =
            ids.iter().map(|id| (Stream::User(*id), CustomerFold::new(*id))).collect();
        report.events += self
            .each(staged.stretches(), |recorded| {
                let (Some(book), Some(customer)) = (books.get_mut(&recorded.stream), customers.get_mut(&recorded.stream)) else {
                    return;
                };
                customer.step((recorded.stream, recorded.version), book.step(recorded, None), &self.discards);
            })
            .await?;
        for (id, stream) in ids.iter().zip(&streams) {
            if scene.known(*stream) > 0 {
                scene.expect(id.0, *stream, scene.glance.version(*stream));
                if let Some(book) = books.get(stream) {
                    scene.compare_row(id.0, *stream, book);
                }
            }
            if let Some(customer) = customers.remove(stream) {
                scene.customers.insert(*id, customer);
            }
        }
        report.compared("postgresql.users", ids.len() as u64);
        report.compared(places::USERS, ids.len() as u64);
        Ok(())
    }

    async fn check_products(
        &self,
        ids: &[ProductId],
        scene: &mut Scene,
        report: &mut Report,
        accounts: Option<&mut Accounts>,
    ) -> Result<(), VerifyError> {
        let streams: Vec<Stream> = ids.iter().flat_map(|id| [Stream::Product(*id), Stream::Stock(*id)]).collect();
        let mut staged = self.stage(scene, &streams, |_| 0).await?;
        let stretches = of_products(scene, &staged);
        let mut books = tracks(&streams, &mut staged);
        let mut folds: HashMap<ProductId, ProductFold> = HashMap::new();
        let mut levels: HashMap<(ProductId, i64), Envelope> = HashMap::new();
        let documents: HashMap<ProductId, (i64, Value)> = ids
            .iter()
            .filter_map(|id| {
                let document = scene.glance.products.get(id)?;
                Some((*id, (version_of(Some(document), "version"), document.clone())))
            })
            .collect();
        let mut balance = accounts.map(|accounts| &mut accounts.balance);
        report.events += self
            .each(stretches, |recorded| {
                let Some(book) = books.get_mut(&recorded.stream) else { return };
                let envelope = book.step(recorded, balance.as_deref_mut());
                let place = (recorded.stream, recorded.version);
                match recorded.stream {
                    // Up to the document's version: the row's may be later.
                    Stream::Product(id) if documents.get(&id).is_some_and(|(version, _)| recorded.version <= *version) => {
                        folds.entry(id).or_insert_with(|| ProductFold::new(id)).step(place, envelope, &self.discards);
                    }
                    Stream::Stock(id) => {
                        levels.extend(envelope.ok().map(|level| ((id, recorded.version), level.clone())));
                    }
                    _ => {}
                }
            })
            .await?;
        for stream in &streams {
            if scene.known(*stream) > 0 {
                scene.expect(stream.uuid(), *stream, scene.glance.version(*stream));
                if let Some(book) = books.get(stream) {
                    scene.compare_row(stream.uuid(), *stream, book);
                }
            }
        }
        for (id, (_, document)) in documents {
            let fold = folds.remove(&id).unwrap_or_else(|| ProductFold::new(id));
            self.compare_product(id, &document, &fold, &levels, scene).await?;
        }
        report.compared("postgresql.products", ids.len() as u64);
        report.compared("postgresql.stock", ids.len() as u64);
        report.compared(places::PRODUCTS, ids.len() as u64);
        Ok(())
    }

    async fn compare_product(
        &self,
        id: ProductId,
        document: &Value,
        fold: &ProductFold,
        levels: &HashMap<(ProductId, i64), Envelope>,
        scene: &mut Scene,
    ) -> Result<(), VerifyError> {
        let stream = Stream::Stock(id);
        let version = version_of(Some(document), "stockVersion");
        if version > scene.known(stream) {
            let (known, found) = (scene.known(stream).into(), version.into());
            scene.wrong(
                id.0,
                [crate::difference::Difference::new(places::PRODUCTS, id, "stockVersion", Some(known), Some(found))],
            );
            return Ok(());
        }
        let level = levels.get(&(id, version));
        let mut differences = fold.differences(document, level, None);
        if level.is_some() && differences.iter().any(|difference| difference.path == "updatedAt") {
            // Perhaps an earlier level came from a machine whose clock is ahead. All of them are only read when it matters.
            let mut newest = None;
            let all = Stretch { stream, after: 0, until: version };
            self.each(vec![all], |recorded| {
                let at = recorded.envelope.as_ref().ok().map(|envelope| envelope.meta.recorded_at);
                newest = newest.max(at);
            })
            .await?;
            differences = fold.differences(document, level, newest);
        }
        scene.wrong(id.0, differences);
        Ok(())
    }
}

/// A customer's document, when all orders have been added up.
fn compare_customer(id: UserId, scene: &mut Scene) {
    let Some(customer) = scene.customers.get(&id) else { return };
    let document = scene.glance.users.get(&id);
    // A missing document of a user whom the log knows is told as behind.
    if document.is_some() || scene.head(Stream::User(id)) == 0 {
        let differences = customer.differences(document);
        scene.wrong(id.0, differences);
    }
}

/// Products from their beginning. Of stock only the levels that somebody has: they are absolute.
fn of_products(scene: &Scene, staged: &Staged) -> Vec<Stretch> {
    let mut stretches = Vec::new();
    for stretch in staged.stretches() {
        if !matches!(stretch.stream, Stream::Stock(_)) {
            stretches.push(stretch);
            continue;
        }
        let row = staged.rows.get(&stretch.stream).map_or(0, |row| row.version);
        let wanted = BTreeSet::from([row, scene.glance.version(stretch.stream)]);
        let there = wanted.into_iter().filter(|version| (1..=scene.known(stretch.stream)).contains(version));
        stretches.extend(there.map(|version| Stretch { after: version - 1, until: version, ..stretch }));
    }
    stretches
}

pub(super) fn tracks(streams: &[Stream], staged: &mut Staged) -> HashMap<Stream, BookTrack> {
    streams.iter().map(|stream| (*stream, BookTrack::new(*stream, staged.rows.remove(stream)))).collect()
}
