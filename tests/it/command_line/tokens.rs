//! The keys of tokens, as an operator sets them and looks at them. None of this needs the three servers.

use super::{Process, SECRET};
use crate::auth::issuer::{Issuer, Pair, key_file};
use orderflow::{
    auth::{Keys, Rules, Settings},
    clock::Clock,
    config::DEV_SECRET,
    value::Role,
};
use serde_json::json;

/// Nobody listens on port 1.
const NOWHERE: [(&str, &str); 3] = [
    ("DATABASE_URL", "postgres://me:hunter2@127.0.0.1:1/db"),
    ("AMQP_URL", "amqp://me:hunter2@127.0.0.1:1/v"),
    ("MONGODB_URI", "mongodb://me:hunter2@127.0.0.1:1/db"),
];

fn nowhere_and<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&NOWHERE, more].concat()
}

#[tokio::test]
async fn keys_that_do_not_go_together_are_told_with_all_that_is_wrong() {
    let private = key_file("rsa.pem");
    let variables = [
        ("ORDERFLOW_JWT_SECRET", SECRET),
        ("ORDERFLOW_JWT_PUBLIC_KEY", &private),
        ("ORDERFLOW_JWKS_URL", "https://me:hunter2@id.example/keys"),
        ("ORDERFLOW_JWT_AUDIENCE", ""),
    ];
    let ended = Process::run(&["serve"], &variables).await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{}", ended.err);
    for told in [
        "  - DATABASE_URL: is not set",
        "  - ORDERFLOW_JWT_SECRET: does not go with",
        "  - ORDERFLOW_JWT_PUBLIC_KEY: ",
        "\"PRIVATE KEY\" is no public key",
        "  - ORDERFLOW_JWKS_URL: has a user in it",
        "  - ORDERFLOW_JWT_AUDIENCE: is empty",
    ] {
        assert!(ended.err.contains(told), "{told} in:\n{}", ended.err);
    }
    assert!(!ended.err.contains("hunter2") && !ended.err.contains(SECRET), "{}", ended.err);
}

#[tokio::test]
async fn a_server_that_cannot_have_its_keys_does_not_start_and_says_why() {
    let variables = nowhere_and(&[("ORDERFLOW_JWKS_URL", "http://127.0.0.1:1/keys?key=hunter2")]);
    let ended = Process::run(&["serve", "--http-addr", "127.0.0.1:0"], &variables).await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{}", ended.err);
    assert!(ended.err.contains("tokens cannot be checked: http://127.0.0.1:1/keys cannot be reached"), "{}", ended.err);
    assert!(ended.err.contains("set ORDERFLOW_JWT_ISSUER and ORDERFLOW_JWT_AUDIENCE"), "a warning is missing: {}", ended.err);
    assert!(!ended.err.contains("hunter2"), "{}", ended.err);
}

#[tokio::test]
async fn the_doctor_looks_at_the_keys_too() {
    let shared = json!({ "kty": "oct", "kid": "shared", "k": "c2VjcmV0" });
    let issuer = Issuer::publishing(&[shared, Pair::ed25519("summer").jwk()]).await;
    let (public, url) = (key_file("p256.pub.pem"), issuer.url() + "?key=hunter2");
    let keys = [("ORDERFLOW_JWT_PUBLIC_KEY", public.as_str()), ("ORDERFLOW_JWKS_URL", &url)];
    let well = Process::run(&["doctor"], &nowhere_and(&keys)).await;
    assert_eq!(well.code, Some(1));
    for line in
        ["ok     the key file: ES256\n", "ok     the key set: EdDSA \"summer\"; left out: key 1 (\"shared\"): it is symmetric"]
    {
        assert!(well.out.contains(line), "{line} in:\n{}", well.out);
    }
    assert!(well.err.contains("3 of 5 parts"), "{}", well.err);

    let private = key_file("p256.pem");
    let keys = [("ORDERFLOW_JWT_PUBLIC_KEY", private.as_str()), ("ORDERFLOW_JWKS_URL", "http://127.0.0.1:1/?key=hunter2")];
    let ill = Process::run(&["doctor"], &nowhere_and(&keys)).await;
    assert!(ill.out.contains("WRONG  the key file: ") && ill.out.contains("no public key"), "{}", ill.out);
    assert!(ill.out.contains("WRONG  the key set: http://127.0.0.1:1/ cannot be reached"), "{}", ill.out);
    assert!(ill.err.contains("5 of 5 parts") && !(ill.out + &ill.err).contains("hunter2"));
}

#[tokio::test]
async fn a_token_for_development_keeps_to_the_rules_that_are_set() {
    let variables = [
        ("ORDERFLOW_JWT_ISSUER", "https://id.example/"),
        ("ORDERFLOW_JWT_AUDIENCE", "orderflow"),
        ("ORDERFLOW_JWT_ROLE_CLAIM", "realm_access.roles"),
    ];
    let made = Process::run(&["token", "--sub", "grace", "--role", "staff", "--dev"], &variables).await;
    assert_eq!(made.code, Some(0), "{}", made.err);
    let rules = Rules {
        issuer: Some("https://id.example/".into()),
        audience: Some("orderflow".into()),
        role_claim: "realm_access.roles".into(),
        ..Rules::default()
    };
    let settings = Settings { secret: Some(DEV_SECRET.into()), rules, ..Settings::default() };
    let signed_in = Keys::by_secret(&settings, &Clock::system()).verify(made.out.trim()).expect("a good token");
    assert_eq!((signed_in.viewer.subject.as_str(), signed_in.viewer.role), ("grace", Role::Staff));
    let plain = Process::run(&["token", "--sub", "grace", "--role", "staff", "--dev"], &[]).await;
    assert!(Keys::by_secret(&settings, &Clock::system()).verify(plain.out.trim()).is_err(), "no issuer, no audience");
}
