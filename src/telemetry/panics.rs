//! A panic is one line of the log, wherever it happens.

use std::panic::PanicHookInfo;

use once_cell::sync::OnceCell;
use prometheus::IntCounter;

/// Longer messages are cut; they may quote what somebody has sent.
const MAX_MESSAGE: usize = 200;

static COUNTER: OnceCell<IntCounter> = OnceCell::new();

/// From now on, panics are log lines instead of text on standard error.
pub(super) fn install_hook() {
    std::panic::set_hook(Box::new(report));
}

/// Panics are counted here from now on; the first counter stays.
pub fn count_panics(counter: IntCounter) {
    let _ = COUNTER.set(counter);
}

fn report(panic: &PanicHookInfo<'_>) {
    if let Some(counter) = COUNTER.get() {
        counter.inc();
    }
    let message = panic.payload_as_str().unwrap_or("not a text");
    let message: String = message.chars().take(MAX_MESSAGE).collect();
    let place = panic.location().map(|at| format!("{}:{}", shortened(at.file()), at.line()));
    tracing::error!(
        cause = message,
        place,
        thread = std::thread::current().name(),
        hint = "a fault of the gateway itself: please report it with this line",
        "panic"
    );
}

/// A source file without the folders of the machine that has built it.
fn shortened(file: &str) -> &str {
    let Some((_, in_registry)) = file.split_once("/registry/src/") else { return file };
    in_registry.split_once('/').map_or(in_registry, |(_, in_crate)| in_crate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_do_not_tell_where_this_was_built() {
        let dependency =
            "/home/somebody/.cargo/registry/src/index-1949cf/pingora-core-0.9.1/src/lib.rs";
        assert_eq!(shortened(dependency), "pingora-core-0.9.1/src/lib.rs");
        assert_eq!(shortened("src/gate.rs"), "src/gate.rs");
    }
}
