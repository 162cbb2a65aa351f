//! The first write model: state, log, outbox and command outcomes.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

/// Written as SQL because half of it (the trigger, the sequence, the storage options) has no other form.
const UP: &str = r"
CREATE TABLE users (
    id uuid PRIMARY KEY,
    version bigint NOT NULL CHECK (version > 0),
    email text NOT NULL,
    -- The lower-case form, in which an address is unique.
    email_folded text NOT NULL CONSTRAINT users_email_taken UNIQUE,
    display_name text NOT NULL,
    role text NOT NULL
);

CREATE TABLE products (
    id uuid PRIMARY KEY,
    version bigint NOT NULL CHECK (version > 0),
    sku text NOT NULL CONSTRAINT products_sku_taken UNIQUE,
    name text NOT NULL,
    description text,
    price_minor bigint NOT NULL CHECK (price_minor >= 0),
    currency text NOT NULL,
    active boolean NOT NULL
);

-- Beside products, not in it: every order moves it, and orders must not queue on the product's version.
-- Rows change all the time, so pages keep room for updates in place.
CREATE TABLE stock (
    product_id uuid PRIMARY KEY REFERENCES products (id),
    version bigint NOT NULL CHECK (version >= 0),
    available bigint NOT NULL CONSTRAINT stock_never_negative CHECK (available >= 0),
    units_sold bigint NOT NULL
) WITH (fillfactor = 70);

CREATE SEQUENCE order_number START 1001;

CREATE TABLE orders (
    id uuid PRIMARY KEY,
    version bigint NOT NULL CHECK (version > 0),
    number bigint NOT NULL UNIQUE,
    customer_id uuid NOT NULL REFERENCES users (id),
    status text NOT NULL,
    state jsonb NOT NULL
) WITH (fillfactor = 85);

-- For a customer's orders: an import looks for the latest that still has goods to take back.
CREATE INDEX orders_by_customer ON orders (customer_id);

-- The event log. Positions are handed out before commit, so a lower one can appear after a higher one: nothing may read the log
-- by 'position greater than the last'. What is still to be published stands in outbox.
CREATE TABLE event_log (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL,
    stream_kind text NOT NULL,
    stream_id uuid NOT NULL,
    version bigint NOT NULL CHECK (version > 0),
    kind text NOT NULL,
    recorded_at timestamptz NOT NULL,
    actor text NOT NULL,
    command_id text NOT NULL,
    traceparent text,
    partition_key uuid NOT NULL,
    stock_marks jsonb NOT NULL,
    data jsonb NOT NULL,
    CONSTRAINT event_log_one_version UNIQUE (stream_id, stream_kind, version)
);

CREATE FUNCTION event_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the event log is append-only';
END $$;

CREATE TRIGGER event_log_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON event_log
    FOR EACH STATEMENT EXECUTE FUNCTION event_log_is_append_only();

-- Positions not yet confirmed by the broker. Rows live for milliseconds: vacuum must come by often, and it must stay small.
CREATE TABLE outbox (
    position bigint PRIMARY KEY REFERENCES event_log (position),
    shard integer NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

-- What became of each command, scoped to its actor: the same id again gets the same answer.
CREATE TABLE commands (
    actor text NOT NULL,
    command_id text NOT NULL,
    fingerprint bytea NOT NULL,
    outcome jsonb NOT NULL,
    decided_at timestamptz NOT NULL,
    PRIMARY KEY (actor, command_id)
);

-- For forgetting old ones. Rows arrive in the order of time, so ranges of blocks are all it takes.
CREATE INDEX commands_by_age ON commands USING brin (decided_at);
";

const DOWN: &str = r"
DROP TABLE commands, outbox, event_log, orders, stock, products, users;
DROP SEQUENCE order_number;
DROP FUNCTION event_log_is_append_only;
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(UP).await.map(|_| ())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(DOWN).await.map(|_| ())
    }
}
