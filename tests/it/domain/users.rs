//! How users come to be known and change their profile.

use super::shop::{no, yes};
use orderflow::{
    domain::{
        Code,
        user::{User, UserCommand, decide, evolve},
    },
    event::UserEvent,
    value::{DisplayName, Email, Role},
};

fn email(text: &str) -> Email {
    Email::parse(text).expect("an address")
}

fn name(text: &str) -> DisplayName {
    DisplayName::parse(text).expect("a name")
}

fn create() -> UserCommand {
    UserCommand::Create { email: email("ada@example.com"), display_name: name("Ada Byron"), role: Role::Staff }
}

fn change(expected_version: Option<i64>, email: Option<Email>, display_name: Option<DisplayName>) -> UserCommand {
    UserCommand::UpdateProfile { expected_version, email, display_name }
}

fn ada() -> User {
    evolve(None, &yes(decide(None, create()))).expect("a creation makes a user")
}

#[test]
fn somebody_new_is_known_by_name_address_and_role() {
    let ada = ada();
    assert_eq!((ada.version, ada.role), (1, Role::Staff));
    assert_eq!((ada.email, ada.display_name), (email("ada@example.com"), name("Ada Byron")));
}

#[test]
fn nobody_is_created_twice() {
    no(decide(Some(&ada()), create()), Code::InvalidInput, "");
}

#[test]
fn a_change_touches_only_what_it_names() {
    let married = yes(decide(Some(&ada()), change(None, None, Some(name("Ada Lovelace")))));
    assert_eq!(married, UserEvent::ProfileUpdated { email: None, display_name: Some(name("Ada Lovelace")) });
    let ada = evolve(Some(ada()), &married).expect("she stays");
    assert_eq!((ada.version, &ada.email, &ada.display_name), (2, &email("ada@example.com"), &name("Ada Lovelace")));

    let moved = yes(decide(Some(&ada), change(Some(2), Some(email("ada@lovelace.example")), None)));
    let ada = evolve(Some(ada), &moved).expect("she stays");
    assert_eq!((ada.version, ada.role), (3, Role::Staff));
    assert_eq!((ada.email, ada.display_name), (email("ada@lovelace.example"), name("Ada Lovelace")));
}

#[test]
fn a_change_of_nothing_is_no_change() {
    no(decide(Some(&ada()), change(None, None, None)), Code::InvalidInput, "");
}

#[test]
fn a_stranger_has_no_profile_to_change() {
    no(decide(None, change(None, None, Some(name("Nobody")))), Code::NotFound, "input.userId");
    let change = UserEvent::ProfileUpdated { email: None, display_name: Some(name("Nobody")) };
    assert_eq!(evolve(None, &change), None);
}

#[test]
fn who_has_seen_an_older_profile_is_told() {
    let answer = decide(Some(&ada()), change(Some(7), None, Some(name("Ada Lovelace"))));
    assert_eq!(no(answer, Code::Conflict, "input.expectedVersion").current_version, Some(1));
}
