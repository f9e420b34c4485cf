//! What the exchange has to be told.

use std::time::Duration;

use super::keyspace::{Keyspace, NamespaceError};

/// Where Redis is and how often to exchange. Its `Debug` output carries no password.
#[derive(Clone)]
pub struct RedisSettings {
    client: redis::Client,
    redacted_url: Box<str>,
    keyspace: Keyspace,
    interval: Duration,
    timeout: Duration,
}

/// Why settings are refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedisSettingsError {
    /// The URL itself may hold a password and is not repeated.
    #[error("not a redis:// or rediss:// URL")]
    BadUrl,
    /// It becomes part of every key.
    #[error(transparent)]
    BadNamespace(#[from] NamespaceError),
    /// An interval and a deadline take time.
    #[error("the interval and the timeout must not be zero")]
    ZeroDuration,
}

impl RedisSettings {
    /// Checks the URL's form; nothing is connected.
    pub fn new(
        url: &str,
        namespace: &str,
        interval: Duration,
        timeout: Duration,
    ) -> Result<Self, RedisSettingsError> {
        if interval.is_zero() || timeout.is_zero() {
            return Err(RedisSettingsError::ZeroDuration);
        }
        let client = redis::Client::open(url).map_err(|_| RedisSettingsError::BadUrl)?;
        let redacted_url = redact(url).ok_or(RedisSettingsError::BadUrl)?.into();
        let keyspace = Keyspace::new(namespace)?;
        Ok(Self { client, redacted_url, keyspace, interval, timeout })
    }

    pub(super) const fn client(&self) -> &redis::Client {
        &self.client
    }

    pub(super) const fn keyspace(&self) -> &Keyspace {
        &self.keyspace
    }

    pub(super) const fn interval(&self) -> Duration {
        self.interval
    }

    pub(super) const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The URL with `***` for its password, for the log.
    pub fn redacted_url(&self) -> &str {
        &self.redacted_url
    }
}

impl std::fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisSettings")
            .field("url", &self.redacted_url)
            .field("keyspace", &self.keyspace)
            .field("interval", &self.interval)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

fn redact(url: &str) -> Option<String> {
    let mut url = url::Url::parse(url).ok()?;
    if url.password().is_some() {
        url.set_password(Some("***")).ok()?;
    }
    // A socket's URL carries the password in its query.
    url.set_query(None);
    url.set_fragment(None);
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(100);

    fn settings(url: &str) -> Result<RedisSettings, RedisSettingsError> {
        RedisSettings::new(url, "store", MOMENT, MOMENT)
    }

    #[test]
    fn the_password_is_never_printed() {
        for url in [
            "redis://:hunter2@redis:6379/1",
            "redis://app:hunter2@redis:6379/",
            "rediss://app:hunter2@redis/",
            "redis+unix:///run/redis.sock?pass=hunter2",
        ] {
            let settings = settings(url).unwrap();
            assert!(!settings.redacted_url().contains("hunter2"), "{url}");
            assert!(!format!("{settings:?}").contains("hunter2"), "{url}");
        }
        let shown = settings("redis://app:hunter2@redis:6379/1").unwrap();
        assert_eq!(shown.redacted_url(), "redis://app:***@redis:6379/1");
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        assert!(matches!(settings("redis"), Err(RedisSettingsError::BadUrl)));
        assert!(matches!(settings("http://redis/"), Err(RedisSettingsError::BadUrl)));
        for (interval, timeout) in [(Duration::ZERO, MOMENT), (MOMENT, Duration::ZERO)] {
            let never = RedisSettings::new("redis://redis/", "store", interval, timeout);
            assert!(matches!(never, Err(RedisSettingsError::ZeroDuration)));
        }
    }
}
