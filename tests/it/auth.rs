//! Tokens of an issuer: whose are good, over HTTP and on a socket, and what happens when its keys change or cannot be had.

pub mod issuer;

use crate::support::{Client, Socket, TestApp, until};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use issuer::{Issuer, Pair, key_file, now, with};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use orderflow::{config::DEV_SECRET, value::Role};
use serde_json::{Value, json};
use std::time::Instant;

const QUESTION: &str = "{ products { totalCount } }";

/// Whether a token opens the catalogue, which is empty.
async fn is_good(app: &TestApp, token: &str) -> bool {
    let answer = Client::new(app.addr(), Some(token.to_owned())).answer(QUESTION, json!({})).await;
    let Some(error) = answer["errors"].get(0) else {
        assert_eq!(answer["data"]["products"]["totalCount"], 0, "{answer:#}");
        return true;
    };
    let told = (&error["extensions"]["code"], &error["message"]);
    assert_eq!(told, (&json!("UNAUTHENTICATED"), &json!("The token is not valid or has expired.")), "{answer:#}");
    false
}

/// A token is good for everything, on either way in.
async fn lets_in(app: &TestApp, token: &str) {
    assert!(is_good(app, token).await, "{token}");
    let mut socket = Socket::open(app.addr(), Some(token)).await;
    socket.subscribe("1", QUESTION, json!({})).await;
    assert_eq!(socket.next().await["products"]["totalCount"], 0);
}

/// A token is good for nothing, on either way in.
async fn keeps_out(app: &TestApp, token: &str, why: &str) {
    assert!(!is_good(app, token).await, "{why}");
    assert_eq!(Socket::begin(app.addr(), Some(token)).await.closed().await, Some(4403), "{why}");
}

async fn becomes_good(app: &TestApp, token: &str) {
    until("the new key", || async { if is_good(app, token).await { Ok(()) } else { Err("it is not known") } }).await;
}

/// By HS256, under a name.
fn by_secret(secret: &[u8], kid: Option<&str>) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::HS256) };
    jsonwebtoken::encode(&header, &with(json!({ "role": "ADMIN" })), &EncodingKey::from_secret(secret)).expect("a token")
}

fn unsigned(algorithm: &str, kid: &str) -> String {
    let header = json!({ "alg": algorithm, "typ": "JWT", "kid": kid });
    let [header, claims] = [header, with(json!({ "role": "ADMIN" }))].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    format!("{header}.{claims}.")
}

#[tokio::test]
async fn each_algorithm_signs_in_by_a_published_key() {
    let pairs = [Pair::rsa("a"), Pair::p256("b"), Pair::ed25519("c")];
    let issuer = Issuer::publishing(&pairs.each_ref().map(Pair::jwk)).await;
    let app = TestApp::build().trusting("--jwks-url", &issuer.url()).start().await;
    for pair in &pairs {
        lets_in(&app, &pair.token(json!({}))).await;
    }
    assert_eq!(issuer.fetches(), 1, "known keys are not asked for again");
    app.close().await;
}

#[tokio::test]
async fn each_algorithm_signs_in_by_a_key_from_a_file() {
    // One file with a key of each kind; tokens name no key, or whichever they like.
    let file = std::env::temp_dir().join(format!("orderflow-keys-{}.pem", uuid::Uuid::now_v7().simple()));
    let keys = ["rsa.pkcs1.pem", "p256.pub.pem", "ed25519.pub.pem"].map(|name| std::fs::read(key_file(name)).expect("a key"));
    std::fs::write(&file, keys.concat()).expect("a file");
    let app = TestApp::build().trusting("--jwt-public-key", file.to_str().expect("a path")).start().await;
    for pair in [Pair::rsa("a"), Pair::p256("b"), Pair::ed25519("c")] {
        lets_in(&app, &pair.token_named(None, json!({}))).await;
        assert!(is_good(&app, &pair.token(json!({}))).await);
    }
    // A public key is no secret, however it is written.
    let public = std::fs::read(key_file("rsa.pub.pem")).expect("a key");
    for secret in [&public, public.trim_ascii(), &keys[0], keys[0].trim_ascii(), DEV_SECRET.as_bytes(), b""] {
        keeps_out(&app, &by_secret(secret, None), "signed with what everybody knows").await;
    }
    keeps_out(&app, &Pair::weak_rsa("a").token(json!({})), "signed by somebody else").await;
    app.close().await;
    std::fs::remove_file(&file).expect("the file is there");
}

#[tokio::test]
async fn tokens_that_are_forged_stale_or_for_somebody_else_open_nothing() {
    let (rsa, ec, ed) = (Pair::rsa("rsa"), Pair::p256("ec"), Pair::ed25519("ed"));
    let issuer = Issuer::publishing(&[rsa.jwk(), ec.jwk()]).await;
    let app = TestApp::build()
        .trusting("--jwks-url", &issuer.url())
        .with("--jwt-issuer", "https://id.example/")
        .with("--jwt-audience", "orderflow")
        .with("--jwt-leeway", "60s")
        .start()
        .await;
    let (iss, aud) = ("https://id.example/", "orderflow");
    let ours = |mut changes: Value| {
        for (name, value) in [("iss", iss), ("aud", aud)] {
            if changes.get(name).is_none() {
                changes[name] = value.into();
            }
        }
        changes
    };
    lets_in(&app, &rsa.token(ours(json!({})))).await;
    lets_in(&app, &ec.token(ours(json!({ "aud": ["account", "orderflow"], "nbf": now() - 5 })))).await;
    for (token, why) in [
        (rsa.token(ours(json!({ "exp": now() - 20 }))), "a clock of ours that is ahead"),
        (rsa.token(ours(json!({ "nbf": now() + 20 }))), "a clock of theirs that is ahead"),
    ] {
        assert!(is_good(&app, &token).await, "{why}");
    }
    let public = std::fs::read(key_file("rsa.pub.pem")).expect("a key");
    let before = app.state().await;
    for (why, token) in [
        ("HS256 with the public key", by_secret(&public, Some("rsa"))),
        ("HS256 with the development secret", by_secret(DEV_SECRET.as_bytes(), None)),
        ("no algorithm", unsigned("none", "rsa")),
        ("no signature", unsigned("RS256", "rsa")),
        ("another's key under a known name", ed.token_named(Some("ec"), ours(json!({})))),
        ("a known key under another's name", rsa.token_named(Some("ec"), ours(json!({})))),
        ("a known key under an unknown name", rsa.token_named(Some("nobody"), ours(json!({})))),
        ("no name, and several keys", rsa.token_named(None, ours(json!({})))),
        ("a key that was never published", ed.token(ours(json!({})))),
        ("a forged key of the same kind", Pair::weak_rsa("rsa").token(ours(json!({})))),
        ("another issuer", rsa.token(ours(json!({ "iss": "https://id.example" })))),
        ("no issuer", rsa.token(json!({ "aud": aud }))),
        ("another audience", rsa.token(ours(json!({ "aud": "payments" })))),
        ("a list without us", rsa.token(ours(json!({ "aud": ["account", "orderflow-admin"] })))),
        ("no audience", rsa.token(json!({ "iss": iss }))),
        ("too early", rsa.token(ours(json!({ "nbf": now() + 200 })))),
        ("too late", rsa.token(ours(json!({ "exp": now() - 200 })))),
        ("no end", rsa.token(ours(json!({ "exp": null })))),
        ("nobody", rsa.token(ours(json!({ "sub": null })))),
        ("no role", rsa.token(ours(json!({ "role": null })))),
        ("a role that is none", rsa.token(ours(json!({ "role": "OWNER" })))),
    ] {
        keeps_out(&app, &token, why).await;
    }
    assert_eq!(app.state().await, before);
    app.close().await;
}

#[tokio::test]
async fn an_issuer_can_change_its_keys_under_a_running_server() {
    let (spring, summer) = (Pair::p256("spring"), Pair::ed25519("summer"));
    let issuer = Issuer::publishing(&[spring.jwk()]).await;
    let app = TestApp::build().trusting("--jwks-url", &issuer.url()).with("--jwks-refresh", "1h").start().await;
    let (old, new) = (spring.token(json!({})), summer.token(json!({})));
    let mut socket = Socket::open(app.addr(), Some(&old)).await;
    assert!(is_good(&app, &old).await && is_good(&app, &spring.token_named(None, json!({}))).await, "the only key needs no name");
    assert_eq!(issuer.fetches(), 1);

    // A token that names an unknown key is enough to have it looked for.
    issuer.publishes(&[spring.jwk(), summer.jwk()]);
    becomes_good(&app, &new).await;
    lets_in(&app, &old).await;
    socket.renew(&new).await;
    socket.subscribe("1", QUESTION, json!({})).await;
    assert_eq!(socket.next().await["products"]["totalCount"], 0);
    app.close().await;
}

#[tokio::test]
async fn a_key_that_is_withdrawn_is_good_no_longer() {
    let (spring, summer) = (Pair::p256("spring"), Pair::ed25519("summer"));
    let issuer = Issuer::publishing(&[spring.jwk(), summer.jwk()]).await;
    let app = TestApp::build().trusting("--jwks-url", &issuer.url()).with("--jwks-refresh", "1s").start().await;
    let (old, new) = (spring.token(json!({})), summer.token(json!({})));
    assert!(is_good(&app, &old).await && is_good(&app, &new).await);
    issuer.publishes(&[summer.jwk()]);
    until("the end of the key", || async { if is_good(&app, &old).await { Err("it is good") } else { Ok(()) } }).await;
    assert!(is_good(&app, &new).await);
    keeps_out(&app, &old, "withdrawn").await;
    app.close().await;
}

#[tokio::test]
async fn the_keys_that_were_good_serve_on_while_the_issuer_is_away_or_talks_nonsense() {
    let (spring, summer) = (Pair::p256("spring"), Pair::ed25519("summer"));
    let mut issuer = Issuer::publishing(&[spring.jwk()]).await;
    let app = TestApp::build().trusting("--jwks-url", &issuer.url()).with("--jwks-refresh", "1s").start().await;
    let token = spring.token(json!({}));
    lets_in(&app, &token).await;
    let padding = "x".repeat(300_000);
    for (status, text) in [
        (503, json!({ "keys": [summer.jwk()] }).to_string()),
        (200, "<html>Sign in to the hotel's network</html>".to_owned()),
        (200, json!({ "keys": [] }).to_string()),
        (200, json!({ "keys": [summer.jwk()], "padding": padding }).to_string()),
    ] {
        issuer.answers(status, text.clone());
        // The second comes when the first has been read.
        issuer.is_asked(2).await;
        assert!(is_good(&app, &token).await, "{status} {text:.80}");
        assert!(!is_good(&app, &summer.token(json!({}))).await, "{status} {text:.80}");
    }
    issuer.goes_away().await;
    let failed = failures(&app).await;
    until("failures", || async {
        let now = failures(&app).await;
        if now >= failed + 2 { Ok(()) } else { Err(now) }
    })
    .await;
    lets_in(&app, &token).await;
    until("readiness", || async {
        let (ready, parts) = app.readiness().await;
        if ready { Ok(()) } else { Err(parts) }
    })
    .await;
    app.close().await;
}

/// How often keys could not be had, by the server's own account.
async fn failures(app: &TestApp) -> u64 {
    let answer = reqwest::get(app.anonymous().url("/metrics")).await.expect("the server answers");
    let metrics = answer.text().await.expect("a text");
    let line = "orderflow_key_refreshes_total{outcome=\"failed\"} ";
    metrics.lines().find_map(|it| it.strip_prefix(line)).map_or(0, |count| count.parse().expect("a number"))
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_holds_nobody_up_for_long() {
    let (spring, summer) = (Pair::p256("spring"), Pair::ed25519("summer"));
    let issuer = Issuer::publishing(&[spring.jwk()]).await;
    let app = TestApp::build().trusting("--jwks-url", &issuer.url()).with("--jwks-refresh", "1s").start().await;
    issuer.falls_silent();
    issuer.is_asked(1).await;
    lets_in(&app, &spring.token(json!({}))).await;
    // The fetch that hangs is given up, and the next one finds what is new.
    issuer.publishes(&[summer.jwk()]);
    becomes_good(&app, &summer.token(json!({}))).await;
    app.close().await;
}

#[tokio::test]
async fn junk_among_the_keys_hides_none_of_the_good_ones() {
    let (good, weak) = (Pair::p256("good"), Pair::weak_rsa("weak"));
    let secret = "a secret that is published is none";
    let mut for_encryption = Pair::rsa("encryption").jwk();
    for_encryption["use"] = "enc".into();
    let mut for_another = Pair::rsa("another").jwk();
    for_another["alg"] = "RS512".into();
    let issuer = Issuer::publishing(&[
        Value::Null,
        json!("junk"),
        json!({ "kty": "oct", "kid": "shared", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode(secret) }),
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": "short", "x": "AAAA" }),
        json!({ "kty": "EC", "crv": "P-256", "kid": "nowhere", "x": "AAAA", "y": "AAAA" }),
        weak.jwk(),
        for_encryption,
        for_another,
        good.jwk(),
    ])
    .await;
    let app = TestApp::build().trusting("--jwks-url", &issuer.url()).start().await;
    lets_in(&app, &good.token(json!({}))).await;
    for (why, token) in [
        ("a symmetric key", by_secret(secret.as_bytes(), Some("shared"))),
        ("a key that is too short", Pair::ed25519("short").token(json!({}))),
        ("a point that lies nowhere", Pair::p256("nowhere").token(json!({}))),
        ("a weak key", weak.token(json!({}))),
        ("a key for encryption", Pair::rsa("encryption").token(json!({}))),
        ("a key for another algorithm", Pair::rsa("another").token(json!({}))),
    ] {
        keeps_out(&app, &token, why).await;
    }
    lets_in(&app, &good.token(json!({}))).await;
    app.close().await;
}

#[tokio::test]
async fn strangers_cannot_make_the_server_ask_without_end() {
    let (spring, stranger) = (Pair::p256("spring"), Pair::ed25519("stranger"));
    let issuer = Issuer::publishing(&[spring.jwk()]).await;
    let app = TestApp::build().trusting("--jwks-url", &issuer.url()).with("--jwks-refresh", "1h").start().await;
    let started = Instant::now();
    let flood = async || {
        for number in 0..40 {
            assert!(!is_good(&app, &stranger.token_named(Some(&format!("kid-{number}")), json!({}))).await);
        }
    };
    flood().await;
    until("the first fetch", || async { if issuer.fetches() >= 2 { Ok(()) } else { Err(issuer.fetches()) } }).await;
    flood().await;
    // One at the start, one at once, and then one in ten seconds at most.
    let most = 2 + started.elapsed().as_secs() / 10;
    assert!(issuer.fetches() as u64 <= most, "{} fetches", issuer.fetches());
    assert!(is_good(&app, &spring.token(json!({}))).await);
    app.close().await;
}

#[tokio::test]
async fn in_development_the_built_in_tokens_go_on_working_beside_an_issuers() {
    let pair = Pair::ed25519("dev");
    let issuer = Issuer::publishing(&[pair.jwk()]).await;
    let app = TestApp::build()
        .with("--jwks-url", &issuer.url())
        .with("--jwt-issuer", "https://id.example/")
        .with("--jwt-audience", "orderflow")
        .with("--jwt-role-claim", "realm_access.roles")
        .start()
        .await;
    lets_in(&app, &app.token("staff", Role::Staff)).await;
    let claims = |roles: &[&str]| {
        json!({
            "iss": "https://id.example/", "aud": "orderflow", "role": "ADMIN", "realm_access": { "roles": roles },
        })
    };
    let create = json!({ "sku": "TEA-1", "name": "Tea", "price": { "amount": "6.50", "currencyCode": "GBP" } });
    let as_one_with = |roles: &[&str]| Client::new(app.addr(), Some(pair.token(claims(roles))));
    assert_eq!(as_one_with(&["offline_access", "CUSTOMER"]).refused("createProduct", create.clone()).await, "FORBIDDEN");
    keeps_out(&app, &pair.token(claims(&["offline_access", "ADMINISTRATOR"])), "none of our roles").await;
    as_one_with(&["offline_access", "CUSTOMER", "STAFF"]).accepted("createProduct", create).await;
    app.close().await;
}
