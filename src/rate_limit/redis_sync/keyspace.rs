//! The names of our keys in Redis.

use std::fmt::Write as _;

/// Everything below `ag:v1:{namespace}:`.
#[derive(Clone, Debug)]
pub(super) struct Keyspace {
    prefix: Box<str>,
}

/// What cannot be one component of a key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a namespace is 1 to 128 of a-z A-Z 0-9 . _ -, not {namespace:?}")]
pub struct NamespaceError {
    /// As given, cut off after 128 characters.
    namespace: String,
}

impl Keyspace {
    /// A namespace is one component of a key: 1 to 128 of `a-z A-Z 0-9 . _ -`.
    pub(super) fn new(namespace: &str) -> Result<Self, NamespaceError> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if !(1..=128).contains(&namespace.len()) || !namespace.bytes().all(legal) {
            let namespace = namespace.chars().take(128).collect();
            return Err(NamespaceError { namespace });
        }
        Ok(Self { prefix: format!("ag:v1:{namespace}:").into() })
    }

    /// Sorted set of the live replicas, scored by Redis' time of their last sign of life.
    pub(super) fn replicas(&self) -> String {
        format!("{}replicas", self.prefix)
    }

    /// Hash of one key's counts in one window, a field per replica.
    pub(super) fn counts(&self, limit: &str, index: u64, fingerprint: [u8; 16]) -> String {
        let fingerprint = u128::from_be_bytes(fingerprint);
        let mut key = String::with_capacity(self.prefix.len() + limit.len() + 64);
        // Writing into a String cannot fail.
        let _ = write!(key, "{}limit:{limit}:{index}:{fingerprint:032x}", self.prefix);
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_cannot_reach_into_another() {
        for bad in ["", "a:b", "a b", "{a}", "a*", &"x".repeat(129)] {
            assert!(Keyspace::new(bad).is_err(), "{bad}");
        }
        let keys = Keyspace::new("01HV.store_1-a").unwrap();
        assert_eq!(keys.replicas(), "ag:v1:01HV.store_1-a:replicas");
        assert_eq!(
            keys.counts("default", 7, [0xab; 16]),
            format!("ag:v1:01HV.store_1-a:limit:default:7:{}", "ab".repeat(16))
        );
    }
}
