//! Logs and metrics. No personal data in either: values print their length or kind, and commands are never logged whole.

use crate::config::{ConfigError, LogFormat, LogOptions};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::{io::IsTerminal, sync::OnceLock};

/// Starts logging to standard error; standard output belongs to the commands.
///
/// # Errors
/// The filter or the format is not one.
pub fn start_logs(options: &LogOptions) -> Result<(), ConfigError> {
    let (filter, format) = options.check()?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).init(),
    }
    Ok(())
}

/// The process's metrics, made once.
///
/// # Errors
/// Another recorder is installed, which only another part of this process could have done.
pub fn metrics() -> Result<PrometheusHandle, String> {
    static HANDLE: OnceLock<Result<PrometheusHandle, String>> = OnceLock::new();
    let handle = HANDLE.get_or_init(|| {
        // From half a millisecond to ten seconds: below is noise, above is broken.
        const SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        const SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];
        PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)
            .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_size".into()), SIZES))
            .and_then(PrometheusBuilder::install_recorder)
            .map_err(|e| e.to_string())
    });
    handle.clone()
}
