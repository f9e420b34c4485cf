//! Lines that libraries write through `log`: few of them, in our form.
//!
//! Their own level says how bad something is for the library, and an ERROR of ours is a page for
//! somebody. The places in their sources are paths of whichever machine has built this one.

use log::{Level, Log, Metadata, Record};

/// What Pingora reports here are races and broken connections that cost no request, or requests whose
/// access line tells of it.
const TRIFLES: [&str; 2] = ["pingora_core::connectors", "pingora_pool"];

/// These report every client that breaks off or cannot spell, and quote what it sent; the access
/// log has those that matter.
const QUOTES: [&str; 3] = ["pingora_proxy", "pingora_core::apps", "pingora_core::protocols::http"];

/// Takes the lines of all libraries.
pub(super) struct Libraries;

impl Libraries {
    /// Whether lines of this module may be written at warning level.
    pub(super) fn may_speak(module: &str) -> bool {
        QUOTES.iter().chain(&TRIFLES).all(|prefix| !module.starts_with(prefix))
    }
}

impl Log for Libraries {
    fn enabled(&self, line: &Metadata<'_>) -> bool {
        line.level() <= Level::Warn && Self::may_speak(line.target())
    }

    fn log(&self, line: &Record<'_>) {
        if self.enabled(line.metadata()) {
            tracing::warn!(library = line.target(), "{}", line.args());
        }
    }

    fn flush(&self) {}
}
