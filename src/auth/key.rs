//! One key, and the one algorithm that it is for.
//!
//! A key is looked at closely before it is taken: the library reads most keys only when a token comes, and panics over an Ed25519
//! key that is too short.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, DecodingKeyKind, Validation,
    crypto::{self, rust_crypto::DEFAULT_PROVIDER},
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse},
};
use serde_json::{Map, Value};

/// Bits of an RSA key: fewer are forbidden (RFC 7518, section 3.3), and more the library does not check.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=4_096;

/// Checks signatures by one algorithm.
pub(super) struct Key {
    /// The name by which tokens ask for it.
    pub kid: Option<String>,
    pub algorithm: Algorithm,
    decoding: DecodingKey,
    validation: Validation,
}

impl Key {
    /// HS256.
    pub fn secret(secret: &str) -> Self {
        Self::new(None, Algorithm::HS256, DecodingKey::from_secret(secret.as_bytes()))
    }

    /// A public key of RS256, ES256 or EdDSA.
    ///
    /// # Errors
    /// Why it cannot be used, for the operator.
    pub fn from_pem(block: &pem::Pem) -> Result<Self, String> {
        if !matches!(block.tag(), "PUBLIC KEY" | "RSA PUBLIC KEY") {
            let hint =
                "wanted is PUBLIC KEY (from a private key: openssl pkey -pubout; from a certificate: openssl x509 -pubkey)";
            return Err(format!("{:?} is no public key; {hint}", block.tag()));
        }
        let text = pem::encode(block);
        let text = text.as_bytes();
        let (algorithm, decoding) = if let Ok(key) = DecodingKey::from_rsa_pem(text) {
            (Algorithm::RS256, key)
        } else if let Ok(key) = DecodingKey::from_ec_pem(text) {
            (Algorithm::ES256, key)
        } else if let Ok(key) = DecodingKey::from_ed_pem(text) {
            (Algorithm::EdDSA, key)
        } else {
            return Err("it is neither an RSA key nor one on P-256 or Ed25519".into());
        };
        Self::checked(None, algorithm, decoding)
    }

    /// A key of a published set. Private and symmetric ones are refused: whoever can read the set could sign.
    ///
    /// # Errors
    /// Why it cannot be used, for the operator.
    pub fn from_jwk(jwk: &Jwk) -> Result<Self, String> {
        let (algorithm, decoding) = match &jwk.algorithm {
            AlgorithmParameters::RSA(rsa) => {
                (Algorithm::RS256, DecodingKey::from_rsa_raw_components(&bytes(&rsa.n)?, &bytes(&rsa.e)?))
            }
            AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
                // An uncompressed point (SEC 1, section 2.3.3).
                let point = [vec![4], bytes(&ec.x)?, bytes(&ec.y)?].concat();
                (Algorithm::ES256, DecodingKey::from_ec_der(&point))
            }
            AlgorithmParameters::OctetKeyPair(ed) if ed.curve == EllipticCurve::Ed25519 => {
                (Algorithm::EdDSA, DecodingKey::from_ed_der(&bytes(&ed.x)?))
            }
            AlgorithmParameters::OctetKey(_) => return Err("it is symmetric: whoever can read the set could sign".into()),
            _ => return Err("it is neither an RSA key nor one on P-256 or Ed25519, or a part of it is missing".into()),
        };
        if jwk.common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
            return Err("it is not for signatures".into());
        }
        if jwk.common.key_operations.as_ref().is_some_and(|may| !may.contains(&KeyOperations::Verify)) {
            return Err("it is not for checking signatures".into());
        }
        if jwk.common.key_algorithm.is_some_and(|wanted| wanted != KeyAlgorithm::from(algorithm)) {
            return Err(format!("it is not for {algorithm:?}, the only algorithm that is accepted with such a key"));
        }
        Self::checked(jwk.common.key_id.clone(), algorithm, decoding)
    }

    /// The claims of a token that this key has signed, whatever they are.
    pub fn verify(&self, token: &str) -> Option<Map<String, Value>> {
        jsonwebtoken::decode(token, &self.decoding, &self.validation).ok().map(|token| token.claims)
    }

    fn checked(kid: Option<String>, algorithm: Algorithm, decoding: DecodingKey) -> Result<Self, String> {
        match algorithm {
            Algorithm::RS256 => check_rsa(&decoding)?,
            Algorithm::EdDSA if decoding.try_get_as_bytes().map_or(0, <[u8]>::len) != 32 => {
                return Err("an Ed25519 key has 32 bytes".into());
            }
            _ => {}
        }
        // Makes the library read the key; the signature is none.
        crypto::verify("", b"", &decoding, algorithm).map_err(|_| format!("it is no key of {algorithm:?}"))?;
        Ok(Self::new(kid, algorithm, decoding))
    }

    fn new(kid: Option<String>, algorithm: Algorithm, decoding: DecodingKey) -> Self {
        let mut validation = Validation::new(algorithm);
        // Of the claims, the rules take care; the library knows no other clock than the machine's.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        Self { kid, algorithm, decoding, validation }
    }
}

fn check_rsa(key: &DecodingKey) -> Result<(), String> {
    let (modulus, exponent) = match key.kind() {
        DecodingKeyKind::RsaModulusExponent { n, e } => (n.clone(), e.clone()),
        DecodingKeyKind::SecretOrDer(der) => {
            (DEFAULT_PROVIDER.key_utils.rsa_pub_components_from_public_key)(der).map_err(|_| "it is no RSA key")?
        }
    };
    let bits = bits(&modulus);
    if !RSA_BITS.contains(&bits) {
        return Err(format!("an RSA key has {} to {} bits, and this one {bits}", RSA_BITS.start(), RSA_BITS.end()));
    }
    // The library wants less than 2^33; an even one, or 1, is no key at all.
    if !(2..=33).contains(&self::bits(&exponent)) || exponent.last().is_none_or(|last| last % 2 == 0) {
        return Err("its exponent is not one that can be used".into());
    }
    Ok(())
}

/// The length of a number, big-endian.
fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros).map_or(0, |first| (number.len() - zeros) * 8 - first.leading_zeros() as usize)
}

fn bytes(text: &str) -> Result<Vec<u8>, String> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| "a part of it is not base64url".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_counted_from_the_first_that_is_set() {
        assert_eq!([bits(&[]), bits(&[0, 0]), bits(&[1]), bits(&[0, 3]), bits(&[1, 0, 1])], [0, 0, 1, 2, 17]);
    }

    #[test]
    fn only_public_keys_of_known_kinds_are_taken_from_pem() {
        let key = |name: &str| {
            let text = std::fs::read(format!("{}/tests/data/keys/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
            Key::from_pem(&pem::parse(text).unwrap()).map(|key| key.algorithm)
        };
        assert_eq!(key("rsa.pub.pem"), Ok(Algorithm::RS256));
        assert_eq!(key("rsa.pkcs1.pem"), Ok(Algorithm::RS256));
        assert_eq!(key("p256.pub.pem"), Ok(Algorithm::ES256));
        assert_eq!(key("ed25519.pub.pem"), Ok(Algorithm::EdDSA));
        for (name, why) in [
            ("rsa.pem", "no public key"),
            ("ed25519.pem", "no public key"),
            ("rsa-weak.pub.pem", "2048 to 4096 bits, and this one 1024"),
            ("p384.pub.pem", "no key of ES256"),
        ] {
            let told = key(name).unwrap_err();
            assert!(told.contains(why), "{name}: {told}");
        }
        let nothing = Key::from_pem(&pem::Pem::new("PUBLIC KEY", vec![0x30, 0x00]));
        assert!(nothing.err().unwrap().contains("neither"));
    }
}
