//! What PostgreSQL holds: the truth that answers are compared with.

use super::TestApp;
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement};

impl TestApp {
    async fn row(&self, sql: &str) -> QueryResult {
        let ledger = self.ledger.get_or_init(|| self.postgres()).await;
        let row = ledger.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await;
        row.unwrap_or_else(|e| panic!("{sql}: {e}")).expect("a row")
    }

    /// The one number that a statement gives.
    pub async fn number(&self, sql: &str) -> i64 {
        self.row(sql).await.try_get_by_index(0).unwrap_or_else(|e| panic!("{sql}: {e}"))
    }

    /// A print of everything the write side knows, but for what became of each command.
    pub async fn state(&self) -> String {
        let asked = "(SELECT actor, command_id FROM rebuild_requests)";
        let tables = ["users", "products", "stock", "orders", "event_log", asked];
        let prints = tables.map(|name| format!("(SELECT string_agg(t::text, '|' ORDER BY t::text) FROM {name} t)"));
        self.row(&format!("SELECT md5(concat_ws('#', {}))", prints.join(", "))).await.try_get_by_index(0).expect("a text")
    }

    /// How many things have ever happened in this shop.
    pub async fn events(&self) -> i64 {
        self.number("SELECT count(*) FROM event_log").await
    }

    pub async fn orders(&self) -> i64 {
        self.number("SELECT count(*) FROM orders").await
    }

    /// Units of a product that are free to order, as the write side has it.
    pub async fn free(&self, product: &str) -> i64 {
        self.number(&format!("SELECT available FROM stock WHERE product_id = '{}'", uuid_of(product))).await
    }

    /// Streams in whose history a version is missing, or there twice.
    pub async fn broken_streams(&self) -> i64 {
        let versions = "SELECT count(*) n, min(version) first, max(version) last FROM event_log GROUP BY stream_kind, stream_id";
        self.number(&format!("SELECT count(*) FROM ({versions}) streams WHERE first <> 1 OR last <> n")).await
    }
}

/// The id as PostgreSQL has it: without the word that says what it is.
pub fn uuid_of(id: &str) -> &str {
    id.split_once('_').expect("an id says what it is").1
}
