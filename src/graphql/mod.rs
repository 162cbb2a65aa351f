//! GraphQL: translation and nothing else. Mutations see the face of the command side, everything else sees the face of the query
//! side, and no resolver sees a store or a driver.

mod context;
mod documents;
mod error;
mod executor;
mod mutation;
mod payload;
mod query;
mod resume;
mod scalars;
mod subscription;
mod types;

pub use context::{Caller, Limits, PayloadWait};
pub use documents::Documents;
pub use error::ErrorCode;
pub use executor::{BadSchema, Executor, OperationKind, Prepared, Question, never_executed};
pub use mutation::{Rebuilds, Writer};
pub use resume::Places;

use crate::query::Reader;
use async_graphql::{Schema, ValidationMode};

/// The schema with its resolvers.
type OrderflowSchema = Schema<query::QueryRoot, mutation::MutationRoot, subscription::SubscriptionRoot>;

/// What executes operations over both sides.
///
/// # Errors
/// The schema's own definition cannot be read back: a bug.
pub fn executor(writer: Writer, rebuilds: Rebuilds, reader: Reader, limits: &Limits) -> Result<Executor, BadSchema> {
    let mut builder = builder()
        .data(writer)
        .data(rebuilds)
        .data(reader)
        .data(limits.payload_wait)
        // The executor validates and limits; this stands above its limit of depth.
        .validation_mode(ValidationMode::Fast)
        .limit_recursive_depth(256);
    if !limits.introspection {
        builder = builder.disable_introspection();
    }
    Executor::new(builder.finish(), &sdl(), limits.clone())
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
