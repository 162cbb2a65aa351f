//! What differs between what is there and what should be: said the same way by both sides, which know nothing of each other.

use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// One value that is not what the log says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The collection or table: `mongodb.orders`, `postgresql.stock`.
    pub place: &'static str,
    pub id: String,
    /// Where in the document or row, with dots; empty for the whole of it.
    pub path: String,
    /// Nothing, when it should not be there.
    pub expected: Option<Value>,
    /// Nothing, when it is missing.
    pub found: Option<Value>,
}

/// The names of fields, on either side, that may hold something about a person.
const PERSONAL: [&str; 9] =
    ["email", "email_folded", "displayName", "display_name", "shippingAddress", "note", "search", "trackingNumber", "customer"];

/// What stands in place of a personal value.
const HIDDEN: &str = "(hidden)";

impl Difference {
    pub fn new(place: &'static str, id: impl ToString, path: &str, expected: Option<Value>, found: Option<Value>) -> Self {
        Self { place, id: id.to_string(), path: path.to_owned(), expected, found }
    }

    /// The same without the values of personal fields.
    #[must_use]
    pub fn masked(mut self) -> Self {
        let mut names = self.path.split('.').peekable();
        // Of the customer in an order only the id and the version say nothing about the person.
        let plain = matches!(self.path.as_str(), "customer.id" | "customer.version");
        if !plain && names.any(|name| PERSONAL.contains(&name)) {
            for value in [&mut self.expected, &mut self.found].into_iter().flatten() {
                *value = HIDDEN.into();
            }
        }
        self
    }
}

/// Every path at which `found` is not `expected`. Nothing and null are the same to whoever reads it.
pub fn compare(place: &'static str, id: impl ToString, expected: &Value, found: &Value) -> Vec<Difference> {
    let mut paths = Vec::new();
    walk(String::new(), Some(expected), Some(found), &mut paths);
    let id = id.to_string();
    paths
        .into_iter()
        .map(|(path, expected, found)| Difference {
            place,
            id: id.clone(),
            path,
            expected: expected.cloned(),
            found: found.cloned(),
        })
        .collect()
}

type Path<'a> = (String, Option<&'a Value>, Option<&'a Value>);

fn walk<'a>(path: String, expected: Option<&'a Value>, found: Option<&'a Value>, out: &mut Vec<Path<'a>>) {
    let (expected, found) = (expected.filter(|value| !value.is_null()), found.filter(|value| !value.is_null()));
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (expected, found) {
        (expected, found) if expected == found => {}
        (Some(Value::Object(one)), Some(Value::Object(other))) => {
            for name in one.keys().chain(other.keys()).collect::<BTreeSet<_>>() {
                walk(below(name), one.get(name), other.get(name), out);
            }
        }
        // Of lists of words or numbers the whole is said: an index would say nothing.
        (Some(Value::Array(one)), Some(Value::Array(other))) if one.iter().chain(other).all(Value::is_object) => {
            for index in 0..one.len().max(other.len()) {
                walk(below(&index.to_string()), one.get(index), other.get(index), out);
            }
        }
        (expected, found) => out.push((path, expected, found)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_differs_is_named_by_its_path() {
        let expected = json!({ "a": 1, "b": { "c": [ { "d": 1 }, { "d": 2 } ], "gone": 3 }, "words": ["x"], "none": null });
        let found = json!({ "a": 1, "b": { "c": [ { "d": 1 }, { "d": 5 }, { "e": 1 } ] }, "words": ["y"], "more": true });
        let differences = compare("mongodb.orders", "order_1", &expected, &found);
        let told: Vec<_> = differences.iter().map(|d| (d.path.as_str(), d.expected.clone(), d.found.clone())).collect();
        assert_eq!(
            told,
            [
                ("b.c.1.d", Some(json!(2)), Some(json!(5))),
                ("b.c.2", None, Some(json!({ "e": 1 }))),
                ("b.gone", Some(json!(3)), None),
                ("more", None, Some(json!(true))),
                ("words", Some(json!(["x"])), Some(json!(["y"]))),
            ]
        );
    }

    #[test]
    fn personal_values_are_hidden_and_others_are_not() {
        let masked = |path: &str| {
            let difference = Difference::new("mongodb.orders", "order_1", path, Some(json!("Ada")), None).masked();
            (difference.expected, difference.found)
        };
        for path in ["customer.displayName", "email", "shippingAddress.line1", "search", "state.note", "customer"] {
            assert_eq!(masked(path), (Some(json!(HIDDEN)), None), "{path}");
        }
        for path in ["total", "lines.0.name", "customer.version", "status"] {
            assert_eq!(masked(path), (Some(json!("Ada")), None), "{path}");
        }
    }
}
