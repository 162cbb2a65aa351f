//! Documents: read, validated, and remembered.

use super::{super::Limits, ErrorCode, too_much};
use apollo_compiler::{
    ExecutableDocument, Node, Schema,
    ast::{Definition, Directive, Selection, Value},
    executable::Operation,
    introspection,
    parser::Parser,
    response::GraphQLError,
    schema::ExtendedType,
    validation::{DiagnosticList, Valid},
};
use async_graphql::{Pos, ServerError};
use lru::LruCache;
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

/// How deep values and selections may nest for the parser: above what the limit of depth can be set to.
const NESTING: usize = 300;
/// Errors told of one document; the rest is counted.
const ERRORS: usize = 10;
/// Characters of one error. Messages of the validator repeat what they complain about.
const MESSAGE: usize = 300;

/// A document that is valid in this schema, and within the limits that do not depend on variables.
pub struct Document(pub Valid<ExecutableDocument>, Arc<str>);

impl Document {
    /// # Errors
    /// It cannot be parsed, is not valid, or breaks a limit.
    pub fn read(types: &Valid<Schema>, text: &str, limits: &Limits) -> Result<Self, Vec<ServerError>> {
        let mut parser = Parser::new().recursion_limit(NESTING).token_limit(limits.tokens);
        let parsed = parser.parse_ast(text, "document");
        if parser.tokens_reached() > limits.tokens {
            return Err(vec![too_much("TOKENS", "tokens or more", limits.tokens + 1, limits.tokens as u64)]);
        }
        let parsed = parsed.map_err(|found| told(&found.errors, ErrorCode::ParseFailed))?;
        count(&parsed.definitions, limits).map_err(|error| vec![error])?;
        let invalid = |found: &DiagnosticList| {
            let mut errors = told(found, ErrorCode::ValidationFailed);
            // Where the schema may not be asked for, it is not told word by word either.
            for error in errors.iter_mut().filter(|_| limits.introspection) {
                suggest(types, &mut error.message);
            }
            errors
        };
        // In two steps: where a field does not exist, the second would also say that nothing is selected in its place.
        let document = parsed.to_executable(types).map_err(|found| invalid(&found.errors))?;
        let document = document.validate(types).map_err(|found| invalid(&found.errors))?;
        for operation in document.operations.iter() {
            if operation.root_fields(&document).any(|field| matches!(field.name.as_str(), "__schema" | "__type")) {
                if !limits.introspection {
                    return Err(vec![ErrorCode::ValidationFailed.server_error("This server does not tell its schema.")]);
                }
                // Types have fields, which have types: lists in lists in lists.
                introspection::check_max_depth(&document, operation)
                    .map_err(|_| vec![too_much("INTROSPECTION", "levels of lists in its introspection", "more than 3", 3)])?;
            }
        }
        Ok(Self(document, text.into()))
    }

    /// The operation to be executed.
    ///
    /// # Errors
    /// There is none of this name, or there are several and no name.
    pub fn operation(&self, name: Option<&str>) -> Result<&Node<Operation>, Vec<ServerError>> {
        self.0.operations.get(name).map_err(|error| {
            let message = short(&error.message().to_string());
            vec![ErrorCode::OperationResolutionFailure.server_error(message)]
        })
    }
}

/// Counts what stands in a document, used or not: it is read all the same.
fn count(definitions: &[Definition], limits: &Limits) -> Result<(), ServerError> {
    let mut counted = Counted::default();
    for definition in definitions {
        match definition {
            Definition::OperationDefinition(operation) => {
                counted.directives(&operation.directives);
                counted.selections(&operation.selection_set, 1);
            }
            Definition::FragmentDefinition(fragment) => {
                counted.directives(&fragment.directives);
                counted.selections(&fragment.selection_set, 1);
            }
            // Not executable; the validator says so.
            _ => {}
        }
    }
    // Here as it is written; with its fragments put in when they are merged.
    if counted.depth > limits.depth {
        return Err(too_much("DEPTH", "levels", counted.depth, limits.depth));
    }
    if let Some(name) = counted.twice {
        let message = format!("There can be only one input field named \"{}\".", short(&name));
        return Err(ErrorCode::ValidationFailed.server_error(message));
    }
    if counted.aliases > limits.aliases {
        return Err(too_much("ALIASES", "aliases", counted.aliases, limits.aliases));
    }
    if counted.directives > limits.directives {
        return Err(too_much("DIRECTIVES", "directives", counted.directives, limits.directives));
    }
    Ok(())
}

#[derive(Default)]
struct Counted {
    depth: u64,
    aliases: u64,
    directives: u64,
    /// A field that stands twice in an input object, which the validator (1.33) lets pass. (Section 5.6.3)
    twice: Option<String>,
}

impl Counted {
    fn selections(&mut self, selections: &[Selection], depth: u64) {
        if !selections.is_empty() {
            self.depth = self.depth.max(depth);
        }
        for selection in selections {
            match selection {
                Selection::Field(field) => {
                    self.aliases += u64::from(field.alias.is_some());
                    self.directives(&field.directives);
                    field.arguments.iter().for_each(|argument| self.value(&argument.value));
                    self.selections(&field.selection_set, depth + 1);
                }
                Selection::FragmentSpread(spread) => self.directives(&spread.directives),
                Selection::InlineFragment(fragment) => {
                    self.directives(&fragment.directives);
                    self.selections(&fragment.selection_set, depth);
                }
            }
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::List(items) => items.iter().for_each(|item| self.value(item)),
            Value::Object(fields) => {
                let mut names = HashSet::new();
                for (name, value) in fields {
                    if !names.insert(name) {
                        self.twice = Some(name.to_string());
                    }
                    self.value(value);
                }
            }
            _ => {}
        }
    }

    fn directives(&mut self, directives: &[Node<Directive>]) {
        self.directives += directives.len() as u64;
    }
}

/// Errors of the validator as errors of ours: bounded in number and length.
fn told(found: &DiagnosticList, code: ErrorCode) -> Vec<ServerError> {
    let mut errors: Vec<_> = found.iter().take(ERRORS).map(|one| code.put_on(error(&one.to_json()))).collect();
    if found.len() > ERRORS {
        errors.push(code.server_error(format!("There are {} more errors.", found.len() - ERRORS)));
    }
    errors
}

/// Adds the field that may have been meant to the message about one that does not exist.
fn suggest(types: &Schema, message: &mut String) {
    let parts = message.strip_prefix("type `").and_then(|rest| rest.strip_suffix('`')?.split_once("` does not have a field `"));
    let Some((ty, wrong)) = parts else { return };
    let fields = match types.types.get(ty) {
        Some(ExtendedType::Object(ty)) => &ty.fields,
        Some(ExtendedType::Interface(ty)) => &ty.fields,
        _ => return,
    };
    let distance = |field: &str| strsim::osa_distance(&field.to_lowercase(), &wrong.to_lowercase());
    let near = fields.keys().map(|field| (distance(field), field)).filter(|(distance, field)| *distance <= field.len() / 3 + 1);
    if let Some((_, field)) = near.min_by_key(|(distance, _)| *distance) {
        *message = format!("{message}; did you mean `{field}`?");
    }
}

pub fn error(found: &GraphQLError) -> ServerError {
    let mut error = ServerError::new(short(&found.message), None);
    error.locations = found.locations.iter().map(|place| Pos { line: place.line, column: place.column }).collect();
    error
}

pub fn short(message: &str) -> String {
    match message.char_indices().nth(MESSAGE) {
        None => message.to_owned(),
        Some((end, _)) => format!("{}…", &message[..end]),
    }
}

/// Valid documents, remembered by their text. The least used goes first, by number and by bytes of text: what the validator
/// keeps of a document is some twenty times its text, so this is a few megabytes at most.
pub struct Known(Mutex<Remembered>);

struct Remembered {
    documents: LruCache<Arc<str>, Arc<Document>>,
    bytes: usize,
}

/// Bytes of text that are remembered in all.
const REMEMBERED: usize = 256 * 1024;
/// A longer document is read anew each time.
const LONGEST: usize = 16 * 1024;

impl Default for Known {
    fn default() -> Self {
        Self(Mutex::new(Remembered { documents: LruCache::unbounded(), bytes: 0 }))
    }
}

impl Known {
    pub fn get(&self, text: &str) -> Option<Arc<Document>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).documents.get(text).cloned()
    }

    pub fn put(&self, document: Document) -> Arc<Document> {
        let document = Arc::new(document);
        if document.1.len() <= LONGEST {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.bytes += document.1.len();
            if let Some((_, former)) = known.documents.push(document.1.clone(), document.clone()) {
                known.bytes -= former.1.len();
            }
            while known.bytes > REMEMBERED {
                let Some((_, oldest)) = known.documents.pop_lru() else { break };
                known.bytes -= oldest.1.len();
            }
        }
        document
    }
}
