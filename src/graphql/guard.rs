//! Measures a document before anything else looks at it, and turns away what would take too much.
//!
//! It takes no longer than the document is long: a fragment is measured once, however often it is spread. (async-graphql's own
//! limits walk into every spread, so that fragments which spread each other twice, twenty-two levels deep, keep them busy for
//! seconds.)

use super::{context::Limits, error::ErrorCode};
use async_graphql::{
    Name, Request, Response, ServerError, ServerResult, ValidationResult, Value, Variables,
    extensions::{Extension, ExtensionContext, ExtensionFactory, NextExecute, NextPrepareRequest, NextValidation},
    parser::types::{ExecutableDocument, Field, Selection, SelectionSet},
};
use async_graphql::{Positioned, parser::types::Directive};
use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// Makes one for each request.
pub struct Guard(pub Limits);

impl ExtensionFactory for Guard {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Measuring { limits: self.0.clone(), cost: AtomicU64::new(0), missing: OnceLock::new() })
    }
}

struct Measuring {
    limits: Limits,
    cost: AtomicU64,
    /// The operations that lack a variable, with its name.
    missing: OnceLock<Vec<(Option<Name>, Name)>>,
}

#[async_trait::async_trait]
impl Extension for Measuring {
    /// Before the library sees the document: its own check of recursion walks into every spread.
    async fn prepare_request(
        &self,
        ctx: &ExtensionContext<'_>,
        request: Request,
        next: NextPrepareRequest<'_>,
    ) -> ServerResult<Request> {
        let mut request = next.run(ctx, request).await?;
        // Taken for the time of the measuring only; the document is read beside it.
        let variables = std::mem::take(&mut request.variables);
        let document = request.parsed_query().map_err(|error| ErrorCode::ParseFailed.put_on(error))?;
        let cost = check(document, &variables, &self.limits)?;
        self.cost.store(cost, Ordering::Relaxed);
        let _ = self.missing.set(missing(document, &variables));
        request.variables = variables;
        Ok(request)
    }

    async fn validation(
        &self,
        ctx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        let named = |errors: Vec<ServerError>| errors.into_iter().map(|e| ErrorCode::ValidationFailed.put_on(e)).collect();
        next.run(ctx).await.map_err(named)
    }

    async fn execute(&self, ctx: &ExtensionContext<'_>, operation_name: Option<&str>, next: NextExecute<'_>) -> Response {
        let mut missing = self.missing.get().into_iter().flatten();
        if let Some((_, variable)) = missing.find(|(name, _)| operation_name.is_none() || name.as_deref() == operation_name) {
            let message = format!("The variable ${variable} must have a value.");
            return Response::from_errors(vec![ErrorCode::ValidationFailed.server_error(message)]);
        }
        let mut response = next.run(ctx, operation_name).await;
        let cost = async_graphql::value!({
            "requested": self.cost.load(Ordering::Relaxed),
            "limit": self.limits.cost,
        });
        response.extensions.insert("cost".into(), cost);
        response
    }
}

/// The variables that must have a value and have none. async-graphql finds that out field by field, when the rest has been
/// executed.
fn missing(document: &ExecutableDocument, variables: &Variables) -> Vec<(Option<Name>, Name)> {
    let mut missing = Vec::new();
    for (name, operation) in document.operations.iter() {
        for definition in &operation.node.variable_definitions {
            let definition = &definition.node;
            let absent = variables.get(&definition.name.node).is_none_or(|value| *value == Value::Null);
            if absent && !definition.var_type.node.nullable && definition.default_value.is_none() {
                missing.push((name.cloned(), definition.name.node.clone()));
            }
        }
    }
    missing
}

/// Checks a document, and gives its cost.
///
/// # Errors
/// The first limit that it breaks, with what it has and what it may have.
pub fn check(document: &ExecutableDocument, variables: &Variables, limits: &Limits) -> Result<u64, ServerError> {
    let mut measure = Measure { document, variables, fragments: HashMap::new(), aliases: 0, directives: 0, introspects: false };
    let mut total = Size::default();
    for (_, operation) in document.operations.iter() {
        measure.count_directives(&operation.node.directives);
        total = total.beside(measure.set(&operation.node.selection_set.node));
    }
    // Fragments that nothing spreads are measured too: they are read all the same.
    for name in document.fragments.keys() {
        let size = measure.fragment(name);
        total.depth = total.depth.max(size.depth);
    }
    if measure.introspects && !limits.introspection {
        return Err(ErrorCode::ValidationFailed.server_error("This server does not tell its schema."));
    }
    let found = [
        ("DEPTH", "levels", total.depth, limits.depth as u64),
        ("COST", "points", total.cost, limits.cost),
        ("ALIASES", "aliases", measure.aliases, limits.aliases),
        ("DIRECTIVES", "directives", measure.directives, limits.directives),
    ];
    for (what, unit, has, may) in found {
        if has > may {
            let message = format!("The operation has {has} {unit}; it may have {may}.");
            let mut error = ServerError::new(message, None);
            error.extensions.get_or_insert_default().set("code", format!("{}_{what}", ErrorCode::TooMuch.name()));
            return Err(error);
        }
    }
    Ok(total.cost)
}

/// How deep a selection is, and what it costs: a point for each field, times the size of the lists it is in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Size {
    depth: u64,
    cost: u64,
}

impl Size {
    fn beside(self, other: Self) -> Self {
        Self { depth: self.depth.max(other.depth), cost: self.cost.saturating_add(other.cost) }
    }
}

struct Measure<'a> {
    document: &'a ExecutableDocument,
    variables: &'a Variables,
    /// Those measured; nothing while one is being measured, which ends cycles. (They are refused by validation.)
    fragments: HashMap<&'a Name, Option<Size>>,
    aliases: u64,
    directives: u64,
    introspects: bool,
}

impl<'a> Measure<'a> {
    fn set(&mut self, set: &'a SelectionSet) -> Size {
        let mut size = Size::default();
        for selection in &set.items {
            let one = match &selection.node {
                Selection::Field(field) => self.field(&field.node),
                Selection::InlineFragment(fragment) => {
                    self.count_directives(&fragment.node.directives);
                    self.set(&fragment.node.selection_set.node)
                }
                Selection::FragmentSpread(spread) => {
                    self.count_directives(&spread.node.directives);
                    self.fragment(&spread.node.fragment_name.node)
                }
            };
            size = size.beside(one);
        }
        size
    }

    fn field(&mut self, field: &'a Field) -> Size {
        self.introspects |= matches!(field.name.node.as_str(), "__schema" | "__type");
        self.aliases += u64::from(field.alias.is_some());
        self.count_directives(&field.directives);
        let below = self.set(&field.selection_set.node);
        Size { depth: below.depth + 1, cost: below.cost.saturating_mul(self.items(field)).saturating_add(1) }
    }

    fn fragment(&mut self, name: &Name) -> Size {
        let Some((name, definition)) = self.document.fragments.get_key_value(name) else { return Size::default() };
        if let Some(measured) = self.fragments.get(name) {
            return measured.unwrap_or_default();
        }
        self.fragments.insert(name, None);
        let size = self.set(&definition.node.selection_set.node);
        self.fragments.insert(name, Some(size));
        size
    }

    fn count_directives(&mut self, directives: &[Positioned<Directive>]) {
        self.directives += directives.len() as u64;
    }

    /// How many items a field may give: what a connection is asked for, or what it gives unless told.
    fn items(&self, field: &Field) -> u64 {
        let asked = field.arguments.iter().find(|(name, _)| matches!(name.node.as_str(), "first" | "last"));
        if let Some((_, value)) = asked {
            let value =
                value.node.clone().into_const_with(|name| Ok::<_, ()>(self.variables.get(&name).cloned().unwrap_or_default()));
            return match value {
                // A negative one is refused later; it must not make cheap what is below.
                Ok(Value::Number(number)) => number.as_u64().unwrap_or(DEFAULT_ITEMS),
                _ => DEFAULT_ITEMS,
            };
        }
        if matches!(field.name.node.as_str(), "orders" | "products" | "history") { DEFAULT_ITEMS } else { 1 }
    }
}

/// As many as a connection gives unless told.
const DEFAULT_ITEMS: u64 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits { depth: 10, cost: 1_000, aliases: 5, directives: 3, ..Limits::default() }
    }

    fn checked(query: &str) -> Result<u64, String> {
        let document = async_graphql::parser::parse_query(query).unwrap();
        check(&document, &Variables::from_json(serde_json::json!({ "n": 30 })), &limits()).map_err(|error| error.message)
    }

    #[test]
    fn a_list_counts_as_often_as_it_has_items() {
        assert_eq!(checked("{ me { id } }"), Ok(2));
        assert_eq!(checked("{ orders(first: 10) { nodes { id } } }"), Ok(21));
        assert_eq!(checked("{ orders { nodes { id } } }"), Ok(41));
        assert_eq!(checked("query($n: Int) { orders(last: $n) { nodes { id } } }"), Ok(61));
        assert_eq!(checked("{ ...F } fragment F on Query { me { id } }"), Ok(2));
    }

    #[test]
    fn what_is_too_much_is_named() {
        let deep = format!("{}a{}", "{ a ".repeat(10), " }".repeat(10));
        assert!(checked(&format!("{{ {deep} }}").replace("{ {", "{ a {")).unwrap_err().contains("levels"));
        assert!(
            checked("{ orders(first: 100) { nodes { history(first: 100) { nodes { id } } } } }").unwrap_err().contains("points")
        );
        assert!(checked("{ a: me b: me c: me d: me e: me f: me }").unwrap_err().contains("aliases"));
        assert!(checked("{ me @a @b @c @d }").unwrap_err().contains("directives"));
    }

    #[test]
    fn bombs_and_circles_take_no_time() {
        let bomb: String = (0..60).map(|n| format!("fragment F{n} on Q {{ ...F{} ...F{} }}", n + 1, n + 1)).collect();
        assert!(checked(&format!("{{ ...F0 }} {bomb} fragment F60 on Q {{ a b }}")).unwrap_err().contains("points"));
        assert_eq!(checked("{ ...A } fragment A on Q { ...B } fragment B on Q { ...A x }"), Ok(1));
    }
}
