//! The schema is a contract: it is reviewed as a file, it explains itself, and it keeps what was promised.

use async_graphql::parser::{
    parse_schema,
    types::{EnumValueDefinition, FieldDefinition, InputValueDefinition, TypeDefinition, TypeKind, TypeSystemDefinition},
};
use async_graphql::{Name, Positioned};
use std::{collections::BTreeMap, fs, path::Path};

fn file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// One thing that a schema defines.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    /// Everything about it that an operation can depend on.
    shape: String,
    described: bool,
    /// Whether an operation that does not know it stays valid.
    optional: bool,
}

/// Everything that a schema defines, by its place: `Order`, `Order.history`, `Order.history(first:)`, `OrderStatus.PAID`.
#[derive(Default)]
struct Entries(BTreeMap<String, Entry>);

impl Entries {
    fn read(sdl: &str) -> Self {
        let mut entries = Self::default();
        for definition in parse_schema(sdl).expect("a schema").definitions {
            if let TypeSystemDefinition::Type(definition) = definition {
                entries.add_type(&definition.node);
            }
        }
        entries
    }

    fn add(&mut self, place: String, shape: String, description: Option<&Positioned<String>>, optional: bool) {
        let described = description.is_some_and(|text| !text.node.trim().is_empty());
        let twice = self.0.insert(place.clone(), Entry { shape, described, optional });
        assert!(twice.is_none(), "{place} is defined twice");
    }

    fn add_type(&mut self, definition: &TypeDefinition) {
        let name = &definition.name.node;
        let described = definition.description.as_ref();
        let kind = match &definition.kind {
            TypeKind::Scalar => "a scalar",
            TypeKind::Object(object) => {
                self.add_interfaces(name, &object.implements);
                self.add_fields(name, &object.fields);
                "an object"
            }
            TypeKind::Interface(interface) => {
                self.add_interfaces(name, &interface.implements);
                self.add_fields(name, &interface.fields);
                "an interface"
            }
            TypeKind::Union(_) => "a union",
            TypeKind::Enum(it) => {
                for Positioned { node: EnumValueDefinition { value, description, .. }, .. } in &it.values {
                    self.add(format!("{name}.{}", value.node), "a value".into(), description.as_ref(), true);
                }
                "an enum"
            }
            TypeKind::InputObject(input) => {
                for field in &input.fields {
                    self.add_input(format!("{name}.{}", field.node.name.node), &field.node);
                }
                "an input"
            }
        };
        self.add(name.to_string(), kind.into(), described, true);
    }

    fn add_interfaces(&mut self, name: &Name, interfaces: &[Positioned<Name>]) {
        for interface in interfaces {
            // An interface describes itself.
            self.0.insert(
                format!("{name} implements {}", interface.node),
                Entry { shape: String::new(), described: true, optional: true },
            );
        }
    }

    fn add_fields(&mut self, name: &Name, fields: &[Positioned<FieldDefinition>]) {
        for Positioned { node: field, .. } in fields {
            let place = format!("{name}.{}", field.name.node);
            for argument in &field.arguments {
                self.add_input(format!("{place}({}:)", argument.node.name.node), &argument.node);
            }
            self.add(place, field.ty.node.to_string(), field.description.as_ref(), true);
        }
    }

    fn add_input(&mut self, place: String, input: &InputValueDefinition) {
        let default = input.default_value.as_ref().map(|value| format!(" = {}", value.node));
        let optional = input.ty.node.nullable || default.is_some();
        let shape = format!("{}{}", input.ty.node, default.unwrap_or_default());
        self.add(place, shape, input.description.as_ref(), optional);
    }

    /// What an operation written against `self` would miss in `other`.
    fn missing_in(&self, other: &Self) -> Vec<String> {
        let mut missing = Vec::new();
        for (place, promised) in &self.0 {
            match other.0.get(place) {
                None => missing.push(format!("{place} is gone; it was {}", promised.shape)),
                Some(kept) if kept.shape != promised.shape => {
                    missing.push(format!("{place} is {}; it was {}", kept.shape, promised.shape));
                }
                Some(_) => {}
            }
        }
        let new = other.0.iter().filter(|(place, entry)| !entry.optional && !self.0.contains_key(*place));
        // A new input that must be given only harms where the thing that takes it is not new as well.
        let taker =
            |place: &str| place.split_once('(').or(place.split_once('.')).map_or(String::new(), |(taker, _)| taker.to_owned());
        let harmful = new.filter(|(place, _)| self.0.contains_key(&taker(place)));
        missing.extend(harmful.map(|(place, _)| format!("{place} is new and must be given")));
        missing
    }
}

#[test]
fn the_schema_in_the_repository_is_the_one_that_is_served() {
    let (kept, served) = (file("schema.graphql"), orderflow::graphql::sdl());
    if kept != served {
        let difference = similar::TextDiff::from_lines(&kept, &served);
        let difference = difference.unified_diff().context_radius(3).header("schema.graphql", "the code").to_string();
        panic!("the schema has changed; look at the difference, and accept it by: make schema\n\n{difference}");
    }
}

#[test]
fn everything_in_the_schema_says_what_it_is() {
    let entries = Entries::read(&orderflow::graphql::sdl());
    let silent: Vec<_> = entries.0.iter().filter(|(_, entry)| !entry.described).map(|(place, _)| place.as_str()).collect();
    assert!(entries.0.len() > 300, "only {} things are defined", entries.0.len());
    assert!(silent.is_empty(), "{} of {} have no description: {}", silent.len(), entries.0.len(), silent.join(", "));
}

#[test]
fn the_schema_keeps_what_the_contract_promises() {
    let contract = Entries::read(&file("tests/contract.graphql"));
    let missing = contract.missing_in(&Entries::read(&orderflow::graphql::sdl()));
    assert!(missing.is_empty(), "{} promises are broken:\n{}", missing.len(), missing.join("\n"));
}

#[test]
fn a_broken_promise_is_seen() {
    let promised = "interface Node { id: ID! } scalar Day enum Way { UP DOWN } input Wish { day: Day, way: Way! = UP }
        type Shop implements Node { id: ID!, open(on: Day, way: Way! = UP): Boolean!, names: [String!]! }";
    let missing = |kept: &str| Entries::read(promised).missing_in(&Entries::read(kept)).len();
    assert_eq!(missing(promised), 0);
    for (promise, broken) in [
        ("implements Node ", ""),
        ("open(on: Day, ", "open("),
        ("open(on: Day,", "open(on: Day!,"),
        ("way: Way! = UP }", "way: Way! = DOWN }"),
        ("way: Way! = UP)", "way: Way!)"),
        ("Boolean!", "Boolean"),
        ("[String!]!", "[String]!"),
        ("UP DOWN", "UP"),
        ("{ day: Day,", "{ date: Day,"),
        ("open(", "open(by: Day!, "),
        ("{ day: Day,", "{ new: Day! day: Day,"),
        ("input Wish", "input Hope"),
        ("scalar Day", "enum Day { TODAY }"),
    ] {
        let kept = promised.replacen(promise, broken, 1);
        assert_ne!(kept, promised, "{promise}");
        assert!(missing(&kept) > 0, "{promise} → {broken} goes unseen");
    }
    let more =
        promised.replace("UP DOWN", "UP DOWN LEFT").replace("open(", "open(by: Day, ").replace("names:", "more: Day names:");
    assert_eq!(missing(&format!("{more} input New {{ must: Day! }}")), 0, "more is no harm");
}
