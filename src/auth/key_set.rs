//! Several keys of one origin: a file in PEM, or a published set (JWKS, RFC 7517).

use super::key::Key;
use jsonwebtoken::jwk::Jwk;
use serde::Deserialize;
use serde_json::Value;
use std::fmt;

/// Keys of a file at most: the one in use, and the ones before and after it.
const IN_A_FILE: usize = 4;
/// Keys that are taken from a published set at most; what stands behind them is left out. Issuers publish two or three.
const PUBLISHED: usize = 64;

#[derive(Default)]
pub(super) struct KeySet {
    pub keys: Vec<Key>,
    /// What was left out, and why; a line each.
    pub unusable: Vec<String>,
    /// The text that it was read from, to see whether another one says something new.
    pub text: Vec<u8>,
}

/// A published set, of which each key is read for itself: one that nobody can read must not hide the others.
#[derive(Deserialize)]
struct Published {
    keys: Vec<Value>,
}

impl KeySet {
    /// All the keys of a file. The operator wrote it, so all of it must be right.
    ///
    /// # Errors
    /// What is wrong with it, for the operator.
    pub fn from_pem(text: Vec<u8>) -> Result<Self, String> {
        let blocks = pem::parse_many(&text).map_err(|error| format!("is not PEM: {error}"))?;
        if blocks.is_empty() {
            return Err("has no key in it: wanted is PEM (-----BEGIN PUBLIC KEY-----)".into());
        }
        if blocks.len() > IN_A_FILE {
            return Err(format!("has {} keys, of at most {IN_A_FILE}", blocks.len()));
        }
        let keys = blocks.iter().enumerate();
        let keys = keys.map(|(at, block)| Key::from_pem(block).map_err(|why| format!("key {}: {why}", at + 1)));
        Ok(Self { keys: keys.collect::<Result<_, _>>()?, unusable: Vec::new(), text })
    }

    /// The keys of a published set that can be used.
    ///
    /// # Errors
    /// It is no key set, or none of its keys can be used.
    pub fn from_jwks(text: Vec<u8>) -> Result<Self, String> {
        let published: Published =
            serde_json::from_slice(&text).map_err(|_| "what it answers is no key set (JSON with \"keys\")")?;
        let mut set = Self { text, ..Self::default() };
        for (at, value) in published.keys.into_iter().enumerate() {
            if set.keys.len() == PUBLISHED {
                set.unusable.push(format!("everything from key {} on: {PUBLISHED} are enough", at + 1));
                break;
            }
            let name = value.get("kid").and_then(Value::as_str).map_or(String::new(), |kid| format!(" ({kid:?})"));
            let jwk = serde_json::from_value::<Jwk>(value).map_err(|_| "it is no JSON Web Key".to_owned());
            match jwk.and_then(|jwk| Key::from_jwk(&jwk)) {
                Ok(key) => set.keys.push(key),
                Err(why) if set.unusable.len() < PUBLISHED => set.unusable.push(format!("key {}{name}: {why}", at + 1)),
                Err(_) => {}
            }
        }
        if set.keys.is_empty() {
            return Err(format!("no key of the set can be used ({set})"));
        }
        Ok(set)
    }
}

impl fmt::Display for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for key in &self.keys {
            write!(f, "{between}{:?}", key.algorithm)?;
            if let Some(kid) = &key.kid {
                write!(f, " {kid:?}")?;
            }
            between = ", ";
        }
        if self.keys.is_empty() {
            f.write_str("none")?;
        }
        for why in &self.unusable {
            write!(f, "; left out: {why}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{Algorithm, EncodingKey};
    use serde_json::json;

    fn file(name: &str) -> Vec<u8> {
        std::fs::read(format!("{}/tests/data/keys/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    /// A public key as an issuer publishes it.
    fn jwk(name: &str, kid: &str) -> Value {
        let (algorithm, key) = match name {
            "p256" => (Algorithm::ES256, EncodingKey::from_ec_pem(&file("p256.pem"))),
            "p384" => (Algorithm::ES384, EncodingKey::from_ec_pem(&file("p384.pem"))),
            "ed25519" => (Algorithm::EdDSA, EncodingKey::from_ed_pem(&file("ed25519.pem"))),
            rsa => (Algorithm::RS256, EncodingKey::from_rsa_pem(&file(&format!("{rsa}.pem")))),
        };
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&key.unwrap(), algorithm).unwrap()).unwrap();
        jwk["kid"] = kid.into();
        jwk
    }

    fn with(mut jwk: Value, name: &str, value: impl Into<Value>) -> Value {
        jwk[name] = value.into();
        jwk
    }

    fn read(keys: &[Value]) -> Result<KeySet, String> {
        KeySet::from_jwks(json!({ "keys": keys }).to_string().into_bytes())
    }

    #[test]
    fn what_can_be_used_is_taken_and_the_rest_left_out() {
        let set = read(&[
            with(jwk("rsa", "a"), "use", "sig"),
            Value::Null,
            json!("junk"),
            with(jwk("p256", "b"), "key_ops", json!(["verify"])),
            jwk("ed25519", "c"),
        ]);
        let set = set.unwrap();
        let keys: Vec<_> = set.keys.iter().map(|key| (key.kid.as_deref().unwrap(), key.algorithm)).collect();
        assert_eq!(keys, [("a", Algorithm::RS256), ("b", Algorithm::ES256), ("c", Algorithm::EdDSA)]);
        assert_eq!(set.unusable.len(), 2);
        assert_eq!(
            set.to_string(),
            "RS256 \"a\", ES256 \"b\", EdDSA \"c\"; left out: key 2: it is no JSON Web Key; \
             left out: key 3: it is no JSON Web Key"
        );
    }

    #[test]
    fn each_kind_of_junk_is_told_apart() {
        let mut unnamed = jwk("rsa", "x");
        unnamed.as_object_mut().unwrap().remove("alg");
        assert!(read(std::slice::from_ref(&unnamed)).is_ok(), "without `alg`, the kind of the key decides");
        for (junk, why) in [
            (json!({}), "neither"),
            (json!(17), "no JSON Web Key"),
            (json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "x" }), "symmetric"),
            (json!({ "kty": "RSA", "e": "AQAB" }), "neither"),
            (json!({ "kty": "OKP", "crv": "X25519", "x": "AA" }), "neither"),
            (json!({ "kty": "OKP", "crv": "Ed25519", "x": "AAAA" }), "32 bytes"),
            (jwk("p384", "x"), "neither"),
            (jwk("rsa-weak", "x"), "2048 to 4096"),
            (with(unnamed.clone(), "e", "AQ"), "exponent"),
            (with(unnamed.clone(), "n", "not base64!"), "base64url"),
            (with(unnamed.clone(), "alg", "RS512"), "not for RS256"),
            (with(unnamed.clone(), "alg", "HS256"), "not for RS256"),
            (with(unnamed.clone(), "alg", "of the future"), "not for RS256"),
            (with(unnamed.clone(), "use", "enc"), "not for signatures"),
            (with(unnamed, "key_ops", json!(["sign"])), "not for checking"),
            (with(jwk("p256", "x"), "x", "AA"), "no key of ES256"),
            (with(jwk("p256", "x"), "y", jwk("p256", "x")["x"].clone()), "no key of ES256"),
        ] {
            let told = read(std::slice::from_ref(&junk)).err().unwrap_or_else(|| panic!("{junk} is taken"));
            assert!(told.contains(why), "{junk}: {told}");
        }
    }

    #[test]
    fn a_set_is_bounded_and_never_empty() {
        let many: Vec<_> = (0..PUBLISHED + 9).map(|n| jwk("ed25519", &n.to_string())).collect();
        let set = read(&many).unwrap();
        assert_eq!((set.keys.len(), set.unusable.len()), (PUBLISHED, 1));
        let junk = vec![Value::Null; 1_000];
        assert!(read(&junk).err().unwrap().matches("left out").count() <= PUBLISHED);
        assert!(read(&[]).is_err());
        for text in ["", "[]", "{}", "{\"keys\":{}}", "<html>"] {
            assert!(KeySet::from_jwks(text.as_bytes().to_vec()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_file_holds_a_few_keys_and_all_are_right() {
        let both = [file("rsa.pub.pem"), file("ed25519.pub.pem")].concat();
        let set = KeySet::from_pem(both.clone()).unwrap();
        assert_eq!(set.to_string(), "RS256, EdDSA");
        let five = [both.clone(), both.clone(), file("p256.pub.pem")].concat();
        assert!(KeySet::from_pem(five).err().unwrap().contains("5 keys"));
        let one_wrong = [both, file("p256.pem")].concat();
        assert!(KeySet::from_pem(one_wrong).err().unwrap().starts_with("key 3: "));
        assert!(KeySet::from_pem(b"hello".to_vec()).is_err());
    }
}
