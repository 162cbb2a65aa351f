//! What a token says, and the rules for it (RFC 7519, section 4.1). Times are compared with a clock that is handed in, which is
//! why the library's own checks of claims are off.

use crate::value::{Role, Viewer};
use serde_json::{Map, Value};
use std::time::Duration;

/// Characters of a subject at most: it becomes the scope of command ids and the actor of events.
const SUBJECT: usize = 200;

/// What is demanded of the claims of every token.
#[derive(Debug, Clone)]
pub struct Rules {
    /// What `iss` must be, letter by letter.
    pub issuer: Option<String>,
    /// What `aud` must be, or have in its list.
    pub audience: Option<String>,
    /// How far the clocks of issuer and server may differ, in seconds.
    pub leeway: Duration,
    /// Where the role is: the name of a claim, or a path of names with dots between them.
    pub role_claim: String,
}

impl Default for Rules {
    fn default() -> Self {
        Self { issuer: None, audience: None, leeway: Duration::from_secs(10), role_claim: "role".to_owned() }
    }
}

/// The claims of a token with a good signature. Whether this is its time is another question.
#[derive(Debug)]
pub(super) struct Verified {
    pub viewer: Viewer,
    /// Seconds since 1970.
    pub expires_at: i64,
    pub not_before: Option<i64>,
}

impl Rules {
    /// Reads the claims; others than these are ignored. The errors are labels of a metric.
    pub(super) fn read(&self, claims: &Map<String, Value>) -> Result<Verified, &'static str> {
        if self.issuer.is_some() && claims.get("iss").and_then(Value::as_str) != self.issuer.as_deref() {
            return Err("issuer");
        }
        if let Some(audience) = &self.audience
            && !texts(claims.get("aud")).any(|it| it == audience)
        {
            return Err("audience");
        }
        let expires_at = claims.get("exp").and_then(seconds).ok_or("expiry")?;
        let not_before = claims.get("nbf").map(|at| seconds(at).ok_or("not_before")).transpose()?;
        let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
        if subject.is_empty() || subject.len() > SUBJECT || subject.chars().any(char::is_control) {
            return Err("subject");
        }
        let role = self.role(claims).ok_or("role")?;
        Ok(Verified { viewer: Viewer { subject: subject.to_owned(), role }, expires_at, not_before })
    }

    /// Whether a token is good at this moment, in seconds since 1970.
    pub(super) fn in_time(&self, token: &Verified, now: i64) -> Result<(), &'static str> {
        let leeway = i64::try_from(self.leeway.as_secs()).unwrap_or(i64::MAX);
        if now >= token.expires_at.saturating_add(leeway) {
            return Err("expired");
        }
        if token.not_before.is_some_and(|begin| now.saturating_add(leeway) < begin) {
            return Err("not_yet_valid");
        }
        Ok(())
    }

    /// The claims of a token that these rules accept.
    pub(super) fn write(&self, viewer: &Viewer, expires_at: i64) -> Map<String, Value> {
        let mut claims = Map::new();
        claims.insert("sub".into(), viewer.subject.as_str().into());
        claims.insert("exp".into(), expires_at.into());
        for (name, value) in [("iss", &self.issuer), ("aud", &self.audience)] {
            if let Some(value) = value {
                claims.insert(name.into(), value.as_str().into());
            }
        }
        // As one name, dots and all, which is looked for first.
        claims.insert(self.role_claim.clone(), viewer.role.name().into());
        claims
    }

    /// The highest role among those that the token names. Issuers put theirs into one list with roles of other services, and a
    /// person who is both customer and staff is staff.
    fn role(&self, claims: &Map<String, Value>) -> Option<Role> {
        // Auth0 wants the names of claims to be addresses, which have dots of their own: first the whole, then the path.
        let claim = claims.get(&self.role_claim).or_else(|| {
            let (first, rest) = self.role_claim.split_once('.')?;
            rest.split('.').try_fold(claims.get(first)?, |within, name| within.get(name))
        });
        texts(claim).filter_map(role_named).max()
    }
}

/// The texts of a claim that is a text or a list.
fn texts(claim: Option<&Value>) -> impl Iterator<Item = &str> {
    let (one, many) = match claim {
        Some(Value::String(text)) => (Some(text.as_str()), <&[Value]>::default()),
        Some(Value::Array(list)) => (None, list.as_slice()),
        _ => (None, <&[Value]>::default()),
    };
    one.into_iter().chain(many.iter().filter_map(Value::as_str))
}

fn role_named(name: &str) -> Option<Role> {
    [Role::Customer, Role::Staff, Role::Admin].into_iter().find(|role| role.name() == name)
}

/// A NumericDate: seconds since 1970, of which fractions are dropped.
fn seconds(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| {
        let whole = Duration::try_from_secs_f64(value.as_f64()?).ok()?.as_secs();
        i64::try_from(whole).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claims(mut more: Value) -> Map<String, Value> {
        let mut claims = json!({ "sub": "ada", "role": "CUSTOMER", "exp": 1_000 });
        claims.as_object_mut().unwrap().append(more.as_object_mut().unwrap());
        claims.as_object().unwrap().clone()
    }

    #[test]
    fn what_is_missing_or_wrong_is_refused() {
        let rules = Rules { issuer: Some("https://id.example/".into()), audience: Some("orderflow".into()), ..Rules::default() };
        let good = json!({ "iss": "https://id.example/", "aud": ["account", "orderflow"] });
        assert!(rules.read(&claims(good.clone())).is_ok());
        for (change, reason) in [
            (json!({ "iss": "https://id.example" }), "issuer"),
            (json!({ "iss": ["https://id.example/"] }), "issuer"),
            (json!({ "iss": null }), "issuer"),
            (json!({ "aud": "orderflows" }), "audience"),
            (json!({ "aud": ["account"] }), "audience"),
            (json!({ "aud": [] }), "audience"),
            (json!({ "aud": { "orderflow": true } }), "audience"),
            (json!({ "exp": null }), "expiry"),
            (json!({ "exp": "1000" }), "expiry"),
            (json!({ "exp": -1.5 }), "expiry"),
            (json!({ "nbf": "soon" }), "not_before"),
            (json!({ "nbf": null }), "not_before"),
            (json!({ "sub": "" }), "subject"),
            (json!({ "sub": 7 }), "subject"),
            (json!({ "sub": "a\nb" }), "subject"),
            (json!({ "sub": "a".repeat(201) }), "subject"),
            (json!({ "role": "customer" }), "role"),
            (json!({ "role": ["offline_access"] }), "role"),
            (json!({ "role": null }), "role"),
        ] {
            let mut token = claims(good.clone());
            token.append(&mut change.as_object().unwrap().clone());
            assert_eq!(rules.read(&token).unwrap_err(), reason, "{change}");
        }
        for missing in ["iss", "aud", "exp", "sub", "role"] {
            let mut token = claims(good.clone());
            token.remove(missing);
            assert!(rules.read(&token).is_err(), "without {missing}");
        }
        assert!(rules.read(&claims(json!({ "iss": "https://id.example/", "aud": "orderflow" }))).is_ok(), "one text");
    }

    #[test]
    fn clocks_may_differ_by_the_leeway_and_no_more() {
        let at = |leeway, now, claim| {
            let rules = Rules { leeway: Duration::from_secs(leeway), ..Rules::default() };
            rules.in_time(&rules.read(&claims(claim)).unwrap(), now)
        };
        assert_eq!([at(0, 999, json!({})), at(0, 1_000, json!({}))], [Ok(()), Err("expired")]);
        assert_eq!([at(10, 1_009, json!({})), at(10, 1_010, json!({}))], [Ok(()), Err("expired")]);
        let begin = || json!({ "nbf": 500 });
        assert_eq!([at(0, 500, begin()), at(0, 499, begin())], [Ok(()), Err("not_yet_valid")]);
        assert_eq!([at(10, 490, begin()), at(10, 489, begin())], [Ok(()), Err("not_yet_valid")]);
        // Fractions are allowed, and the ends of time are no reason to overflow.
        assert_eq!(at(0, 1_000, json!({ "exp": 1_000.9, "nbf": 999.9 })), Err("expired"));
        assert_eq!(at(10, i64::MAX, json!({ "exp": i64::MAX, "nbf": i64::MAX })), Err("expired"));
        assert_eq!(at(10, 0, json!({ "exp": i64::MIN })), Err("expired"));
    }

    #[test]
    fn the_role_is_where_the_issuer_puts_it() {
        let role = |claim: &str, claims: Value| {
            let rules = Rules { role_claim: claim.into(), ..Rules::default() };
            rules.role(claims.as_object().unwrap())
        };
        let keycloak = json!({ "realm_access": { "roles": ["offline_access", "CUSTOMER", "STAFF", "staff"] } });
        assert_eq!(role("realm_access.roles", keycloak.clone()), Some(Role::Staff), "the highest of several");
        assert_eq!(role("realm_access", keycloak.clone()), None);
        assert_eq!(role("realm_access.roles.0", keycloak.clone()), None);
        assert_eq!(role("role", keycloak), None);
        let auth0 = json!({ "https://shop.example/role": "ADMIN", "https://shop": { "example/role": "CUSTOMER" } });
        assert_eq!(role("https://shop.example/role", auth0), Some(Role::Admin), "a name with dots is a name first");
        assert_eq!(role("role", json!({ "role": "KING" })), None);
    }

    #[test]
    fn what_is_written_can_be_read() {
        for role_claim in ["role", "realm_access.roles", "https://shop.example/role"] {
            let audience = Some("orderflow".to_owned());
            let rules = Rules { issuer: Some("me".into()), audience, role_claim: role_claim.into(), ..Rules::default() };
            let viewer = Viewer { subject: "grace".into(), role: Role::Staff };
            let read = rules.read(&rules.write(&viewer, 7)).unwrap();
            assert_eq!((read.viewer, read.expires_at, read.not_before), (viewer, 7, None));
        }
    }
}
