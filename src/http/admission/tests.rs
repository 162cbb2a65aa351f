use super::*;
use crate::config::Rate;
use std::num::{NonZeroU32, NonZeroUsize};

fn limits() -> config::Clients {
    let number = |n| NonZeroU32::new(n).unwrap();
    config::Clients {
        rate: Some(Rate { per_second: number(1), burst: number(3) }),
        operations: 3,
        client_operations: Some(2),
        socket_operations: 10,
        sockets: 3,
        client_sockets: Some(2),
        connections: 10,
        client_connections: None,
        trusted_proxies: Vec::new(),
        head_timeout: Duration::from_secs(1),
        idle_timeout: Duration::from_secs(1),
        body_timeout: Duration::from_secs(1),
        write_timeout: Duration::from_secs(1),
        bodies: 1_000,
    }
}

fn subject(name: &str) -> Key {
    Key::Subject(name.into())
}

#[test]
fn a_client_has_a_bucket_and_places_of_its_own() {
    let door = Admission::new(&limits());
    let [ada, alan] = ["ada", "alan"].map(|name| door.known_as(subject(name)));
    for _ in 0..3 {
        ada.request().unwrap();
    }
    let Err(Refusal::Requests(wait)) = ada.request() else { panic!("a fourth request at once") };
    assert!(wait <= Duration::from_secs(1), "{wait:?}");
    alan.request().unwrap();

    let hers = [ada.operation().ok().unwrap(), ada.operation().ok().unwrap()];
    assert_eq!(ada.operation().err(), Some(Refusal::Operations));
    let his = alan.operation().ok().unwrap();
    assert_eq!(alan.operation().err(), Some(Refusal::Overloaded("operations")));
    drop(hers);
    let _more = (alan.operation().ok().unwrap(), ada.operation().ok().unwrap());
    drop(his);
}

#[test]
fn a_refusal_takes_no_place() {
    let door = Admission::new(&limits());
    let ada = door.known_as(subject("ada"));
    let held: Vec<_> = (0..2).map(|_| ada.socket().ok().unwrap()).collect();
    for _ in 0..10 {
        assert_eq!(ada.socket().err(), Some(Refusal::Sockets));
    }
    let _last = door.known_as(subject("alan")).socket().ok().unwrap();
    drop(held);
    ada.socket().ok().unwrap();
}

#[test]
fn bodies_have_a_budget() {
    let door = Admission::new(&limits());
    let held = door.body(900).unwrap();
    assert_eq!(door.body(101).err(), Some(Refusal::Overloaded("bodies")));
    drop(held);
    drop(door.body(1_000).unwrap());
}

#[test]
fn the_number_of_known_clients_is_bounded_and_busy_ones_are_kept() {
    let mut clients = Clients::new(&limits());
    clients.known.resize(NonZeroUsize::new(10).unwrap());
    let busy = clients.client(subject("busy"));
    for n in 0..1_000 {
        clients.client(subject(&n.to_string()));
        assert!(clients.known.len() <= 10);
    }
    assert!(Arc::ptr_eq(&busy, &clients.client(subject("busy"))));
}

#[test]
fn idle_clients_are_forgotten() {
    let mut clients = Clients::new(&limits());
    clients.forget_after = Duration::ZERO;
    let busy = clients.client(subject("busy"));
    for n in 0..100 {
        clients.client(subject(&n.to_string()));
    }
    assert!(clients.known.len() <= 3, "{} are known", clients.known.len());
    assert!(Arc::ptr_eq(&busy, &clients.client(subject("busy"))));
}
