//! Gives answers the shape that the specification asks for, where async-graphql 7.2 does not: fields come in the order of the
//! question and not of their completion, and a field that failed is null, or makes null what holds it, and is not left out.
//! <https://spec.graphql.org/October2021/#sec-Handling-Field-Errors>

use apollo_compiler::ast::Type;
use async_graphql::{Name, PathSegment, Response, Value, indexmap::IndexMap};

/// Selected for our own use, and taken out of the answer.
pub const HIDDEN: &str = "__kind";

/// The response keys of a value, in the order of the question.
#[derive(Debug, Default)]
pub struct Shape {
    pub fields: IndexMap<Name, Below>,
    /// For an interface: what is asked of each of its types.
    pub kinds: IndexMap<String, Shape>,
}

/// What is asked for under a response key.
#[derive(Debug, Default)]
pub struct Below {
    pub ty: Option<Type>,
    /// Nothing for a leaf.
    pub shape: Option<Shape>,
}

/// What holds a value must be null in its place.
struct Null;

/// Repairs the data of an answer: at the path of each of its errors, and its order everywhere.
pub fn repair(shape: &Shape, response: &mut Response) {
    for error in &response.errors {
        // Errors of requests that were never executed have no path.
        if error.path.is_empty() {
            continue;
        }
        if fail(Some(shape), None, &mut response.data, &error.path).is_err() {
            response.data = Value::Null;
            return;
        }
    }
    shape.sort(&mut response.data);
}

/// Follows a path into a value of a type.
fn fail(shape: Option<&Shape>, ty: Option<&Type>, value: &mut Value, path: &[PathSegment]) -> Result<(), Null> {
    let Some((first, rest)) = path.split_first() else { return Err(Null) };
    match first {
        PathSegment::Index(index) => {
            let item = ty.map(Type::item_type);
            let Value::List(items) = value else { return Ok(()) };
            items.get_mut(*index).map_or(Ok(()), |slot| settle(shape, item, slot, rest))
        }
        PathSegment::Field(key) => {
            if *value == Value::Null {
                *value = Value::Object(IndexMap::new());
            }
            let (Value::Object(fields), Some(below)) = (value, shape.and_then(|shape| shape.get(key))) else { return Ok(()) };
            let slot = fields.entry(Name::new(key)).or_insert(Value::Null);
            settle(below.shape.as_ref(), below.ty.as_ref(), slot, rest)
        }
    }
}

/// Lets what is in a slot fail; a slot whose type allows it is null then.
fn settle(shape: Option<&Shape>, ty: Option<&Type>, slot: &mut Value, rest: &[PathSegment]) -> Result<(), Null> {
    match fail(shape, ty, slot, rest) {
        Err(Null) if ty.is_none_or(|ty| !ty.is_non_null()) => {
            *slot = Value::Null;
            Ok(())
        }
        result => result,
    }
}

impl Shape {
    /// A key of the value, whichever type it turned out to have.
    fn get(&self, key: &str) -> Option<&Below> {
        self.fields.get(key).or_else(|| self.kinds.values().find_map(|kind| kind.get(key)))
    }

    fn sort(&self, value: &mut Value) {
        match value {
            Value::List(items) => items.iter_mut().for_each(|item| self.sort(item)),
            Value::Object(fields) => {
                let kind = if fields.len() > self.fields.len() { fields.swap_remove(HIDDEN) } else { None };
                let shape = match kind {
                    Some(Value::String(kind)) => self.kinds.get(&kind).unwrap_or(self),
                    _ => self,
                };
                for (key, field) in &mut *fields {
                    if let Some(below) = shape.fields.get(key).and_then(|below| below.shape.as_ref()) {
                        below.sort(field);
                    }
                }
                let place = |key: &Name| shape.fields.get_index_of(key).unwrap_or(usize::MAX);
                if !fields.keys().is_sorted_by_key(place) {
                    fields.sort_by_cached_key(|key, _| place(key));
                }
            }
            _ => {}
        }
    }
}
