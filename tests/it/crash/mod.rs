//! A process that dies at any line of its work: the real binary, aborted at a crash point while it works on the servers of a
//! test. Whoever goes on finds each command done once or not at all, and both sides tell the same story.

mod operator;
mod orphans;
mod people;
mod rebuild;
mod rename;
mod shutdown;
mod stages;
mod telling;

use crate::{command_line::process::Process, support::TestApp};
use mongodb::bson::doc;
use orderflow::crash::{BUGS, POINTS};
use serde_json::Value;
use std::{fs, net::SocketAddr, path::Path};

/// Makes a test of each point, and a list of the points.
macro_rules! deaths {
    ($list:ident of $die:ident { $($name:ident: $point:literal,)* }) => {
        pub const $list: &[&str] = &[$($point),*];
        $(
            #[tokio::test]
            async fn $name() {
                $die($point).await;
            }
        )*
    };
}
pub(crate) use deaths;

/// Starts the real binary on the servers of a test, with only these roles, to die at a point if one is given.
pub fn start(app: &TestApp, roles: &[&str], point: Option<&str>) -> Process {
    let parts = &app.config.parts;
    let mut variables = vec![
        ("DATABASE_URL", parts.database_url.as_str()),
        ("AMQP_URL", parts.bus.url.as_str()),
        ("MONGODB_URI", parts.mongodb_uri.as_str()),
    ];
    variables.extend(point.map(|point| ("ORDERFLOW_CRASH_AT", point)));
    let mut args = vec!["serve", "--dev", "--http-addr", "127.0.0.1:0", "--partitions", "2"];
    args.extend(roles.iter().flat_map(|role| ["--role", role]));
    Process::start(&args, &variables)
}

/// Where the API of a process is.
pub async fn address(process: &Process) -> SocketAddr {
    process.prints("Orderflow listens on http://").await.parse().expect("an address")
}

/// Waits until a process has died at its point, and of nothing else.
pub async fn dies(process: Process, point: &str) {
    let ended = process.end().await;
    let name = point.split(':').next().expect("a name");
    assert_eq!(ended.code, None, "{point}: {}", ended.err);
    assert!(ended.err.contains(&format!("crash: aborted at {name}\n")), "{point}: {}", ended.err);
}

/// Lets MongoDB end the transaction of a process that has died sooner than after its 60 seconds, as our stacks have it anyway.
pub async fn short_transactions(app: &TestApp) {
    let admin = app.mongo().await.client().database("admin");
    admin.run_command(doc! { "setParameter": 1, "transactionLifetimeLimitSeconds": 5 }).await.expect("set");
}

/// Events that nobody has confirmed yet.
pub async fn unpublished(app: &TestApp) -> i64 {
    app.number("SELECT count(*) FROM outbox").await
}

/// How many documents the read model has of each kind that people ask for.
pub async fn seen(app: &TestApp) -> usize {
    let model = app.read_model().await;
    ["orders", "users", "products", "changes", "sales"].iter().map(|name| model[name].len()).sum()
}

/// The base names of the points in some lists.
fn names<'a>(lists: &[&[&'a str]]) -> Vec<&'a str> {
    let mut names: Vec<_> = lists.concat().into_iter().map(|point| point.split(':').next().expect("a name")).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn sorted<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names
}

/// The texts in `beginning"..."` anywhere in the sources.
fn calls(beginning: &str) -> Vec<String> {
    fn gather(folder: &Path, beginning: &str, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                gather(&path, beginning, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source");
                found.extend(text.split(beginning).skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
            }
        }
    }
    let mut found = Vec::new();
    gather(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), beginning, &mut found);
    found.sort_unstable();
    found.dedup();
    found
}

#[test]
fn every_point_is_in_the_code_and_has_a_test() {
    assert_eq!(calls("crash::point(\""), sorted(POINTS));
    let events = [stages::WRITING, stages::PUBLISHING, stages::PROJECTING, rename::RENAMING, operator::OPERATING];
    let others = [shutdown::ENDING, shutdown::MIGRATING];
    let models =
        [rebuild::BUILDING, rebuild::SWITCHING, telling::TELLING, rebuild::UNDOING, rebuild::REMOVING, rebuild::FULFILLING];
    assert_eq!(names(&[&events[..], &others, &models].concat()), sorted(POINTS), "a test for each");
}

#[test]
fn every_bug_that_can_be_planted_is_in_the_code() {
    assert_eq!(calls("crash::planted(\""), sorted(BUGS));
}

#[tokio::test]
async fn what_is_armed_is_printed_and_a_slip_of_the_pen_is_no_proof() {
    let armed = Process::run(&["schema"], &[("ORDERFLOW_CRASH_AT", "after-commit:3")]).await;
    assert_eq!((armed.code, armed.err.as_str()), (Some(0), "crash: armed at after-commit:3\n"));
    let [one, same] = [(); 2].map(|()| Process::run(&["schema"], &[("ORDERFLOW_CRASH_SEED", "7")]));
    let (one, same) = tokio::join!(one, same);
    assert!(one.err.starts_with("crash: armed at "), "{}", one.err);
    assert_eq!(one.err, same.err);
    for (name, value) in [
        ("ORDERFLOW_CRASH_AT", "after-comit"),
        ("ORDERFLOW_CRASH_AT", "after-commit:0"),
        ("ORDERFLOW_CRASH_SEED", "seven"),
        ("ORDERFLOW_PLANTED_BUG", "off-by-one"),
    ] {
        let ended = Process::run(&["schema"], &[(name, value)]).await;
        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{name}={value}");
        assert!(ended.err.starts_with(&format!("orderflow: {name}: ")), "{}", ended.err);
    }
}

/// A receipt as it is told the first time or again.
pub fn replayed(receipt: &Value) -> bool {
    receipt["replayed"].as_bool().expect("a receipt says whether it is told again")
}
