use super::{Caller, Limits, document::Document, never_executed, repair, variables};
use apollo_compiler::{Schema, validation::Valid};
use async_graphql::{ServerError, Value};

const SHOP: &str = "
    type Query {
        me: User node: Node maybe: Int
        orders(first: Int, last: Int): OrderConnection!
        find(text: String = \"tea\", size: Int): Int
    }
    type Mutation { buy(size: Int): Int }
    interface Node { id: ID! }
    type User implements Node { id: ID! name: String! orders(first: Int): OrderConnection! }
    type Order implements Node { id: ID! total: Int! lines: [Line!]! history(first: Int, last: Int): OrderConnection! }
    type Line { name: String! size: Size! }
    type OrderConnection { nodes: [Order!]! }
    enum Size { SMALL LARGE }
";

fn shop() -> Valid<Schema> {
    Schema::parse_and_validate(SHOP, "shop").unwrap()
}

fn limits() -> Limits {
    Limits {
        tokens: 2_000,
        selections: 500,
        variables: 100,
        depth: 10,
        cost: 1_000,
        aliases: 5,
        directives: 3,
        ..Limits::default()
    }
}

/// What would be executed, as text, with its cost.
fn asked(text: &str, given: serde_json::Value) -> Result<(String, u64), String> {
    let (types, limits) = (shop(), limits());
    let first = |errors: Vec<ServerError>| errors.into_iter().next().unwrap().message;
    let document = Document::read(&types, text, &limits).map_err(first)?;
    let operation = document.operation(None).map_err(first)?;
    let given = given.as_object().cloned().unwrap_or_default();
    let variables = variables::coerce(&types, &document, operation, &given, &limits).map_err(first)?;
    let collected = super::Collector::new(&types, &document.0, &variables, &limits).operation(operation).map_err(first)?;
    let (_, operation) = collected.document.operations.iter().next().unwrap();
    Ok((written(&operation.node.selection_set.node), collected.cost))
}

fn written(set: &async_graphql::parser::types::SelectionSet) -> String {
    use async_graphql::parser::types::Selection;
    let one = |selection: &Selection| match selection {
        Selection::Field(field) => {
            let field = &field.node;
            let alias = field.alias.as_ref().map(|alias| format!("{}: ", alias.node)).unwrap_or_default();
            let arguments: Vec<_> = field.arguments.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            let arguments = if arguments.is_empty() { String::new() } else { format!("({})", arguments.join(", ")) };
            let below =
                if field.selection_set.node.items.is_empty() { String::new() } else { written(&field.selection_set.node) };
            format!("{alias}{}{arguments}{below}", field.name.node)
        }
        Selection::InlineFragment(fragment) => {
            let on = fragment.node.type_condition.as_ref().unwrap();
            format!("... on {}{}", on.node.on.node, written(&fragment.node.selection_set.node))
        }
        Selection::FragmentSpread(_) => panic!("no fragment is left"),
    };
    format!("{{ {} }}", set.items.iter().map(|item| one(&item.node)).collect::<Vec<_>>().join(" "))
}

fn text(query: &str) -> String {
    asked(query, serde_json::json!({})).map_or_else(|error| error, |(text, _)| text)
}

fn cost(query: &str) -> u64 {
    asked(query, serde_json::json!({ "n": 30 })).unwrap().1
}

#[test]
fn fragments_and_repeated_fields_become_one_plain_selection() {
    assert_eq!(
        text("{ ...A me { name } ...A } fragment A on Query { me { id ...B } } fragment B on User { name }"),
        "{ me{ id name } }"
    );
    assert_eq!(text("mutation { ...A ...B } fragment A on Mutation { buy } fragment B on Mutation { buy }"), "{ buy }");
    assert_eq!(
        text("{ node { id ... on User { name } ... on Node { __typename } } }"),
        "{ node{ ... on User{ id name __typename __kind: __typename } ... on Order{ id __typename __kind: __typename } } }"
    );
}

#[test]
fn directives_are_decided_and_what_is_empty_still_stands_for_an_object() {
    let query = "query($no: Boolean = false) { me { id @include(if: $no) name @skip(if: false) } ...A @skip(if: true) }
                 fragment A on Query { maybe }";
    assert_eq!(text(query), "{ me{ name } }");
    assert_eq!(text("{ me { id @skip(if: true) } }"), "{ me{ __kind: __typename } }");
}

#[test]
fn variables_have_their_values_and_those_without_leave_the_default_alone() {
    assert_eq!(text("query($text: String, $size: Int = 3) { find(text: $text, size: $size) }"), "{ find(size: 3) }");
    let given = serde_json::json!({ "text": null });
    assert_eq!(asked("query($text: String) { find(text: $text) }", given).unwrap().0, "{ find(text: null) }");
    let wrong = asked("query($size: Int!) { find(size: $size) }", serde_json::json!({ "size": "x".repeat(5) })).unwrap_err();
    assert!(wrong.contains("size"), "{wrong}");
    assert!(text("query($size: Int!) { find(size: $size) }").contains("size"));
}

#[test]
fn a_list_counts_as_often_as_it_has_items() {
    assert_eq!(cost("{ me { id } }"), 2);
    assert_eq!(cost("{ orders(first: 10) { nodes { id } } }"), 21);
    assert_eq!(cost("{ orders { nodes { id } } }"), 41);
    assert_eq!(cost("query($n: Int) { orders(last: $n) { nodes { id } } }"), 61);
    assert_eq!(cost("query($m: Int = 10) { orders(last: $m) { nodes { id } } }"), 21);
    assert_eq!(cost("{ orders(first: 2) { nodes { lines { name size } } } }"), 1 + 2 * (1 + 1 + 5 * 2));
    assert_eq!(cost("{ ...F } fragment F on Query { me { id } }"), 2);
}

#[test]
fn what_is_too_much_is_named() {
    let deep = "{ orders(first: 1) { nodes { history(first: 1) { nodes { history(first: 1) { nodes { history(first: 1) { nodes {
                  history(first: 1) { nodes { id } } } } } } } } } } }";
    assert!(text(deep).contains("levels"), "{}", text(deep));
    assert!(text("{ orders(first: 100) { nodes { history(first: 100) { nodes { id } } } } }").contains("points"));
    assert!(text("{ a: maybe b: maybe c: maybe d: maybe e: maybe f: maybe }").contains("aliases"));
    assert!(
        text("{ maybe @skip(if: true) me @skip(if: true) { id @skip(if: true) name @skip(if: true) } }").contains("directives")
    );
    assert!(text(&format!("{{ {} }}", "maybe ".repeat(3_000))).contains("tokens"));
    assert!(text(&format!("{{ {} }}", "maybe ".repeat(600))).contains("selections"));
    let many = serde_json::json!({ "text": "x".repeat(200) });
    assert!(asked("query($text: String) { find(text: $text) }", many).unwrap_err().contains("bytes of variables"));
}

#[test]
fn bombs_and_circles_take_no_time() {
    let bomb: String = (0..60).map(|n| format!("fragment F{n} on Query {{ ...F{} ...F{} }} ", n + 1, n + 1)).collect();
    assert_eq!(text(&format!("{{ ...F0 }} {bomb} fragment F60 on Query {{ maybe }}")), "{ maybe }");
    let circle = text("{ ...A } fragment A on Query { ...B } fragment B on Query { ...A maybe }");
    assert!(circle.contains('A'), "{circle}");
}

#[test]
fn what_may_have_been_meant_is_told_where_the_schema_may_be_asked_for() {
    let told = |introspection| {
        let limits = Limits { introspection, ..limits() };
        let read = |text| Document::read(&shop(), text, &limits).err().unwrap().remove(0).message;
        (read("{ me { nmae } }"), read("{ zebra }"))
    };
    assert_eq!(told(true).0, "type `User` does not have a field `nmae`; did you mean `name`?");
    assert_eq!(told(false).0, "type `User` does not have a field `nmae`");
    assert_eq!((told(true).1, told(false).1), ("type `Query` does not have a field `zebra`".into(), told(true).1));
}

#[test]
fn errors_are_bounded_in_number_and_length() {
    let limits = Limits { tokens: 100_000, aliases: 100_000, ..limits() };
    let name = "x".repeat(5_000);
    let wrong: String = (0..50).map(|n| format!("{name}{n} ")).collect();
    let errors = Document::read(&shop(), &format!("{{ {wrong} }}"), &limits).err().unwrap();
    assert_eq!(errors.len(), 11);
    assert!(errors.iter().all(|error| error.message.chars().count() <= 301));
}

mod repairing {
    use super::*;
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
            tokio::task::yield_now().await;
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
        let schema = Schema::new(Query, EmptyMutation, EmptySubscription);
        let types = apollo_compiler::Schema::parse_and_validate(schema.sdl(), "test").unwrap();
        let document = Document::read(&types, query, &limits()).unwrap();
        let operation = document.operation(None).unwrap();
        let variables = Valid::assume_valid(apollo_compiler::response::JsonMap::new());
        let collected = super::super::Collector::new(&types, &document.0, &variables, &limits()).operation(operation).unwrap();
        let mut response = schema.execute(super::super::request(collected.document, Caller::default())).await;
        repair::repair(&collected.shape, &mut response);
        serde_json::to_string(&response.data).unwrap()
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

    #[tokio::test]
    async fn fields_come_in_the_order_of_the_question() {
        assert_eq!(
            data("{ shop { name __typename } __typename }").await,
            r#"{"shop":{"name":"tea","__typename":"Shop"},"__typename":"Query"}"#
        );
        assert_eq!(data("{ shop { name @skip(if: true) } }").await, r#"{"shop":{}}"#);
    }
}

#[test]
fn a_refusal_before_execution_is_told_from_a_fault_within() {
    assert!(never_executed(&async_graphql::Response::from_errors(vec![ServerError::new("no", None)])));
    assert!(!never_executed(&async_graphql::Response::new(Value::Null)));
}
