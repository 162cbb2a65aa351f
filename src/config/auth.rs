//! Whose tokens are accepted.

use super::{DEV_SECRET, GOOD_SECRET, parse::Problems};
use crate::auth::{JwksUrl, Rules, Settings, look_at_file};
use clap::Args;
use std::path::PathBuf;

/// Keys and rules.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Tokens")]
pub struct AuthOptions {
    /// A shared secret (HS256), better 32 characters or more; without secret, key file or key set only --dev starts
    #[arg(long, env = "ORDERFLOW_JWT_SECRET", hide_env_values = true)]
    pub jwt_secret: Option<String>,
    #[command(flatten)]
    pub keys: KeyOptions,
    /// How often key file and key set are looked at again
    #[arg(long, env = "ORDERFLOW_JWKS_REFRESH", default_value = "5m")]
    pub jwks_refresh: String,
    #[command(flatten)]
    pub rules: RuleOptions,
}

/// Where public keys are.
#[derive(Debug, Clone, Args)]
pub struct KeyOptions {
    /// A file of public keys in PEM, at most four: RS256, ES256 or EdDSA, as the key is
    #[arg(long, env = "ORDERFLOW_JWT_PUBLIC_KEY")]
    pub jwt_public_key: Option<String>,
    /// The address of the issuer's key set (JWKS), https or http
    #[arg(long, env = "ORDERFLOW_JWKS_URL", hide_env_values = true)]
    pub jwks_url: Option<String>,
}

/// What tokens must say.
#[derive(Debug, Clone, Args)]
pub struct RuleOptions {
    /// What the claim `iss` must be
    #[arg(long, env = "ORDERFLOW_JWT_ISSUER")]
    pub jwt_issuer: Option<String>,
    /// What the claim `aud` must be, or have in its list
    #[arg(long, env = "ORDERFLOW_JWT_AUDIENCE")]
    pub jwt_audience: Option<String>,
    /// How far the clocks of issuer and server may differ
    #[arg(long, env = "ORDERFLOW_JWT_LEEWAY", default_value = "10s")]
    pub jwt_leeway: String,
    /// The claim with the role: a name, or a path such as realm_access.roles
    #[arg(long, env = "ORDERFLOW_JWT_ROLE_CLAIM", default_value = "role")]
    pub jwt_role_claim: String,
}

pub(super) fn settings(options: &AuthOptions, dev: bool, problems: &mut Problems) -> Settings {
    let key_file = given("ORDERFLOW_JWT_PUBLIC_KEY", options.keys.jwt_public_key.as_ref(), problems).map(PathBuf::from);
    if let Some(Err(problem)) = key_file.as_deref().map(look_at_file) {
        problems.note(&format!("ORDERFLOW_JWT_PUBLIC_KEY: {problem}"));
    }
    let jwks = given("ORDERFLOW_JWKS_URL", options.keys.jwks_url.as_ref(), problems);
    let jwks = jwks.and_then(|url| match url.parse::<JwksUrl>() {
        Ok(url) => Some(url),
        Err(problem) => {
            problems.note(&format!("ORDERFLOW_JWKS_URL: {problem}"));
            None
        }
    });
    let public = options.keys.jwt_public_key.is_some() || options.keys.jwks_url.is_some();
    Settings {
        secret: secret(options.jwt_secret.as_deref(), dev, public, problems),
        key_file,
        jwks,
        refresh: problems.duration("ORDERFLOW_JWKS_REFRESH", &options.jwks_refresh, 1, 86_400),
        rules: rules(&options.rules, problems),
    }
}

pub(super) fn rules(options: &RuleOptions, problems: &mut Problems) -> Rules {
    Rules {
        issuer: given("ORDERFLOW_JWT_ISSUER", options.jwt_issuer.as_ref(), problems),
        audience: given("ORDERFLOW_JWT_AUDIENCE", options.jwt_audience.as_ref(), problems),
        leeway: problems.duration("ORDERFLOW_JWT_LEEWAY", &options.jwt_leeway, 0, 300),
        role_claim: given("ORDERFLOW_JWT_ROLE_CLAIM", Some(&options.jwt_role_claim), problems).unwrap_or_default(),
    }
}

/// What deserves a word at start and is no reason to stop.
pub fn warnings(settings: &Settings) -> Vec<&'static str> {
    let mut warnings = Vec::new();
    if settings.secret.as_ref().is_some_and(|secret| secret.len() < GOOD_SECRET) {
        warnings.push("ORDERFLOW_JWT_SECRET is short; use 32 characters or more (openssl rand -hex 32 makes some)");
    }
    if settings.jwks.as_ref().is_some_and(JwksUrl::is_exposed) {
        warnings.push("ORDERFLOW_JWKS_URL is fetched without TLS: whoever sits on the wire could sign anybody in; use https");
    }
    if settings.jwks.is_some() && (settings.rules.issuer.is_none() || settings.rules.audience.is_none()) {
        warnings.push(
            "with ORDERFLOW_JWKS_URL set ORDERFLOW_JWT_ISSUER and ORDERFLOW_JWT_AUDIENCE: otherwise a token that the issuer made \
             for another service is good here too",
        );
    }
    warnings
}

/// A secret can sign as well as check: beside public keys, where nobody but the issuer should be able to sign, it is a way round
/// them that was probably forgotten. In development it is how GraphiQL's tokens are made.
fn secret(secret: Option<&str>, dev: bool, public: bool, problems: &mut Problems) -> Option<String> {
    let problem = match secret {
        None | Some("") if dev => return Some(DEV_SECRET.to_owned()),
        None if public => return None,
        None => {
            "is not set, nor are ORDERFLOW_JWT_PUBLIC_KEY or ORDERFLOW_JWKS_URL, and outside --dev there is no built-in secret; \
             openssl rand -hex 32 makes one"
        }
        Some("") => "is empty; leave it out, or openssl rand -hex 32 makes one",
        Some(DEV_SECRET) if !dev => "is the secret of --dev, which anybody knows; openssl rand -hex 32 makes another",
        Some(_) if public && !dev => {
            "does not go with ORDERFLOW_JWT_PUBLIC_KEY or ORDERFLOW_JWKS_URL: whoever has it could sign anybody in; take it away"
        }
        Some(secret) => return Some(secret.to_owned()),
    };
    problems.note(&format!("ORDERFLOW_JWT_SECRET: {problem}"));
    None
}

/// An empty text is a variable that was meant to be filled: to go on without it would leave a check out.
fn given(name: &str, text: Option<&String>, problems: &mut Problems) -> Option<String> {
    if text.is_some_and(String::is_empty) {
        problems.note(&format!("{name}: is empty; leave it out, or give it a value"));
        return None;
    }
    text.cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(dev: bool, change: impl FnOnce(&mut AuthOptions)) -> Result<Settings, String> {
        let mut options = AuthOptions {
            jwt_secret: None,
            keys: KeyOptions { jwt_public_key: None, jwks_url: None },
            jwks_refresh: "5m".into(),
            rules: RuleOptions { jwt_issuer: None, jwt_audience: None, jwt_leeway: "10s".into(), jwt_role_claim: "role".into() },
        };
        change(&mut options);
        let mut problems = Problems::default();
        let settings = settings(&options, dev, &mut problems);
        problems.finish(settings).map_err(|error| error.to_string())
    }

    fn url(options: &mut AuthOptions) {
        options.keys.jwks_url = Some("https://id.example/keys".into());
    }

    #[test]
    fn a_secret_stands_alone_except_in_development() {
        let own = || Some("a secret of at least thirty-two characters".to_owned());
        assert!(made(false, |_| {}).unwrap_err().contains("ORDERFLOW_JWT_SECRET: is not set"));
        assert_eq!(made(false, |options| options.jwt_secret = own()).unwrap().secret, own());
        let both =
            made(false, |options| (options.jwt_secret, options.keys.jwks_url) = (own(), Some("https://id.example".into())));
        assert!(both.unwrap_err().contains("ORDERFLOW_JWT_SECRET: does not go with"));
        let alone = made(false, url).unwrap();
        assert!(alone.secret.is_none() && alone.jwks.is_some());
        let in_development = made(true, url).unwrap();
        assert!(in_development.secret.as_deref() == Some(DEV_SECRET) && in_development.jwks.is_some());
        for secret in ["", DEV_SECRET] {
            assert!(made(false, |options| options.jwt_secret = Some(secret.into())).is_err());
            assert_eq!(made(true, |options| options.jwt_secret = Some(secret.into())).unwrap().secret.unwrap(), DEV_SECRET);
        }
    }

    #[test]
    fn what_is_empty_or_wrong_is_told_together_and_without_secrets() {
        let told = made(false, |options| {
            options.keys.jwt_public_key = Some("/nowhere/key.pem".into());
            options.keys.jwks_url = Some("https://me:hunter2@id.example/keys".into());
            options.jwks_refresh = "0s".into();
            options.rules.jwt_issuer = Some(String::new());
            options.rules.jwt_audience = Some(String::new());
            options.rules.jwt_leeway = "1h".into();
            options.rules.jwt_role_claim = String::new();
        });
        let told = told.unwrap_err();
        for name in ["JWT_PUBLIC_KEY", "JWKS_URL", "JWKS_REFRESH", "JWT_ISSUER", "JWT_AUDIENCE", "JWT_LEEWAY", "JWT_ROLE_CLAIM"] {
            assert_eq!(told.matches(&format!("  - ORDERFLOW_{name}: ")).count(), 1, "{name} in:\n{told}");
        }
        assert!(!told.contains("hunter2") && !told.contains("JWT_SECRET"), "{told}");
    }

    #[test]
    fn what_is_risky_is_warned_about() {
        let settings = made(false, url).unwrap();
        assert_eq!(warnings(&settings).len(), 1, "neither issuer nor audience");
        let exposed = made(false, |options| {
            options.keys.jwks_url = Some("http://id.example/keys".into());
            options.rules.jwt_issuer = Some("https://id.example".into());
            options.rules.jwt_audience = Some("orderflow".into());
        });
        assert!(warnings(&exposed.unwrap())[0].contains("without TLS"));
        let short = made(false, |options| options.jwt_secret = Some("short".into())).unwrap();
        assert!(warnings(&short)[0].contains("ORDERFLOW_JWT_SECRET is short"));
    }
}
