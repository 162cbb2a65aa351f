//! Tokens, as friends and strangers make them.

use super::*;
use crate::value::Role;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::{
    path::PathBuf,
    sync::atomic::{AtomicI64, Ordering},
};

const SECRET: &str = "a secret of at least thirty-two characters";
/// Some time in 2033.
const NOW: i64 = 2_000_000_000;

fn keys() -> Keys {
    Keys::hs256(SECRET)
}

fn ada() -> Viewer {
    Viewer { subject: "ada".into(), role: Role::Customer }
}

fn path(name: &str) -> PathBuf {
    format!("{}/tests/data/keys/{name}", env!("CARGO_MANIFEST_DIR")).into()
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap()
}

/// A clock that stands still until it is set, and its hands.
fn clock() -> (Clock, Arc<AtomicI64>) {
    let hands = Arc::new(AtomicI64::new(NOW));
    let seen = Arc::clone(&hands);
    (Clock::from_fn(move || Time::from_unix_timestamp(seen.load(Ordering::Relaxed)).unwrap()), hands)
}

/// Keys from a file of PEM.
async fn from_file(name: &str, clock: &Clock) -> (Keys, Shutdown) {
    let shutdown = Shutdown::new();
    let settings = Settings { key_file: Some(path(name)), ..Settings::default() };
    (Keys::open(&settings, clock, &shutdown).await.unwrap(), shutdown)
}

fn claims(more: &Value) -> Value {
    let mut claims = json!({ "sub": "ada", "role": "CUSTOMER", "exp": NOW + 60 });
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    claims
}

fn signed(algorithm: Algorithm, key: &EncodingKey, more: &Value) -> String {
    jsonwebtoken::encode(&Header::new(algorithm), &claims(more), key).unwrap()
}

fn by_hand(header: &Value, signature: &str) -> String {
    let [header, claims] = [header, &claims(&json!({}))].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    format!("{header}.{claims}.{signature}")
}

#[test]
fn a_token_says_who_and_what() {
    let token = keys().sign(&ada(), Time::now_utc(), Duration::from_secs(60)).unwrap();
    assert_eq!(keys().verify_header(&format!("Bearer {token}")).unwrap().viewer, ada());
    assert_eq!(keys().verify_header(&format!("bearer  {token} ")).unwrap().viewer, ada());
}

#[test]
fn strangers_and_the_late_are_turned_away() {
    let now = Time::now_utc();
    let late = keys().sign(&ada(), now - time::Duration::HOUR, Duration::from_secs(60)).unwrap();
    assert!(keys().verify(&late).is_err(), "expired");
    let foreign = Keys::hs256("another secret of at least thirty-two").sign(&ada(), now, Duration::from_secs(60)).unwrap();
    assert!(keys().verify(&foreign).is_err(), "signed by somebody else");
    assert!(keys().verify_header("Basic YWRhOmFkYQ==").is_err());
    // {"alg":"none"}: the oldest trick.
    assert!(keys().verify("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEiLCJyb2xlIjoiQURNSU4iLCJleHAiOjk5OTk5OTk5OTl9.").is_err());
}

#[test]
fn the_time_is_that_of_the_clock() {
    let (clock, hands) = clock();
    let keys = Keys::by_secret(&Settings { secret: Some(SECRET.into()), ..Settings::default() }, &clock);
    let token = keys.sign(&ada(), clock.now(), Duration::from_secs(60)).unwrap();
    for (at, good) in [(NOW, true), (NOW + 69, true), (NOW + 70, false), (NOW - 1_000, true)] {
        hands.store(at, Ordering::Relaxed);
        assert_eq!(keys.verify(&token).is_ok(), good, "{} seconds from now", at - NOW);
    }
    assert_eq!(keys.verify(&token).unwrap().expires_at, NOW + 60, "the leeway prolongs nothing");
    let early = signed(Algorithm::HS256, &EncodingKey::from_secret(SECRET.as_bytes()), &json!({ "nbf": NOW }));
    for (at, good) in [(NOW - 11, false), (NOW - 10, true), (NOW, true)] {
        hands.store(at, Ordering::Relaxed);
        assert_eq!(keys.verify(&early).is_ok(), good, "{} seconds from now", at - NOW);
    }
}

#[test]
fn without_a_secret_nothing_is_signed_and_nobody_let_in() {
    let (clock, _) = clock();
    for secret in [None, Some(String::new())] {
        let nobody = Keys::by_secret(&Settings { secret, ..Settings::default() }, &clock);
        assert!(matches!(nobody.sign(&ada(), clock.now(), Duration::from_secs(60)), Err(CannotSign::NoSecret)));
        let empty = signed(Algorithm::HS256, &EncodingKey::from_secret(b""), &json!({}));
        assert_eq!(nobody.look_at(&empty).unwrap_err(), "unknown_key");
    }
}

#[tokio::test]
async fn each_kind_of_key_takes_its_own_algorithm_and_no_other() {
    let (clock, _) = clock();
    let rsa = EncodingKey::from_rsa_pem(&file("rsa.pem")).unwrap();
    let ec = EncodingKey::from_ec_pem(&file("p256.pem")).unwrap();
    let ed = EncodingKey::from_ed_pem(&file("ed25519.pem")).unwrap();
    let tokens = [
        ("rsa.pub.pem", signed(Algorithm::RS256, &rsa, &json!({}))),
        ("p256.pub.pem", signed(Algorithm::ES256, &ec, &json!({}))),
        ("ed25519.pub.pem", signed(Algorithm::EdDSA, &ed, &json!({}))),
    ];
    for (key, _) in &tokens {
        let (keys, shutdown) = from_file(key, &clock).await;
        for (own, token) in &tokens {
            let told = keys.look_at(token).map(|signed_in| signed_in.viewer);
            assert_eq!(told, if key == own { Ok(ada()) } else { Err("unknown_key") }, "{key} for {own}");
        }
        // The public key is no secret, in none of its forms, and neither is nothing.
        let der = pem::parse(file(key)).unwrap().into_contents();
        for secret in [file(key), file(key).trim_ascii().to_vec(), der, Vec::new()] {
            let confused = signed(Algorithm::HS256, &EncodingKey::from_secret(&secret), &json!({}));
            assert_eq!(keys.look_at(&confused).unwrap_err(), "unknown_key", "{key}");
        }
        for header in ["none", "None", "", "RS1"].map(|name| json!({ "alg": name, "typ": "JWT" })) {
            assert_eq!(keys.look_at(&by_hand(&header, "")).unwrap_err(), "malformed", "{key}: {header}");
        }
        shutdown.finish().await.unwrap();
    }
    let (keys, shutdown) = from_file("rsa.pub.pem", &clock).await;
    // The same key, but not the algorithm that it is trusted for.
    for algorithm in [Algorithm::RS384, Algorithm::RS512, Algorithm::PS256] {
        assert_eq!(keys.look_at(&signed(algorithm, &rsa, &json!({}))).unwrap_err(), "unknown_key", "{algorithm:?}");
    }
    // A key that the token brings along is nobody's.
    let own = jsonwebtoken::jwk::Jwk::from_encoding_key(&ed, Algorithm::EdDSA).unwrap();
    let header = Header { jwk: Some(own), ..Header::new(Algorithm::EdDSA) };
    assert!(keys.verify(&jsonwebtoken::encode(&header, &claims(&json!({})), &ed).unwrap()).is_err());
    let header = Header { crit: Some(vec!["b64".into()]), ..Header::new(Algorithm::RS256) };
    let critical = jsonwebtoken::encode(&header, &claims(&json!({})), &rsa).unwrap();
    assert_eq!(keys.look_at(&critical).unwrap_err(), "critical_extension");
    shutdown.finish().await.unwrap();
}

#[tokio::test]
async fn a_token_that_was_good_is_looked_at_again_each_time() {
    let (clock, hands) = clock();
    let (keys, shutdown) = from_file("ed25519.pub.pem", &clock).await;
    let ed = EncodingKey::from_ed_pem(&file("ed25519.pem")).unwrap();
    let token = signed(Algorithm::EdDSA, &ed, &json!({ "nbf": NOW }));
    assert!(keys.verify(&token).is_ok() && keys.verify(&token).is_ok());
    let (rest, signature) = token.rsplit_once('.').unwrap();
    let forged = format!("{rest}.{}", signature.chars().rev().collect::<String>());
    assert!(keys.verify(&forged).is_err(), "another signature");
    for (at, reason) in [(NOW + 70, "expired"), (NOW - 11, "not_yet_valid")] {
        hands.store(at, Ordering::Relaxed);
        assert_eq!(keys.look_at(&token).unwrap_err(), reason);
    }
    hands.store(NOW, Ordering::Relaxed);
    assert!(keys.verify(&token).is_ok());
    shutdown.finish().await.unwrap();
}

/// A key file that can be changed. It goes with its test.
struct KeyFile(PathBuf);

impl KeyFile {
    fn new(text: Vec<u8>) -> Self {
        let folder = std::env::temp_dir().join(format!("orderflow-keys-{}", uuid::Uuid::now_v7().simple()));
        std::fs::create_dir(&folder).unwrap();
        let this = Self(folder);
        this.put(text);
        this
    }

    fn path(&self) -> PathBuf {
        self.0.join("key.pem")
    }

    /// As Kubernetes does it: the new one is put in place whole.
    fn put(&self, text: Vec<u8>) {
        std::fs::write(self.0.join("next.pem"), text).unwrap();
        std::fs::rename(self.0.join("next.pem"), self.path()).unwrap();
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn a_key_file_can_be_changed_under_a_running_process() {
    let (clock, _) = clock();
    let key_file = KeyFile::new(file("ed25519.pub.pem"));
    let shutdown = Shutdown::new();
    let settings = Settings { key_file: Some(key_file.path()), refresh: Duration::from_millis(20), ..Settings::default() };
    let keys = Keys::open(&settings, &clock, &shutdown).await.unwrap();
    let old = signed(Algorithm::EdDSA, &EncodingKey::from_ed_pem(&file("ed25519.pem")).unwrap(), &json!({}));
    let new = signed(Algorithm::ES256, &EncodingKey::from_ec_pem(&file("p256.pem")).unwrap(), &json!({}));
    assert!(keys.verify(&old).is_ok() && keys.verify(&new).is_err());
    let mut public = keys.0.public.clone();
    drop(public.borrow_and_update());
    let mut changed = async || tokio::time::timeout(Duration::from_secs(10), public.changed()).await.unwrap().unwrap();
    key_file.put([file("ed25519.pub.pem"), file("p256.pub.pem")].concat());
    changed().await;
    assert!(keys.verify(&old).is_ok() && keys.verify(&new).is_ok(), "both for a while");
    key_file.put(file("p256.pub.pem"));
    changed().await;
    assert!(keys.verify(&old).is_err(), "the old one is withdrawn, and with it what was seen by it");
    assert!(keys.verify(&new).is_ok());
    shutdown.finish().await.unwrap();
}

#[tokio::test]
async fn a_key_file_that_has_become_useless_leaves_the_keys_as_they_were() {
    let key_file = KeyFile::new(file("ed25519.pub.pem"));
    let settings = Settings { key_file: Some(key_file.path()), ..Settings::default() };
    let (rotation, view) = Rotation::begin(&settings, &Arc::default()).await.unwrap().unwrap();
    let seen = || (view.borrow().generation, view.borrow().candidates(None, Algorithm::EdDSA).count());
    assert_eq!(seen(), (1, 1));
    for useless in [b"half a fi".to_vec(), file("ed25519.pem"), vec![b'-'; 100_000]] {
        key_file.put(useless);
        assert_eq!(rotation.look().await.len(), 1, "it is told");
        assert_eq!(seen(), (1, 1));
    }
    key_file.put(file("ed25519.pub.pem"));
    assert_eq!((rotation.look().await.len(), seen()), (0, (1, 1)), "the same keys are nothing new");
    key_file.put(file("p256.pub.pem"));
    assert_eq!((rotation.look().await.len(), seen()), (0, (2, 0)));
}

#[tokio::test]
async fn what_cannot_be_used_is_told_at_the_beginning() {
    let (clock, _) = clock();
    for (name, why) in [("none.pem", "cannot be read"), ("README.md", "no key"), ("rsa.pem", "no public key")] {
        let settings = Settings { key_file: Some(path(name)), ..Settings::default() };
        let told = Keys::open(&settings, &clock, &Shutdown::new()).await.unwrap_err();
        assert!(told.contains(name) && told.contains(why), "{told}");
    }
    assert_eq!(keys().look_at(&"x".repeat(LONGEST + 1)).unwrap_err(), "too_long");
    for nonsense in ["", ".", "..", "...", "a.b.c", "é.é.é"] {
        assert_eq!(keys().look_at(nonsense).unwrap_err(), "malformed", "{nonsense}");
    }
}
