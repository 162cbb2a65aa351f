//! `orderflow token`: a token for development.

use super::{Failure, say};
use crate::{
    auth::{Keys, Settings},
    clock::Clock,
    config::{Config, DEV_SECRET, RuleOptions},
    value::{Role, Viewer},
};
use clap::Args;

#[derive(Debug, Args)]
pub struct Token {
    /// Whose token: the id of a user, or any name for staff
    #[arg(long)]
    sub: String,
    /// CUSTOMER, STAFF or ADMIN
    #[arg(long, value_parser = role)]
    role: Role,
    /// How long it is valid
    #[arg(long, default_value = "1h", value_parser = humantime::parse_duration)]
    ttl: std::time::Duration,
    /// The key, the same as the server's
    #[arg(long, env = "ORDERFLOW_JWT_SECRET", hide_env_values = true)]
    jwt_secret: Option<String>,
    /// Use the built-in secret of `serve --dev`
    #[arg(long)]
    dev: bool,
    #[command(flatten)]
    rules: RuleOptions,
}

impl Token {
    pub fn run(self) -> Result<(), Failure> {
        let secret = match (&self.jwt_secret, self.dev) {
            (Some(secret), _) if !secret.is_empty() => secret.as_str(),
            (_, true) => DEV_SECRET,
            (_, false) => return Err("set ORDERFLOW_JWT_SECRET, or pass --dev for the secret of `serve --dev`".into()),
        };
        let viewer = Viewer { subject: self.sub, role: self.role };
        let settings = Settings { secret: Some(secret.to_owned()), rules: Config::rules(&self.rules)?, ..Settings::default() };
        let clock = Clock::system();
        say(&format!("{}\n", Keys::by_secret(&settings, &clock).sign(&viewer, clock.now(), self.ttl)?))
    }
}

fn role(name: &str) -> Result<Role, String> {
    match name.to_ascii_uppercase().as_str() {
        "CUSTOMER" => Ok(Role::Customer),
        "STAFF" => Ok(Role::Staff),
        "ADMIN" => Ok(Role::Admin),
        _ => Err("a role is CUSTOMER, STAFF or ADMIN".into()),
    }
}
