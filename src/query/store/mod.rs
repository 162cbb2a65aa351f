//! MongoDB. Only the read side reaches this module.

mod generations;
mod indexes;
mod live;
mod orphans;
mod patience;
mod registry;
mod transaction;

pub use generations::{Generation, Registry};
pub use live::GOOD_FOR;
pub(super) use patience::{ANSWER, SERVER, answer, within};
pub(super) use transaction::{Bulk, Spoilt, transact};

use mongodb::{
    Client, Collection, Database,
    bson::{Document, doc},
    options::{Acknowledgment, ClientOptions, ReadConcern, SelectionCriteria, WriteConcern},
};
use std::{sync::Arc, time::Duration};

/// The name under which the server knows us.
const APP: &str = "orderflow";

/// What went wrong with MongoDB, for the log.
pub type StoreError = mongodb::error::Error;

/// The read model, or with [`Store::of`] one generation of it.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) client: Client,
    pub(super) database: Database,
    /// Whose views these are; nothing for those of whichever is live.
    generation: Option<i32>,
    /// What this process knows of the registry. Shared by all clones.
    known: Arc<live::Known>,
}

/// The collections of the read model. The views, from orders to the waiting room, are each generation's own; what
/// subscriptions are fed from, and what says which generation is live, is shared.
pub(super) mod names {
    pub const ORDERS: &str = "orders";
    pub const USERS: &str = "users";
    pub const PRODUCTS: &str = "products";
    pub const SALES: &str = "sales";
    /// See `store::registry` and `rebuild::job`.
    pub const GENERATIONS: &str = "generations";
    /// See `projector::guard`.
    pub const GUARDS: &str = "guards";
    /// See `view::Change`.
    pub const CHANGES: &str = "changes";
    /// The number of the newest change of each partition.
    pub const POSITIONS: &str = "positions";
    /// Events that cannot be applied yet: they came early, or something is wrong with them or with an earlier one of their
    /// stream.
    pub const WAITING: &str = "waiting";
    /// The streams that stand still: one document each, see `projector::parking`.
    pub const PARKED: &str = "parked";
    /// Events that an operator has set aside. All generations honour it, and it outlives rebuilds, see `projector::skip`.
    pub const DISCARDS: &str = "discards";

    /// Those of which every generation has its own.
    pub const VIEWS: [&str; 6] = [ORDERS, USERS, PRODUCTS, SALES, WAITING, PARKED];
}

impl Store {
    /// Opens a pool of at most `connections`. The database is the one named in the address, else `orderflow`.
    ///
    /// # Errors
    /// The address is not one. That the server answers is found out by the first use.
    pub async fn connect(uri: &str, connections: u32) -> Result<Self, StoreError> {
        let mut options = ClientOptions::parse(uri).await?;
        options.app_name = Some(APP.into());
        options.max_pool_size = Some(connections.max(1));
        options.server_selection_timeout = Some(Duration::from_secs(3));
        options.connect_timeout = Some(Duration::from_secs(3));
        // A server that has gone silent is found out after this and the time for connecting, and its connections are ended.
        options.heartbeat_freq = Some(Duration::from_secs(2));
        // Routers forget connections on which nothing comes; five minutes is less than any of them allows.
        options.max_idle_time = Some(Duration::from_secs(300));
        // What is acknowledged survives the loss of a minority of members, and what is read cannot be rolled back.
        options.write_concern = Some(majority());
        options.read_concern = Some(ReadConcern::majority());
        // The primary: a receipt says what has been applied there, and a secondary may be behind.
        options.selection_criteria = Some(SelectionCriteria::ReadPreference(mongodb::options::ReadPreference::Primary));
        let name = options.default_database.clone().unwrap_or_else(|| "orderflow".into());
        let client = Client::with_options(options)?;
        let database = client.database(&name);
        Ok(Self { client, database, generation: None, known: Arc::default() })
    }

    pub(super) fn collection<T: Send + Sync>(&self, name: &str) -> Collection<T> {
        self.database.collection(&self.named(name))
    }

    /// Makes collections and indexes, of all generations that there are. Safe to run twice and by several processes at once.
    ///
    /// # Errors
    /// The driver's.
    pub async fn migrate(&self, keep_changes: Duration, fold: i32) -> Result<(), StoreError> {
        // A read model from before there were generations has been written by the first fold.
        let known = self.database.list_collection_names().await?;
        self.register(if known.iter().any(|name| name == names::ORDERS) { 1 } else { fold }).await?;
        indexes::ensure_shared(self, keep_changes).await?;
        for generation in self.look().await?.ids() {
            self.of(generation).make_views().await?;
        }
        Ok(())
    }

    /// Makes the collections of this generation's views, with no more indexes than it takes to fill them.
    ///
    /// # Errors
    /// The driver's.
    pub(super) async fn make_bare_views(&self) -> Result<(), StoreError> {
        indexes::ensure_bare(self).await
    }

    /// Makes the collections and indexes of this generation's views.
    ///
    /// # Errors
    /// The driver's.
    pub(super) async fn make_views(&self) -> Result<(), StoreError> {
        indexes::ensure_views(self).await
    }

    /// Applies how long changes are kept, which is all of the schema that is a setting. Of several processes with different ones,
    /// the one that was started last counts.
    ///
    /// # Errors
    /// The driver's.
    pub async fn keep_changes(&self, keep: Duration) -> Result<(), StoreError> {
        answer(indexes::expire_changes(self, keep)).await
    }

    /// What the server says of itself, for `doctor`: its version, the replica set's name if it is one, and whether it is
    /// writable.
    ///
    /// # Errors
    /// The driver's.
    pub async fn check(&self) -> Result<(String, Option<String>, bool), StoreError> {
        let build = self.database.run_command(doc! { "buildInfo": 1 }).await?;
        let hello: Document = self.database.run_command(doc! { "hello": 1 }).await?;
        Ok((
            build.get_str("version").unwrap_or("unknown").to_owned(),
            hello.get_str("setName").ok().map(str::to_owned),
            hello.get_bool("isWritablePrimary").unwrap_or(false),
        ))
    }

    /// How long the server leaves a transaction open whose client has died; nothing where we may not ask.
    pub async fn transaction_lifetime(&self) -> Option<Duration> {
        const NAME: &str = "transactionLifetimeLimitSeconds";
        let answer = self.client.database("admin").run_command(doc! { "getParameter": 1, NAME: 1 }).await.ok()?;
        let seconds = answer.get_i32(NAME).ok()?;
        u64::try_from(seconds).ok().map(Duration::from_secs)
    }

    /// Whether the server answers.
    ///
    /// # Errors
    /// The driver's.
    pub async fn ping(&self) -> Result<(), StoreError> {
        answer(self.database.run_command(doc! { "ping": 1 })).await.map(|_| ())
    }
}

pub(super) fn majority() -> WriteConcern {
    WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build()
}
