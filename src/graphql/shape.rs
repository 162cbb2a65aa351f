//! Gives answers the shape that the specification asks for, where async-graphql 7.2 does not: fields come in the order of the
//! question (section 7.2.2) and not of their completion, and a field that failed is null, or makes null what holds it (section
//! 6.4.4), and is not left out.

use super::nulls;
use async_graphql::{
    Name, Response, ServerResult, Value, Variables,
    extensions::{Extension, ExtensionContext, ExtensionFactory, NextExecute, NextParseQuery},
    indexmap::IndexMap,
    parser::types::{ExecutableDocument, OperationType, Selection, SelectionSet},
};
use std::{
    collections::HashSet,
    sync::{Arc, OnceLock},
};

/// Makes one for each request.
pub struct InShape;

impl ExtensionFactory for InShape {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Shaping(OnceLock::new()))
    }
}

/// The question of this request, once it has been parsed.
struct Shaping(OnceLock<ExecutableDocument>);

#[async_trait::async_trait]
impl Extension for Shaping {
    async fn parse_query(
        &self,
        ctx: &ExtensionContext<'_>,
        query: &str,
        variables: &Variables,
        next: NextParseQuery<'_>,
    ) -> ServerResult<ExecutableDocument> {
        let document = next.run(ctx, query, variables).await?;
        let _ = self.0.set(document.clone());
        Ok(document)
    }

    async fn execute(&self, ctx: &ExtensionContext<'_>, operation_name: Option<&str>, next: NextExecute<'_>) -> Response {
        let mut response = next.run(ctx, operation_name).await;
        let operation = self.0.get().and_then(|document| {
            let mut operations = document.operations.iter();
            let named = operations.find(|(name, _)| operation_name.is_none() || name.map(Name::as_str) == operation_name)?;
            Some((document, &named.1.node))
        });
        let Some((document, operation)) = operation else { return response };
        let shape = Shape::of(document, &[&operation.selection_set.node]);
        let registry = &ctx.schema_env.registry;
        let root = match operation.ty {
            OperationType::Query => Some(&registry.query_type),
            OperationType::Mutation => registry.mutation_type.as_ref(),
            OperationType::Subscription => registry.subscription_type.as_ref(),
        };
        if let Some(root) = root {
            nulls::fill_in(registry, root, &shape, &mut response);
        }
        shape.sort(&mut response.data);
        response
    }
}

/// The response keys of an object in the order of the question.
pub struct Shape(IndexMap<Name, Below>);

/// What is asked for under a response key.
pub struct Below {
    /// The field, which an alias may hide.
    pub field: Name,
    pub shape: Shape,
}

impl Shape {
    pub fn get(&self, key: &str) -> Option<&Below> {
        self.0.get(key)
    }

    /// Sets that contribute to one object are merged, as execution does. A fragment counts once an object, however often it is
    /// spread, so this takes no longer than the document is long.
    fn of(document: &ExecutableDocument, sets: &[&SelectionSet]) -> Self {
        let mut below = IndexMap::new();
        let mut spread = HashSet::new();
        for set in sets {
            collect(document, set, &mut below, &mut spread);
        }
        let shaped =
            |(key, (field, sets)): (Name, (Name, Vec<&SelectionSet>))| (key, Below { field, shape: Self::of(document, &sets) });
        Self(below.into_iter().map(shaped).collect())
    }

    fn sort(&self, value: &mut Value) {
        match value {
            Value::List(items) => items.iter_mut().for_each(|item| self.sort(item)),
            Value::Object(fields) => {
                for (key, field) in &mut *fields {
                    if let Some(below) = self.0.get(key).filter(|below| !below.shape.0.is_empty()) {
                        below.shape.sort(field);
                    }
                }
                let place = |key: &Name| self.0.get_index_of(key).unwrap_or(usize::MAX);
                if !fields.keys().is_sorted_by_key(place) {
                    fields.sort_by_cached_key(|key, _| place(key));
                }
            }
            _ => {}
        }
    }
}

fn collect<'a>(
    document: &'a ExecutableDocument,
    set: &'a SelectionSet,
    below: &mut IndexMap<Name, (Name, Vec<&'a SelectionSet>)>,
    spread: &mut HashSet<&'a Name>,
) {
    for selection in &set.items {
        match &selection.node {
            Selection::Field(field) => {
                let key = field.node.response_key().node.clone();
                let name = || (field.node.name.node.clone(), Vec::new());
                below.entry(key).or_insert_with(name).1.push(&field.node.selection_set.node);
            }
            Selection::InlineFragment(fragment) => collect(document, &fragment.node.selection_set.node, below, spread),
            Selection::FragmentSpread(fragment) => {
                let name = &fragment.node.fragment_name.node;
                if spread.insert(name)
                    && let Some(definition) = document.fragments.get(name)
                {
                    collect(document, &definition.node.selection_set.node, below, spread);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(query: &str, answer: &str) -> String {
        let document = async_graphql::parser::parse_query(query).unwrap();
        let (_, operation) = document.operations.iter().next().unwrap();
        let mut value: Value = serde_json::from_str(answer).unwrap();
        Shape::of(&document, &[&operation.node.selection_set.node]).sort(&mut value);
        serde_json::to_string(&value).unwrap()
    }

    #[test]
    fn fields_come_in_the_order_of_the_question() {
        assert_eq!(ordered("{ a b { d c } }", r#"{"b":{"c":1,"d":2},"a":3}"#), r#"{"a":3,"b":{"d":2,"c":1}}"#);
        assert_eq!(ordered("{ x: b a }", r#"{"a":1,"x":2}"#), r#"{"x":2,"a":1}"#);
        assert_eq!(ordered("{ l { b a } }", r#"{"l":[{"a":1,"b":2},null]}"#), r#"{"l":[{"b":2,"a":1},null]}"#);
    }

    #[test]
    fn fragments_count_where_they_are_spread() {
        let query = "{ ...F a o { x } } fragment F on Query { b o { y } }";
        assert_eq!(ordered(query, r#"{"o":{"x":1,"y":2},"a":3,"b":4}"#), r#"{"b":4,"o":{"y":2,"x":1},"a":3}"#);
    }

    #[test]
    fn a_bomb_of_fragments_takes_no_time() {
        let bomb: String = (0..40).map(|n| format!("fragment F{n} on Q {{ ...F{} ...F{} }}", n + 1, n + 1)).collect();
        ordered(&format!("{{ ...F0 }} {bomb} fragment F40 on Q {{ a }}"), r#"{"a":1}"#);
    }
}
