//! From the text of a document to its answer.
//!
//! async-graphql executes; it does not decide what is asked. A document is parsed and validated by apollo-compiler, its variables
//! are coerced to their types, and what is left after fragments are merged, directives are decided and variables have their
//! values (`CollectFields` of the specification, done ahead) is handed over: the simplest document that asks the same. So
//! whatever the library does not do as specified with fragments, directives, variables and defaults cannot be reached, and the
//! cost of an operation is counted on just what will be executed.
//!
//! (Seen in async-graphql 7.2.1 and avoided here: a mutation selected in two fragments runs twice; a variable left out hides the
//! default of its argument; a subscription in a fragment ends silently; limits walk into fragments as often as they are spread.)

mod collect;
mod document;
mod repair;
mod variables;

use super::{Caller, ErrorCode, Limits, OrderflowSchema, resume::Reader};
use apollo_compiler::{Schema, ast, validation::Valid};
use async_graphql::{
    Request, Response, ServerError, Value,
    parser::types::{ExecutableDocument, Selection},
};
use collect::Collector;
use document::{Document, Known};
use futures_util::{Stream, StreamExt, stream};
use repair::Shape;
use serde_json::Map;
use std::{fmt, sync::Arc};

/// What a client sends.
#[derive(Debug, Default)]
pub struct Question {
    pub text: String,
    pub operation_name: Option<String>,
    pub variables: Map<String, serde_json::Value>,
}

/// Executes operations. Cheap to clone.
#[derive(Clone)]
pub struct Executor(Arc<Inner>);

struct Inner {
    schema: OrderflowSchema,
    /// The same schema, as the validator reads it.
    types: Valid<Schema>,
    limits: Limits,
    known: Known,
}

/// An operation that keeps every rule and limit, ready to be executed.
pub struct Prepared {
    pub kind: OperationKind,
    document: ExecutableDocument,
    shape: Shape,
    cost: u64,
    /// Whom resolvers tell how far the operation has come, if somebody listens.
    reader: Option<Arc<Reader>>,
}

impl Prepared {
    /// What a subscription follows: its only field, as the schema names it.
    pub fn follows(&self) -> Option<&str> {
        if self.kind != OperationKind::Subscription {
            return None;
        }
        let (_, operation) = self.document.operations.iter().next()?;
        let field = operation.node.selection_set.node.items.first()?;
        if let Selection::Field(field) = &field.node { Some(field.node.name.node.as_str()) } else { None }
    }

    pub fn tell(&mut self, reader: Arc<Reader>) {
        self.reader = Some(reader);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationKind {
    Query,
    Mutation,
    Subscription,
}

/// The definition of the schema has errors; a bug.
#[derive(Debug, thiserror::Error)]
#[error("the schema is not valid: {0}")]
pub struct BadSchema(String);

impl Executor {
    /// # Errors
    /// The schema's own definition cannot be read back.
    pub fn new(schema: OrderflowSchema, sdl: &str, limits: Limits) -> Result<Self, BadSchema> {
        let types = Schema::parse_and_validate(sdl, "schema.graphql").map_err(|found| BadSchema(found.errors.to_string()))?;
        Ok(Self(Arc::new(Inner { schema, types, limits, known: Known::default() })))
    }

    /// Checks a question.
    ///
    /// # Errors
    /// All that is wrong with the document (up to a bound), or the first limit that it breaks.
    pub fn prepare(&self, question: &Question) -> Result<Prepared, Vec<ServerError>> {
        let Inner { types, limits, known, .. } = &*self.0;
        let document = match known.get(&question.text) {
            Some(document) => document,
            None => known.put(Document::read(types, &question.text, limits)?),
        };
        let operation = document.operation(question.operation_name.as_deref())?;
        let variables = variables::coerce(types, &document, operation, &question.variables, limits)?;
        let kind = match operation.operation_type {
            ast::OperationType::Query => OperationKind::Query,
            ast::OperationType::Mutation => OperationKind::Mutation,
            ast::OperationType::Subscription => OperationKind::Subscription,
        };
        let collected = Collector::new(types, &document.0, &variables, limits).operation(operation)?;
        Ok(Prepared { kind, document: collected.document, shape: collected.shape, cost: collected.cost, reader: None })
    }

    /// Executes a query or a mutation.
    pub async fn execute(&self, prepared: Prepared, caller: Caller) -> Response {
        let Prepared { document, shape, cost, .. } = prepared;
        let response = self.0.schema.execute(request(document, caller)).await;
        self.finish(response, &shape, cost)
    }

    /// Executes any operation; a subscription has as many answers as there is news.
    pub fn stream(&self, prepared: Prepared, caller: Caller) -> impl Stream<Item = Response> + Send + use<> {
        let this = self.clone();
        if prepared.kind != OperationKind::Subscription {
            return stream::once(async move { this.execute(prepared, caller).await }).right_stream();
        }
        let Prepared { document, shape, cost, reader, .. } = prepared;
        let request = request(document, caller);
        let request = if let Some(reader) = reader { request.data(reader) } else { request };
        let answers = self.0.schema.execute_stream(request);
        answers.map(move |response| this.finish(response, &shape, cost)).left_stream()
    }

    fn finish(&self, mut response: Response, shape: &Shape, cost: u64) -> Response {
        repair::repair(shape, &mut response);
        let limit = self.0.limits.cost;
        let cost = async_graphql::value!({ "requested": cost, "limit": limit, "remaining": limit.saturating_sub(cost) });
        response.extensions.insert("cost".into(), cost);
        response
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Executor(…)")
    }
}

fn request(document: ExecutableDocument, caller: Caller) -> Request {
    let mut request = Request::new(String::new()).data(caller);
    request.set_parsed_query(document);
    request
}

/// Whether an answer says that the operation was never executed. What goes wrong in execution has a path.
pub fn never_executed(response: &Response) -> bool {
    response.data == Value::Null && response.is_err() && response.errors.iter().all(|error| error.path.is_empty())
}

/// A limit and what breaks it.
fn too_much(what: &str, unit: &str, has: impl fmt::Display, may: u64) -> ServerError {
    let mut error = ServerError::new(format!("The operation has {has} {unit}; it may have {may}."), None);
    error.extensions.get_or_insert_default().set("code", format!("{}_{what}", ErrorCode::TooMuch.name()));
    error
}

#[cfg(test)]
mod tests;
