//! Deaths while nothing should be going on: in a shutdown, and in a migration.

use super::{address, deaths, dies, start};
use crate::{
    command_line::{at, process::Process, servers},
    support::TestApp,
};
use orderflow::config::Role::{Api, Projector, Relay};

deaths!(ENDING of an_ending_process_dies_at {
    when_the_drain_begins_what_was_committed_is_kept: "shutdown-draining",
    when_all_tasks_are_done_what_was_committed_is_kept: "shutdown-drained",
});

async fn an_ending_process_dies_at(point: &str) {
    let mut app = TestApp::build().roles(&[Api]).start().await;
    let (_, ada) = app.customer("Ada Lovelace").await;
    let tea = app.product("TEA-1", 650, 10).await;
    let ending = start(&app, &["api", "relay", "projector"], Some(point));
    let there = ada.at(address(&ending).await);
    for _ in 0..3 {
        there.place(&[(&tea, 1)]).await;
    }
    ending.signal("TERM");
    dies(ending, point).await;
    app.join(&[Relay, Projector]).await;
    assert_eq!((app.agree().await, app.free(&tea).await), (3, 7));
    app.close().await;
}

deaths!(MIGRATING of a_migration_dies_at {
    with_its_turn_nothing_is_migrated: "migration-turn",
    with_postgresql_done_the_turn_is_given_back: "migration-postgres",
    between_the_databases_the_second_is_done_next_time: "migration-between",
    between_two_collections_the_others_are_made_next_time: "migration-collections:3",
    between_two_indexes_the_others_are_made_next_time: "migration-indexes:2",
});

async fn a_migration_dies_at(point: &str) {
    let parts = servers().await;
    let well = at(&parts);
    let dying = [&well[..], &[("ORDERFLOW_CRASH_AT", point)]].concat();
    dies(Process::start(&["migrate"], &dying), point).await;
    for (command, said) in [("migrate", "PostgreSQL and MongoDB are up to date.\n"), ("demo", "The demo shop is loaded: 4 users")]
    {
        let ended = Process::run(&[command], &well).await;
        assert_eq!((ended.code, ended.out.starts_with(said)), (Some(0), true), "{command}: {}{}", ended.out, ended.err);
    }
    let found = Process::run(&["doctor"], &well).await;
    assert_eq!(found.code, Some(0), "{}", found.out);
    parts.drop().await;
}
