//! Puts a null where a field has failed.
//!
//! async-graphql leaves failed fields out of their object, and makes an object whose fields have all failed null. The
//! specification wants the failed field to be null or, where its type does not allow that, the nearest thing around it whose type
//! does. <https://spec.graphql.org/October2021/#sec-Handling-Field-Errors>

use super::shape::Shape;
use async_graphql::{
    Name, PathSegment, Response, Value,
    indexmap::IndexMap,
    registry::{MetaType, Registry},
};

/// What holds a value must be null in its place.
struct Null;

/// Repairs the data of an answer at the path of each of its errors. Errors of requests that were never executed have none.
pub fn fill_in(registry: &Registry, root: &str, shape: &Shape, response: &mut Response) {
    for error in &response.errors {
        if error.path.is_empty() {
            continue;
        }
        if response.data == Value::Null {
            response.data = Value::Object(IndexMap::new());
        }
        if fail(registry, root, shape, &mut response.data, &error.path).is_err() {
            response.data = Value::Null;
            return;
        }
    }
}

/// Follows a path from a value of a type (written as in the schema, without a last `!`).
fn fail(registry: &Registry, ty: &str, shape: &Shape, value: &mut Value, path: &[PathSegment]) -> Result<(), Null> {
    let Some((first, rest)) = path.split_first() else { return Err(Null) };
    match first {
        PathSegment::Index(index) => {
            let item = ty.strip_prefix('[').and_then(|ty| ty.strip_suffix(']')).unwrap_or(ty);
            let Value::List(items) = value else { return Ok(()) };
            items.get_mut(*index).map_or(Ok(()), |slot| settle(registry, item, shape, slot, rest))
        }
        PathSegment::Field(key) => {
            if *value == Value::Null {
                *value = Value::Object(IndexMap::new());
            }
            let (Value::Object(fields), Some(below)) = (value, shape.get(key)) else { return Ok(()) };
            let Some(ty) = type_of(registry, ty, &below.field) else { return Ok(()) };
            let slot = fields.entry(Name::new(key)).or_insert(Value::Null);
            settle(registry, ty, &below.shape, slot, rest)
        }
    }
}

/// Lets what is in a slot fail; a slot whose type allows it is null then.
fn settle(registry: &Registry, ty: &str, shape: &Shape, slot: &mut Value, rest: &[PathSegment]) -> Result<(), Null> {
    let (bare, nullable) = ty.strip_suffix('!').map_or((ty, true), |bare| (bare, false));
    match fail(registry, bare, shape, slot, rest) {
        Err(Null) if nullable => {
            *slot = Value::Null;
            Ok(())
        }
        result => result,
    }
}

/// The type of a field, also of one that only a possible type of an interface has.
fn type_of<'a>(registry: &'a Registry, parent: &str, field: &str) -> Option<&'a str> {
    let parent = registry.types.get(parent)?;
    let own = |ty: &'a MetaType| ty.field_by_name(field).map(|field| field.ty.as_str());
    own(parent).or_else(|| parent.possible_types()?.iter().find_map(|ty| own(registry.types.get(ty)?)))
}

#[cfg(test)]
mod tests {
    use async_graphql::{EmptyMutation, EmptySubscription, Object, Result, Schema};

    struct Query;
    struct Shop;

    #[Object]
    impl Query {
        async fn shop(&self) -> Option<Shop> {
            Some(Shop)
        }
        async fn shops(&self) -> Vec<Option<Shop>> {
            vec![Some(Shop), Some(Shop)]
        }
        async fn must(&self) -> Shop {
            Shop
        }
        async fn maybe(&self) -> Result<Option<i32>> {
            Err("closed".into())
        }
        async fn surely(&self) -> Result<i32> {
            Err("closed".into())
        }
    }

    #[Object]
    impl Shop {
        async fn name(&self) -> &str {
            "tea"
        }
        async fn maybe(&self) -> Result<Option<i32>> {
            Err("closed".into())
        }
        async fn surely(&self) -> Result<i32> {
            Err("closed".into())
        }
    }

    async fn data(query: &str) -> String {
        let schema = Schema::build(Query, EmptyMutation, EmptySubscription).extension(super::super::shape::InShape).finish();
        serde_json::to_string(&schema.execute(query).await.data).unwrap()
    }

    #[tokio::test]
    async fn what_may_be_null_is_null_and_nothing_else_suffers() {
        assert_eq!(data("{ maybe }").await, r#"{"maybe":null}"#);
        assert_eq!(data("{ it: maybe shop { maybe name } }").await, r#"{"it":null,"shop":{"maybe":null,"name":"tea"}}"#);
        assert_eq!(data("{ shop { maybe } }").await, r#"{"shop":{"maybe":null}}"#);
    }

    #[tokio::test]
    async fn what_must_not_be_null_takes_the_nearest_that_may_with_it() {
        assert_eq!(data("{ shop { name surely } maybe }").await, r#"{"shop":null,"maybe":null}"#);
        assert_eq!(data("{ shops { name surely } }").await, r#"{"shops":[null,null]}"#);
        assert_eq!(data("{ shop { name } must { surely } }").await, "null");
        assert_eq!(data("{ shop { name } surely }").await, "null");
    }
}
