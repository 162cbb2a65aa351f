//! Collects what is really asked: fragments merged, directives decided, variables filled in. Counts it on the way.

use super::{
    super::Limits,
    repair::{Below, HIDDEN, Shape},
    too_much, variables,
};
use apollo_compiler::{
    ExecutableDocument, Name, Node, Schema,
    ast::{self, Argument, DirectiveList},
    executable::{Field, Operation, Selection, SelectionSet},
    parser::SourceSpan,
    response::JsonMap,
    schema::{ExtendedType, FieldDefinition},
};
use async_graphql::{
    Pos, Positioned, ServerError, Value,
    indexmap::IndexMap,
    parser::types::{self as plain, DocumentOperations, OperationDefinition, OperationType},
};
use std::collections::{HashMap, HashSet};

/// As many as a connection gives unless told.
const PAGE: u64 = 20;
/// What a list without pages is taken for.
const LIST: u64 = 5;

/// Keeps the values of one request at hand.
pub struct Collector<'a> {
    types: &'a Schema,
    document: &'a ExecutableDocument,
    variables: &'a JsonMap,
    limits: &'a Limits,
    walked: u64,
}

/// What is asked, in the form that async-graphql executes, with its shape and its cost.
pub struct Collected {
    pub document: plain::ExecutableDocument,
    pub shape: Shape,
    pub cost: u64,
}

/// What is selected on one value.
#[derive(Default)]
struct Selected {
    items: Vec<Positioned<plain::Selection>>,
    shape: Shape,
    cost: u64,
}

type Merged<'a> = IndexMap<&'a Name, Vec<&'a Node<Field>>>;

impl<'a> Collector<'a> {
    pub fn new(types: &'a Schema, document: &'a ExecutableDocument, variables: &'a JsonMap, limits: &'a Limits) -> Self {
        Self { types, document, variables, limits, walked: 0 }
    }

    /// # Errors
    /// The limit that the operation breaks.
    pub fn operation(mut self, operation: &'a Node<Operation>) -> Result<Collected, Vec<ServerError>> {
        let set = &operation.selection_set;
        let Selected { items, shape, cost } = self.object(&set.ty, &[set], 1).map_err(|error| vec![error])?;
        if cost > self.limits.cost {
            return Err(vec![too_much("COST", "points", cost, self.limits.cost)]);
        }
        let pos = self.pos(operation.location());
        let definition = OperationDefinition {
            ty: match operation.operation_type {
                ast::OperationType::Query => OperationType::Query,
                ast::OperationType::Mutation => OperationType::Mutation,
                ast::OperationType::Subscription => OperationType::Subscription,
            },
            variable_definitions: Vec::new(),
            directives: Vec::new(),
            selection_set: Positioned::new(plain::SelectionSet { items }, pos),
        };
        let operations = DocumentOperations::Single(Positioned::new(definition, pos));
        Ok(Collected { document: plain::ExecutableDocument { operations, fragments: HashMap::new() }, shape, cost })
    }

    /// The fields of an object of this type.
    fn object(&mut self, ty: &str, sets: &[&'a SelectionSet], depth: u64) -> Result<Selected, ServerError> {
        let mut merged = Merged::new();
        let mut spread = HashSet::new();
        for set in sets {
            self.merge(ty, set, &mut merged, &mut spread)?;
        }
        if depth > self.limits.depth && !merged.is_empty() {
            return Err(too_much("DEPTH", "levels or more", depth, self.limits.depth));
        }
        let mut selected = Selected::default();
        for (key, fields) in merged {
            let (item, below, cost) = self.field(ty, key, &fields, depth)?;
            selected.items.push(item);
            selected.shape.fields.insert(async_graphql::Name::new(key.as_str()), below);
            selected.cost = selected.cost.saturating_add(cost);
        }
        if selected.items.is_empty() {
            selected.items.push(hidden());
        }
        Ok(selected)
    }

    /// Adds the fields of a set to those that are there already under the same response key.
    fn merge(
        &mut self,
        ty: &str,
        set: &'a SelectionSet,
        merged: &mut Merged<'a>,
        spread: &mut HashSet<&'a Name>,
    ) -> Result<(), ServerError> {
        for selection in &set.selections {
            self.walked += 1;
            if self.walked > self.limits.selections {
                return Err(too_much("SELECTIONS", "selections or more", self.walked, self.limits.selections));
            }
            if self.is_left_out(selection.directives()) {
                continue;
            }
            match selection {
                Selection::Field(field) => merged.entry(field.response_key()).or_default().push(field),
                Selection::InlineFragment(fragment) => {
                    if fragment.type_condition.as_ref().is_none_or(|on| self.is(ty, on)) {
                        self.merge(ty, &fragment.selection_set, merged, spread)?;
                    }
                }
                Selection::FragmentSpread(spreading) => {
                    if let Some(fragment) = self.document.fragments.get(&spreading.fragment_name)
                        && spread.insert(&fragment.name)
                        && self.is(ty, &fragment.selection_set.ty)
                    {
                        self.merge(ty, &fragment.selection_set, merged, spread)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn field(
        &mut self,
        parent: &str,
        key: &Name,
        fields: &[&'a Node<Field>],
        depth: u64,
    ) -> Result<(Positioned<plain::Selection>, Below, u64), ServerError> {
        let Some(first) = fields.first() else { return Ok((hidden(), Below::default(), 0)) };
        let pos = self.pos(first.location());
        let arguments = self.arguments(&first.arguments);
        let sets: Vec<&SelectionSet> = fields.iter().map(|field| &field.selection_set).collect();
        let below = self.value(first.definition.ty.inner_named_type(), &sets, depth + 1)?;
        let leaf = below.is_none();
        let below = below.unwrap_or_default();
        let cost = below.cost.saturating_mul(items(parent, &first.definition, &arguments)).saturating_add(1);
        let name = |name: &Name| Positioned::new(async_graphql::Name::new(name.as_str()), pos);
        let field = plain::Field {
            alias: first.alias.is_some().then(|| name(key)),
            name: name(&first.name),
            arguments: arguments
                .into_iter()
                .map(|(argument, value)| (name(argument), Positioned::new(value.into_value(), pos)))
                .collect(),
            directives: Vec::new(),
            selection_set: Positioned::new(plain::SelectionSet { items: below.items }, pos),
        };
        let below = Below { ty: Some(first.definition.ty.clone()), shape: (!leaf).then_some(below.shape) };
        Ok((Positioned::new(plain::Selection::Field(Positioned::new(field, pos)), pos), below, cost))
    }

    /// What is selected below a field of this type; nothing below a leaf.
    fn value(&mut self, ty: &str, sets: &[&'a SelectionSet], depth: u64) -> Result<Option<Selected>, ServerError> {
        let types = self.types;
        match types.types.get(ty) {
            Some(ExtendedType::Object(_)) => self.object(ty, sets, depth).map(Some),
            Some(ExtendedType::Interface(_) | ExtendedType::Union(_)) => {
                let mut selected = Selected::default();
                for (possible, _) in types.types.iter().filter(|(name, of)| of.is_object() && types.is_subtype(ty, name)) {
                    let mut one = self.object(possible, sets, depth)?;
                    one.items.push(hidden());
                    selected.cost = selected.cost.max(one.cost);
                    selected.items.push(on(possible, one.items));
                    selected.shape.kinds.insert(possible.to_string(), one.shape);
                }
                Ok(Some(selected))
            }
            _ => Ok(None),
        }
    }

    /// Arguments that have a value; for the others the schema's default counts.
    fn arguments(&self, arguments: &'a [Node<Argument>]) -> Vec<(&'a Name, Value)> {
        arguments.iter().filter_map(|one| Some((&one.name, variables::literal(&one.value, self.variables)?))).collect()
    }

    fn is_left_out(&self, directives: &DirectiveList) -> bool {
        let says = |directive: &str, truth: bool| {
            let condition = directives.get(directive).and_then(|found| found.specified_argument_by_name("if"));
            condition.and_then(|value| variables::literal(value, self.variables)) == Some(Value::Boolean(truth))
        };
        says("skip", true) || says("include", false)
    }

    fn is(&self, ty: &str, condition: &str) -> bool {
        ty == condition || self.types.is_subtype(condition, ty)
    }

    fn pos(&self, span: Option<SourceSpan>) -> Pos {
        let place = span.and_then(|span| span.line_column(&self.document.sources));
        place.map_or(Pos { line: 0, column: 0 }, |place| Pos { line: place.line, column: place.column })
    }
}

/// How many items a field may give: what a connection is asked for, or what it gives unless told. The items of a connection are
/// counted there and not again at `nodes` or `edges`; types of the schema are bounded by their depth.
fn items(parent: &str, definition: &FieldDefinition, arguments: &[(&Name, Value)]) -> u64 {
    let pages = |name: &str| matches!(name, "first" | "last");
    if definition.arguments.iter().any(|argument| pages(&argument.name)) {
        let asked = arguments.iter().filter(|(name, _)| pages(name)).filter_map(|(_, value)| match value {
            // A negative one is refused later; it must not make cheap what is below.
            Value::Number(number) => number.as_u64(),
            _ => None,
        });
        return asked.max().unwrap_or(PAGE);
    }
    let counted = parent.ends_with("Connection") || parent.starts_with("__") || definition.name.starts_with("__");
    if definition.ty.is_list() && !counted { LIST } else { 1 }
}

fn on(ty: &str, items: Vec<Positioned<plain::Selection>>) -> Positioned<plain::Selection> {
    let fragment = plain::InlineFragment {
        type_condition: Some(nowhere(plain::TypeCondition { on: nowhere(async_graphql::Name::new(ty)) })),
        directives: Vec::new(),
        selection_set: nowhere(plain::SelectionSet { items }),
    };
    nowhere(plain::Selection::InlineFragment(nowhere(fragment)))
}

/// The type of an object under a name that nobody sees: it stands where nothing is left to select (async-graphql makes an object
/// without fields null), and says which type an interface turned out to be.
fn hidden() -> Positioned<plain::Selection> {
    let field = plain::Field {
        alias: Some(nowhere(async_graphql::Name::new(HIDDEN))),
        name: nowhere(async_graphql::Name::new("__typename")),
        arguments: Vec::new(),
        directives: Vec::new(),
        selection_set: nowhere(plain::SelectionSet { items: Vec::new() }),
    };
    nowhere(plain::Selection::Field(nowhere(field)))
}

fn nowhere<T>(node: T) -> Positioned<T> {
    Positioned::new(node, Pos { line: 0, column: 0 })
}
