//! Values: those of variables, coerced to their types, and those that stand in the document.

use super::{
    super::{ErrorCode, Limits},
    document::{Document, short},
    too_much,
};
use apollo_compiler::{
    Node, Schema, ast,
    executable::Operation,
    request::coerce_variable_values,
    response::{JsonMap, JsonValue},
    validation::Valid,
};
use async_graphql::{Name, Pos, ServerError, Value, indexmap::IndexMap};
use serde_json::Map;

/// `CoerceVariableValues` of the specification: defaults put in, types checked. What has neither value nor default is left out.
///
/// # Errors
/// They are more than they may be, or one does not fit its type; it says which.
pub fn coerce(
    types: &Valid<Schema>,
    document: &Document,
    operation: &Node<Operation>,
    given: &Map<String, serde_json::Value>,
    limits: &Limits,
) -> Result<Valid<JsonMap>, Vec<ServerError>> {
    if operation.variables.is_empty() {
        return Ok(Valid::assume_valid(JsonMap::new()));
    }
    let size: u64 = given.values().map(size).sum();
    if size > limits.variables {
        return Err(vec![too_much("VARIABLES", "bytes of variables", size, limits.variables)]);
    }
    let declared = operation.variables.iter().filter_map(|variable| given.get_key_value(variable.name.as_str()));
    let given = declared.map(|(name, value)| (name.as_str().into(), JsonValue::from(value.clone()))).collect();
    coerce_variable_values(types, operation, &given).map_err(|found| {
        let place = found.location().and_then(|span| span.line_column(&document.0.sources));
        let place = place.map(|place| Pos { line: place.line, column: place.column });
        vec![ErrorCode::BadUserInput.put_on(ServerError::new(short(&found.message().to_string()), place))]
    })
}

/// About as many bytes as a value takes when it is written.
fn size(value: &serde_json::Value) -> u64 {
    match value {
        serde_json::Value::String(text) => text.len() as u64 + 2,
        serde_json::Value::Array(items) => items.iter().map(size).sum::<u64>() + items.len() as u64 + 2,
        serde_json::Value::Object(fields) => {
            fields.iter().map(|(name, value)| name.len() as u64 + 4 + size(value)).sum::<u64>() + 2
        }
        _ => 5,
    }
}

/// A value of the document with its variables filled in; nothing for a variable that has none.
pub fn literal(value: &ast::Value, variables: &JsonMap) -> Option<Value> {
    Some(match value {
        ast::Value::Variable(name) => json(variables.get(name.as_str())?),
        ast::Value::Null => Value::Null,
        ast::Value::Enum(name) => Value::Enum(Name::new(name.as_str())),
        ast::Value::String(text) => Value::String(text.clone()),
        ast::Value::Boolean(truth) => Value::Boolean(*truth),
        ast::Value::Int(number) => numeral(number.as_str()),
        ast::Value::Float(number) => numeral(number.as_str()),
        // In a list, nothing is null; in an object, it is not there. (Section 6.4.1)
        ast::Value::List(items) => Value::List(items.iter().map(|item| literal(item, variables).unwrap_or_default()).collect()),
        ast::Value::Object(fields) => {
            let given = |(name, value): &(apollo_compiler::Name, Node<ast::Value>)| {
                Some((Name::new(name.as_str()), literal(value, variables)?))
            };
            Value::Object(fields.iter().filter_map(given).collect::<IndexMap<_, _>>())
        }
    })
}

/// A number beyond what can be held is no number.
fn numeral(text: &str) -> Value {
    text.parse().map_or(Value::Null, Value::Number)
}

fn json(value: &JsonValue) -> Value {
    match value {
        JsonValue::Null => Value::Null,
        JsonValue::Bool(truth) => Value::Boolean(*truth),
        JsonValue::Number(number) => Value::Number(number.clone()),
        JsonValue::String(text) => Value::String(text.as_str().to_owned()),
        JsonValue::Array(items) => Value::List(items.iter().map(json).collect()),
        JsonValue::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (Name::new(name.as_str()), json(value))).collect::<IndexMap<_, _>>())
        }
    }
}
