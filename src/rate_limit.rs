//! How often a key may call.
//!
//! A [`Limit`] says how many requests one key may make in one window, or that nobody counts. A [`Window`] counts one key:
//! it is decided locally, without waiting for anybody. The [`Limiter`] finds the window of a key and
//! bounds how many there are. [`RedisSync`] runs beside the requests and tells replicas about each
//! other's counts.
//!
//! **A request that fits is counted, one that is refused is not.** **No key is ever unlimited**, not
//! when the table is full (keys then share a sketch that can only over-count) and not when Redis is
//! away (each replica then admits its share).

mod counts;
mod epoch;
pub mod headers;
mod in_flight;
mod key;
mod limit;
mod limiter;
mod overflow;
mod redis_sync;
mod share;
mod shutdown;
mod sweep;
mod table;
mod tally;
mod unsynced;
mod window;

pub use epoch::EpochMillis;
pub use in_flight::{InFlight, InFlightGuard};
pub use key::KeyRef;
pub use limit::{Allowance, KeyKind, Limit, LimitError, LimitId};
pub use limiter::{Limiter, LimiterError};
pub use redis_sync::{
    RedisReport, RedisSettings, RedisSettingsError, RedisSync, SyncFault, SyncState, SyncStatus,
};
pub use share::Share;
pub use sweep::sweep_until_shutdown;
pub use window::{Exceeded, Standing, Window};
