//! The command line, as an operator has it: the real binary, on servers of its own.

pub mod process;
mod rolling;
mod serve;
mod tokens;
mod verify;

use crate::support::Parts;
use orderflow::{
    auth::Keys,
    config::DEV_SECRET,
    value::{Role, Viewer},
};
use process::Process;

const SECRET: &str = "a secret that only this test knows";

/// Servers on which nobody has run anything yet.
pub async fn servers() -> Parts {
    Parts::empty(&format!("t_{}", uuid::Uuid::now_v7().simple())).await
}

/// The environment that says where they are.
pub fn at(parts: &Parts) -> Vec<(&str, &str)> {
    vec![("DATABASE_URL", &parts.database_url), ("AMQP_URL", &parts.amqp_url), ("MONGODB_URI", &parts.mongodb_uri)]
}

/// Every variable of the environment that a command knows, by its own account.
async fn variables(command: &str) -> Vec<String> {
    let help = Process::run(&[command, "--help"], &[]).await;
    assert_eq!(help.code, Some(0), "{}", help.err);
    let names = help.out.split("[env: ").skip(1);
    let mut names: Vec<_> = names.map(|rest| rest.split(['=', ']']).next().expect("a name").to_owned()).collect();
    names.sort();
    names
}

/// To which a word is right.
const FREE: [&str; 4] = ["ORDERFLOW_JWT_AUDIENCE", "ORDERFLOW_JWT_ISSUER", "ORDERFLOW_JWT_ROLE_CLAIM", "ORDERFLOW_LOG"];

#[tokio::test]
async fn all_that_is_wrong_with_the_settings_is_told_at_once_by_name_and_without_secrets() {
    let names = variables("serve").await;
    assert!(names.len() >= 20 && names.contains(&"ORDERFLOW_JWT_SECRET".to_owned()), "{names:?}");
    let wrong = names.iter().map(String::as_str).filter(|name| !FREE.contains(name));
    // Any text is a secret, but none is not.
    let wrong: Vec<_> = wrong.map(|name| (name, if name == "ORDERFLOW_JWT_SECRET" { "" } else { "s3cr3t" })).collect();
    let ended = Process::run(&["serve"], &wrong).await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{}", ended.err);
    assert!(ended.err.starts_with("orderflow: the settings are not right:\n"), "{}", ended.err);
    for (name, _) in wrong {
        let told: Vec<_> = ended.err.lines().filter(|line| line.starts_with(&format!("  - {name}: "))).collect();
        assert_eq!(told.len(), 1, "{name} in:\n{}", ended.err);
        // What may hold a password is not repeated.
        assert_eq!(told[0].contains("s3cr3t"), !(name.ends_with("_URL") || name.ends_with("_URI") || name.ends_with("_SECRET")));
    }
}

#[tokio::test]
async fn what_must_be_set_and_is_not_is_told_too() {
    for (command, needed) in [
        ("serve", &["DATABASE_URL", "AMQP_URL", "MONGODB_URI", "ORDERFLOW_JWT_SECRET"][..]),
        ("migrate", &["DATABASE_URL", "AMQP_URL", "MONGODB_URI"]),
        ("doctor", &["DATABASE_URL", "AMQP_URL", "MONGODB_URI"]),
    ] {
        let ended = Process::run(&[command], &[]).await;
        assert_eq!(ended.code, Some(1), "{command}: {}", ended.err);
        for name in needed {
            assert!(ended.err.contains(&format!("  - {name}: is not set")), "{command} says nothing of {name}:\n{}", ended.err);
        }
        assert_eq!(ended.err.matches("  - ").count(), needed.len(), "{command}:\n{}", ended.err);
    }
    for (name, value) in [("ORDERFLOW_LOG", "info,=,"), ("ORDERFLOW_LOG_FORMAT", "yaml")] {
        for (command, others) in [("schema", 0), ("doctor", 3), ("migrate", 3), ("serve", 4)] {
            let ended = Process::run(&[command], &[(name, value)]).await;
            assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{name}");
            assert!(ended.err.contains(&format!("  - {name}: ")), "{}", ended.err);
            assert_eq!(ended.err.matches("  - ").count(), others + 1, "{command} tells all at once:\n{}", ended.err);
        }
    }
    assert_eq!(Process::run(&["brew-tea"], &[]).await.code, Some(2), "an unknown command is another kind of mistake");
}

#[tokio::test]
async fn lists_of_origins_and_proxies_are_read_item_by_item() {
    let told = |ended: String, name: &str| {
        let line = ended.lines().find(|line| line.starts_with(&format!("  - {name}: "))).map(str::to_owned);
        line.unwrap_or_default()
    };
    let (origins, proxies) = ("ORDERFLOW_CORS_ORIGINS", "ORDERFLOW_TRUSTED_PROXIES");
    for good in ["", "https://shop.example", "http://localhost:3000, https://shop.example"] {
        assert_eq!(told(Process::run(&["serve"], &[(origins, good)]).await.err, origins), "", "{good}");
    }
    for wrong in
        ["*", "null", "shop.example", "https://shop.example/", "https://shop.example/x", "https://Shop.example", "ftp://x"]
    {
        let line = told(Process::run(&["serve"], &[(origins, &format!("https://a.example,{wrong}"))]).await.err, origins);
        assert!(line.contains(&format!("{wrong:?}")) && !line.contains("a.example"), "{wrong}: {line}");
    }
    for (list, wrong) in [("10.0.0.1, ::1, 10.0.0.0/8", ""), ("10.0.0.1,10.0.0.0/99,proxy", "\"10.0.0.0/99\", \"proxy\"")] {
        let line = told(Process::run(&["serve"], &[(proxies, list)]).await.err, proxies);
        assert_eq!((line.contains(wrong), line.is_empty()), (true, wrong.is_empty()), "{line}");
    }
}

#[tokio::test]
async fn a_token_of_the_command_line_is_as_good_as_any() {
    let subject = "user_0190d3f57a0070008000000000000001";
    for (args, variables, secret) in [
        (&["token", "--sub", subject, "--role", "customer", "--dev"][..], &[][..], DEV_SECRET),
        (&["token", "--sub", subject, "--role", "CUSTOMER"], &[("ORDERFLOW_JWT_SECRET", SECRET)], SECRET),
        (&["token", "--sub", subject, "--role", "Customer", "--jwt-secret", SECRET], &[], SECRET),
    ] {
        let ended = Process::run(args, variables).await;
        assert_eq!((ended.code, ended.out.lines().count()), (Some(0), 1), "{}", ended.err);
        let signed_in = Keys::hs256(secret).verify(ended.out.trim()).expect("a good token");
        assert_eq!(signed_in.viewer, Viewer { subject: subject.to_owned(), role: Role::Customer });
    }
    let staff = ["token", "--sub", "staff", "--role", "staff"];
    for variables in [&[][..], &[("ORDERFLOW_JWT_SECRET", "")]] {
        let ended = Process::run(&staff, variables).await;
        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
        assert!(ended.err.contains("set ORDERFLOW_JWT_SECRET, or pass --dev"), "{}", ended.err);
    }
    assert_eq!(Process::run(&["token", "--sub", "x", "--role", "king", "--dev"], &[]).await.code, Some(2));
}

#[tokio::test]
async fn the_schema_is_printed_and_nothing_else() {
    let ended = Process::run(&["schema"], &[]).await;
    assert_eq!((ended.code, ended.out, ended.err), (Some(0), orderflow::graphql::sdl(), String::new()));
}

#[test]
fn a_reader_that_has_gone_away_has_heard_enough() {
    for args in [&["schema"][..], &["token", "--sub", "staff", "--role", "staff", "--dev"], &["--help"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_orderflow"));
        let ended = command.env_clear().args(args).stdout(writer).output().expect("the binary runs");
        let err = String::from_utf8_lossy(&ended.stderr);
        assert_eq!((ended.status.code(), err.contains("panicked")), (Some(0), false), "{args:?}: {err}");
    }
}

#[tokio::test]
async fn four_migrations_at_once_and_one_more_make_one_schema() {
    let parts = servers().await;
    let at = at(&parts);
    let run = || Process::run(&["migrate"], &at);
    let (a, b, c, d) = tokio::join!(run(), run(), run(), run());
    for ended in [a, b, c, d, run().await] {
        assert_eq!((ended.code, ended.out.as_str()), (Some(0), "PostgreSQL and MongoDB are up to date.\n"), "{}", ended.err);
    }
    let found = Process::run(&["doctor"], &at).await;
    assert_eq!(found.code, Some(0), "{}", found.out);
    parts.drop().await;
}

#[tokio::test]
async fn the_demo_shop_is_loaded_once_however_often_one_asks() {
    let parts = servers().await;
    let at = at(&parts);
    for (args, said) in [
        (&["migrate"][..], "PostgreSQL and MongoDB are up to date.\n"),
        (&["demo"], "The demo shop is loaded: 4 users, 8 products, 28 orders.\n"),
        (&["demo"], "The demo shop was there already: 4 users, 8 products, 28 orders.\n"),
        (&["demo", "--if-empty"], "There are users already; the demo shop is left alone.\n"),
    ] {
        let ended = Process::run(args, &at).await;
        assert_eq!((ended.code, ended.out.as_str()), (Some(0), said), "{args:?}: {}", ended.err);
    }
    parts.drop().await;
}

#[tokio::test]
async fn a_read_model_is_rebuilt_whole_also_when_nothing_else_runs() {
    let parts = servers().await;
    let at = at(&parts);
    for command in ["migrate", "demo"] {
        assert_eq!(Process::run(&[command], &at).await.code, Some(0));
    }
    let alone = Process::run(&["rebuild", "orders"], &at).await;
    assert_eq!(alone.code, Some(1));
    assert!(alone.err.contains("\"orders\" cannot be rebuilt alone"), "{}", alone.err);
    let status = Process::run(&["rebuild", "--status"], &at).await;
    assert_eq!((status.code, status.out.as_str()), (Some(0), "live      generation 1, written by fold 1\n"), "{}", status.err);

    let done = Process::run(&["rebuild", "--json"], &at).await;
    assert_eq!(done.code, Some(0), "{}{}", done.out, done.err);
    let told: serde_json::Value = serde_json::from_str(&done.out).expect("JSON");
    assert_eq!((&told["live"]["id"], &told["previous"]["id"], &told["job"]["step"]), (&2.into(), &1.into(), &"DONE".into()));
    let mongo = mongodb::Client::with_uri_str(&parts.mongodb_uri).await.expect("MongoDB").default_database().expect("a database");
    let orders = mongo.collection::<mongodb::bson::Document>("orders.generation.2");
    assert_eq!(orders.count_documents(mongodb::bson::doc! {}).await.expect("count"), 28);

    // Nothing has been published yet, so the one before knows nothing.
    let undo = Process::run(&["rebuild", "--undo"], &at).await;
    assert_eq!(undo.code, Some(1));
    assert!(undo.err.contains("wait to be published"), "{}", undo.err);
    let dropped = Process::run(&["rebuild", "--drop-previous"], &at).await;
    assert_eq!(dropped.code, Some(0), "{}", dropped.err);
    assert!(dropped.out.starts_with("live      generation 2, written by fold 1\nlast job  removal of"), "{}", dropped.out);
    let again = Process::run(&["rebuild", "--drop-previous"], &at).await;
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("no previous read model"), "{}", again.err);
    parts.drop().await;
}

#[tokio::test]
async fn the_doctor_says_what_is_wrong_with_which_part() {
    let parts = servers().await;
    let empty = Process::run(&["doctor"], &at(&parts)).await;
    assert_eq!(empty.code, Some(1));
    let line = |out: &str, name: &str| out.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{out}")).to_owned();
    let postgres = line(&empty.out, "PostgreSQL");
    assert!(postgres.starts_with("WRONG") && postgres.contains("run `orderflow migrate`"), "{postgres}");
    assert!(empty.err.contains("1 of 3 parts"), "{}", empty.err);

    assert_eq!(Process::run(&["migrate"], &at(&parts)).await.code, Some(0));
    let well = Process::run(&["doctor"], &at(&parts)).await;
    assert_eq!((well.code, well.err.as_str()), (Some(0), ""), "{}", well.out);
    for name in ["PostgreSQL", "RabbitMQ", "MongoDB"] {
        assert!(line(&well.out, name).starts_with("ok"), "{}", well.out);
    }
    // Nobody listens on port 1.
    let nowhere = [
        ("DATABASE_URL", "postgres://me:hunter2@127.0.0.1:1/db"),
        ("AMQP_URL", "amqp://me:hunter2@127.0.0.1:1/v"),
        ("MONGODB_URI", "mongodb://me:hunter2@127.0.0.1:1/db"),
    ];
    let away = Process::run(&["doctor"], &nowhere).await;
    assert_eq!(away.code, Some(1));
    assert!(away.err.contains("3 of 3 parts"), "{}", away.err);
    assert!(!away.out.contains("hunter2") && !away.err.contains("hunter2"), "a password is told:\n{}{}", away.out, away.err);
    parts.drop().await;
}
