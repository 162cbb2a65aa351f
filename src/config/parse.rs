//! Reads settings one by one and remembers what was wrong with each.

use super::ConfigError;
use axum::http::HeaderValue;
use ipnet::IpNet;
use std::{fmt::Display, net::IpAddr, str::FromStr, time::Duration};

#[derive(Debug, Default)]
pub struct Problems(Vec<String>);

impl Problems {
    pub fn note(&mut self, problem: &str) -> String {
        self.0.push(problem.to_owned());
        String::new()
    }

    pub fn finish<T>(self, value: T) -> Result<T, ConfigError> {
        if self.0.is_empty() { Ok(value) } else { Err(ConfigError(self.0)) }
    }

    pub fn parse<T: FromStr>(&mut self, name: &str, text: &str, wanted: &str) -> Option<T> {
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.0.push(format!("{name}: {text:?} is not {wanted}"));
        }
        parsed
    }

    /// A whole number within bounds.
    pub fn number<T: FromStr + PartialOrd + Display + Copy>(&mut self, name: &str, text: &str, least: T, most: T) -> T {
        match text.parse::<T>() {
            Ok(number) if number >= least && number <= most => number,
            _ => {
                self.0.push(format!("{name}: {text:?} is not a whole number from {least} to {most}"));
                least
            }
        }
    }

    /// A time such as `250ms`, `10s` or `2h`, within bounds in seconds.
    pub fn duration(&mut self, name: &str, text: &str, least: u64, most: u64) -> Duration {
        match humantime::parse_duration(text) {
            Ok(time) if (least..=most).contains(&time.as_secs()) => time,
            _ => {
                self.0.push(format!("{name}: {text:?} is not a time from {least}s to {most}s, such as 250ms, 10s or 2h"));
                Duration::ZERO
            }
        }
    }

    pub fn switch(&mut self, name: &str, text: Option<&str>, default: bool) -> bool {
        match text {
            None | Some("") => default,
            Some("on" | "true" | "1") => true,
            Some("off" | "false" | "0") => false,
            Some(other) => {
                self.0.push(format!("{name}: {other:?} is neither on nor off"));
                default
            }
        }
    }

    /// A bound that may be switched off, by `off` or 0.
    pub fn bound(&mut self, name: &str, text: Option<&str>, default: Option<usize>, most: usize) -> Option<usize> {
        match text {
            None | Some("") => default,
            Some("off" | "0") => None,
            Some(text) => match text.parse() {
                Ok(number) if number <= most => Some(number),
                _ => {
                    self.0.push(format!("{name}: {text:?} is neither a whole number from 1 to {most} nor off"));
                    default
                }
            },
        }
    }

    /// Addresses and networks, with commas between them.
    pub fn networks(&mut self, name: &str, text: Option<&str>) -> Vec<IpNet> {
        let read = |entry: &str| entry.parse().ok().or_else(|| entry.parse::<IpAddr>().ok().map(IpNet::from));
        self.list(name, text, read, "an address or a network such as 10.0.0.0/8")
    }

    /// Origins as browsers send them, with commas between them. One that is written otherwise would never be met.
    pub fn origins(&mut self, name: &str, text: Option<&str>) -> Vec<HeaderValue> {
        let read = |entry: &str| {
            let url = url::Url::parse(entry).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
            if url.origin().ascii_serialization() == entry { entry.parse().ok() } else { None }
        };
        self.list(name, text, read, "an origin such as https://shop.example (no path, no slash at the end, no *)")
    }

    /// All the wrong entries of a list are told in one line.
    fn list<T>(&mut self, name: &str, text: Option<&str>, read: impl Fn(&str) -> Option<T>, wanted: &str) -> Vec<T> {
        let (mut list, mut wrong) = (Vec::new(), Vec::new());
        for entry in text.unwrap_or_default().split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            match read(entry) {
                Some(value) => list.push(value),
                None => wrong.push(format!("{entry:?}")),
            }
        }
        if !wrong.is_empty() {
            self.0.push(format!("{name}: {} is not {wanted}", wrong.join(", ")));
        }
        list
    }

    /// An address; it may hold a password, so it is not repeated in the message.
    pub fn url(&mut self, name: &str, text: Option<&str>, schemes: &[&str]) -> String {
        match text {
            Some(url) if schemes.iter().any(|scheme| url.starts_with(scheme)) => url.to_owned(),
            Some(_) => self.note(&format!("{name}: must begin with {}", schemes.join(" or "))),
            None => self.note(&format!("{name}: is not set; with the native stack: eval \"$(scripts/stack env)\"")),
        }
    }
}
