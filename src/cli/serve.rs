//! `orderflow serve`.

use super::{Failure, say};
use crate::{
    app,
    auth::Keys,
    clock::{Clock, Ids},
    config::{Config, ConfigError, Options, Role, warnings},
    http::dev_viewers,
    shutdown::Signals,
};
use clap::Args;
use std::{net::SocketAddr, time::Duration};

#[derive(Debug, Args)]
pub struct Serve {
    /// Do only this part of the work; may be given several times
    #[arg(long = "role", value_enum)]
    roles: Vec<Role>,
    #[command(flatten)]
    options: Options,
}

impl Serve {
    /// # Errors
    /// Everything that is wrong with the settings.
    pub fn check(&self) -> Result<Config, ConfigError> {
        Config::new(&self.options)
    }

    pub async fn run(self) -> Result<(), Failure> {
        let signals = Signals::listen()?;
        let config = self.check()?;
        for warning in warnings(&config.auth) {
            tracing::warn!("{warning}");
        }
        let roles = if self.roles.is_empty() { vec![Role::Api, Role::Relay, Role::Projector] } else { self.roles };
        let app = app::start(&config, &roles, &Clock::system(), &Ids::system()).await?;
        if let Some(addr) = app.addr {
            if roles.contains(&Role::Api) {
                greet(&config, addr)?;
            } else {
                say(&format!("Orderflow works; health  http://{addr}/readyz   metrics  http://{addr}/metrics\n"))?;
            }
        }
        let app::App { shutdown, .. } = app;
        shutdown
            .run(signals, config.shutdown_grace)
            .await
            .map_err(|crash| format!("a part died, so the process went down: {crash}").into())
    }
}

/// Says where everything is. On standard output: scripts read the address from it.
fn greet(config: &Config, addr: SocketAddr) -> Result<(), Failure> {
    say(&format!("Orderflow listens on http://{addr}\n"))?;
    say(&format!("  GraphQL    http://{addr}/graphql   (POST, GET, WebSocket, SSE)\n"))?;
    if config.http.graphiql {
        say(&format!("  GraphiQL   http://{addr}/graphiql\n"))?;
    }
    say(&format!("  health     http://{addr}/readyz   metrics  http://{addr}/metrics\n"))?;
    if config.http.dev {
        say("\nDevelopment tokens, also in GraphiQL under \"Sign in as\" (Authorization: Bearer …):\n")?;
        let clock = Clock::system();
        let keys = Keys::by_secret(&config.auth, &clock);
        for (label, viewer) in dev_viewers() {
            let token = keys.sign(&viewer, clock.now(), Duration::from_secs(7 * 86_400))?;
            say(&format!("  {label:<14} {token}\n"))?;
        }
    }
    Ok(())
}
