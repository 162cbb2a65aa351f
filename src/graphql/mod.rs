//! GraphQL: translation and nothing else. Mutations see the face of the command side, everything else sees the face of the query
//! side, and no resolver sees a store or a driver.

mod context;
mod documents;
mod error;
mod guard;
mod mutation;
mod nulls;
mod payload;
mod query;
mod scalars;
mod shape;
mod subscription;
mod types;

pub use context::{Caller, Limits, PayloadWait};
pub use documents::Documents;
pub use error::ErrorCode;
pub use mutation::{Rebuilds, Writer};

use crate::query::Reader;
use async_graphql::Schema;

/// The executable schema.
pub type OrderflowSchema = Schema<query::QueryRoot, mutation::MutationRoot, subscription::SubscriptionRoot>;

/// Builds the schema over both sides.
pub fn schema(writer: Writer, rebuilds: Rebuilds, reader: Reader, limits: &Limits) -> OrderflowSchema {
    let mut builder = builder()
        .data(writer)
        .data(rebuilds)
        .data(reader)
        .data(limits.payload_wait)
        // The library's own check, for what the guard lets pass.
        .limit_recursive_depth(64)
        .extension(guard::Guard(limits.clone()))
        .extension(shape::InShape);
    if !limits.introspection {
        // Suggestions would give the schema away word by word.
        builder = builder.disable_introspection().disable_suggestions();
    }
    builder.finish()
}

fn builder() -> async_graphql::SchemaBuilder<query::QueryRoot, mutation::MutationRoot, subscription::SubscriptionRoot> {
    Schema::build(query::QueryRoot, mutation::MutationRoot::default(), subscription::SubscriptionRoot)
        // Reached through the interface only.
        .register_output_type::<types::Node>()
}

/// The schema definition, as it stands in `schema.graphql`.
pub fn sdl() -> String {
    let options =
        async_graphql::SDLExportOptions::new().sorted_fields().sorted_arguments().sorted_enum_items().include_specified_by();
    builder().finish().sdl_with_options(options)
}
