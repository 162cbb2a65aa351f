//! The orders of a step: each document and row against the fold of its stream, and what each adds to its customer's summary, to
//! the sales, and to the balance of stock.

use super::{
    Accounts, Report, Verifier, VerifyError,
    check::tracks,
    scene::{BookTrack, Scene},
};
use crate::{
    command::Recorded,
    difference::Difference,
    event::Stream,
    query::audit::{CustomerFold, Discards, OrderFold, add, places, version_of},
    value::{OrderId, UserId},
};
use serde_json::Value;
use std::collections::HashMap;
use uuid::Uuid;

/// Orders whose documents are held together: of the usual size some 5 KB each, of the largest some 300 KB.
const GROUP: usize = 100;

/// An order on its way through the log.
struct Track {
    id: OrderId,
    /// The customer; of an order that came while we looked, once an event has said so.
    key: Option<Uuid>,
    /// The versions of the log when the step began, of the document at the glance, and of the document that is compared.
    head: i64,
    glance: i64,
    document: Option<Value>,
    fold: OrderFold,
    /// The fold at the document's version.
    then: Option<OrderFold>,
    book: BookTrack,
}

impl Track {
    fn step(
        &mut self,
        recorded: &Recorded,
        customers: &mut HashMap<UserId, CustomerFold>,
        accounts: Option<&mut Accounts>,
        discards: &Discards,
    ) {
        let (sales, balance) = accounts.map(|accounts| (&mut accounts.sales, &mut accounts.balance)).unzip();
        let envelope = self.book.step(recorded, balance);
        if let Ok(envelope) = &envelope {
            self.key = Some(envelope.meta.partition_key);
        }
        if let Some(tallied) = self.fold.step((recorded.stream, recorded.version), envelope, discards) {
            if let Some(customer) = self.key.and_then(|key| customers.get_mut(&UserId(key))) {
                if recorded.version <= self.glance {
                    tallied.count(&mut customer.seen);
                }
                if recorded.version <= self.head {
                    tallied.count(&mut customer.all);
                }
            }
            if let Some(sales) = sales.filter(|_| recorded.version <= self.head) {
                let (hour, currency, more) = tallied.sold();
                add(sales, hour, currency, more);
            }
        }
        if recorded.version == version_of(self.document.as_ref(), "version") {
            self.then = Some(self.fold.clone());
        }
    }
}

impl Verifier {
    pub(super) async fn check_orders(
        &self,
        scene: &mut Scene,
        report: &mut Report,
        mut accounts: Option<&mut Accounts>,
    ) -> Result<(), VerifyError> {
        // Those that have come since the step began count in their customer's summary too. What the log does not have at all is
        // found by the walk over all documents.
        let fresh: Vec<Stream> =
            scene.glance.orders.keys().map(|id| Stream::Order(*id)).filter(|stream| scene.head(*stream) == 0).collect();
        let fresh = if fresh.is_empty() { HashMap::new() } else { self.log.heads(&fresh).await? };
        scene.heads.extend(&fresh);
        let mut orders: Vec<OrderId> = Vec::new();
        orders.extend(scene.heads.keys().filter_map(|stream| if let Stream::Order(id) = stream { Some(*id) } else { None }));
        orders.sort_unstable();
        for group in orders.chunks(GROUP) {
            self.check_group(group, scene, report, accounts.as_deref_mut()).await?;
        }
        Ok(())
    }

    async fn check_group(
        &self,
        ids: &[OrderId],
        scene: &mut Scene,
        report: &mut Report,
        mut accounts: Option<&mut Accounts>,
    ) -> Result<(), VerifyError> {
        let mut documents = self.audit.orders(ids).await?;
        let streams: Vec<Stream> = ids.iter().map(|id| Stream::Order(*id)).collect();
        let version = |stream: Stream| match stream {
            Stream::Order(id) => version_of(documents.get(&id), "version"),
            _ => 0,
        };
        let mut staged = self.stage(scene, &streams, version).await?;
        let stretches = staged.stretches();
        let mut books = tracks(&streams, &mut staged);
        let mut group: HashMap<Stream, Track> = HashMap::with_capacity(ids.len());
        for (id, stream) in ids.iter().zip(&streams) {
            let Some(book) = books.remove(stream) else { continue };
            let track = Track {
                id: *id,
                key: scene.keys.get(stream).copied(),
                head: scene.head(*stream),
                glance: scene.glance.version(*stream),
                document: documents.remove(id),
                fold: OrderFold::default(),
                then: None,
                book,
            };
            group.insert(*stream, track);
        }
        let (customers, discards) = (&mut scene.customers, &self.discards);
        report.events += self
            .each(stretches, |recorded| {
                if let Some(track) = group.get_mut(&recorded.stream) {
                    track.step(recorded, customers, accounts.as_deref_mut(), discards);
                }
            })
            .await?;
        for stream in &streams {
            if let Some(track) = group.remove(stream) {
                finish(*stream, &track, scene);
            }
        }
        report.compared("postgresql.orders", ids.len() as u64);
        report.compared(places::ORDERS, ids.len() as u64);
        Ok(())
    }
}

fn finish(stream: Stream, track: &Track, scene: &mut Scene) {
    // One that came while we looked, and of which not one event can be read.
    let key = track.key.unwrap_or(track.id.0);
    let have = version_of(track.document.as_ref(), "version");
    scene.expect(key, stream, have);
    scene.compare_row(key, stream, &track.book);
    let Some(document) = &track.document else { return };
    let known = scene.known(stream);
    if have > known {
        scene.wrong(key, [Difference::new(places::ORDERS, track.id, "version", Some(known.into()), Some(have.into()))]);
        return;
    }
    let id = UserId(key);
    let least = scene.glance.version(Stream::User(id));
    let nobody = CustomerFold::new(id);
    let customer = scene.customers.get(&id).unwrap_or(&nobody);
    let nothing = OrderFold::default();
    let differences = track.then.as_ref().unwrap_or(&nothing).differences(track.id, document, customer, least);
    scene.wrong(key, differences);
}
