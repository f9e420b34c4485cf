//! Whether Redis answers and keeps what it is given, asked by an operator.

use std::time::Duration;

use redis::AsyncConnectionConfig;

use super::fault::SyncFault;
use super::settings::RedisSettings;

/// What Redis tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisReport {
    /// `maxmemory-policy`; absent where it is not told, as by managed services.
    pub eviction_policy: Option<String>,
    /// Whether each write is kept on disk (`aof_enabled`); absent where it is not told.
    pub has_append_only_file: Option<bool>,
}

impl RedisSettings {
    /// Connects, and asks; each answer may take as long as `within`.
    pub async fn probe(&self, within: Duration) -> Result<RedisReport, SyncFault> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(within))
            .set_response_timeout(Some(within));
        let of = |error| SyncFault::of(error, within);
        let connection = self.client().get_multiplexed_async_connection_with_config(&config);
        let mut connection = connection.await.map_err(of)?;
        // A user who may do nothing else may do this; whoever may not even that has the wrong password.
        redis::cmd("PING").exec_async(&mut connection).await.map_err(of)?;
        let mut ask = redis::cmd("CONFIG");
        ask.arg("GET").arg("maxmemory-policy");
        let policy = ask.query_async::<(String, String)>(&mut connection).await;
        let mut ask = redis::cmd("INFO");
        ask.arg("persistence");
        let told = ask.query_async::<String>(&mut connection).await;
        Ok(RedisReport {
            eviction_policy: policy.ok().map(|(_, policy)| policy),
            has_append_only_file: told.ok().and_then(|told| append_only(&told)),
        })
    }
}

fn append_only(told: &str) -> Option<bool> {
    let value = told.lines().find_map(|line| line.trim_end().strip_prefix("aof_enabled:"))?;
    Some(value == "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_redis_says_counts() {
        assert_eq!(append_only("# Persistence\r\nloading:0\r\naof_enabled:1\r\n"), Some(true));
        assert_eq!(append_only("aof_enabled:0\r\n"), Some(false));
        assert_eq!(append_only("# Persistence\r\n"), None);
    }
}
