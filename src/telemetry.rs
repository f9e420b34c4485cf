//! Standard output: application log and access log through one bounded buffer.
//!
//! A request only appends to a buffer in memory; a thread of its own writes. When standard output
//! does not keep up, lines are dropped and counted, and no request waits.

mod libraries;
mod panics;
#[cfg(test)]
pub(crate) mod testing;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use prometheus::IntCounter;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, Layer};

use libraries::Libraries;
pub use panics::count_panics;

/// More unwritten bytes than this and lines are dropped.
const MAX_PENDING: usize = 8 << 20;

/// Room that the buffers keep for the next lines when a burst is over.
const KEPT: usize = 128 << 10;

/// How long lines may wait to be written together. What comes meanwhile should fit into what buffers
/// keep, and into a processor's cache.
const GATHER: Duration = Duration::from_millis(5);

/// What a level may be.
const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// How many times `GATHER` the end of the process waits for lines to be written: a second.
const LAST_WAITS: usize = 200;

#[derive(Debug, Default)]
struct Pending {
    bytes: Vec<u8>,
    closed: bool,
    /// Lines wait for what has to stand before them.
    held: bool,
}

#[derive(Debug, Default)]
struct Shared {
    pending: Mutex<Pending>,
    wake: Condvar,
    writer_sleeps: AtomicBool,
    dropped: Mutex<Option<IntCounter>>,
}

/// Where lines go.
#[derive(Debug, Clone, Default)]
pub struct Sink {
    shared: Arc<Shared>,
}

/// Keeps the writing thread; dropping it writes what is left.
#[derive(Debug)]
pub struct Writer {
    sink: Sink,
    thread: Option<JoinHandle<()>>,
}

impl Sink {
    /// Starts a thread that writes to standard output.
    pub fn to_stdout() -> std::io::Result<(Self, Writer)> {
        Self::to(std::io::stdout())
    }

    fn to(out: impl Write + Send + 'static) -> std::io::Result<(Self, Writer)> {
        let sink = Self::default();
        let shared = Arc::clone(&sink.shared);
        let thread = std::thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || write_all(&shared, out))?;
        let writer = Writer { sink: sink.clone(), thread: Some(thread) };
        Ok((sink, writer))
    }

    /// Keeps lines back until [`Sink::release`], or until the end.
    pub fn hold(&self) {
        self.shared.pending.lock().held = true;
    }

    /// Writes `text`, and after it the lines that were held.
    pub fn release(&self, text: &str) {
        let mut pending = self.shared.pending.lock();
        pending.held = false;
        pending.bytes.splice(..0, text.bytes());
        drop(pending);
        self.shared.wake.notify_one();
    }

    /// Lines that do not fit are counted here from now on.
    pub fn count_dropped(&self, counter: IntCounter) {
        *self.shared.dropped.lock() = Some(counter);
    }

    /// Appends a whole line, newline included; never waits for output.
    pub fn append(&self, line: &[u8]) {
        let fits = {
            let mut pending = self.shared.pending.lock();
            let fits = pending.bytes.len() + line.len() <= MAX_PENDING;
            if fits {
                make_room(&mut pending.bytes, line.len());
                pending.bytes.extend_from_slice(line);
            }
            fits
        };
        if !fits && let Some(counter) = &*self.shared.dropped.lock() {
            counter.inc();
        }
        if self.shared.writer_sleeps.load(Ordering::Acquire) {
            self.shared.wake.notify_one();
        }
    }
}

/// Grows by doubling like any vector, but not beyond what may ever wait.
fn make_room(buffer: &mut Vec<u8>, more: usize) {
    let needed = buffer.len() + more;
    if needed > buffer.capacity() {
        let doubled = buffer.capacity().saturating_mul(2).min(MAX_PENDING);
        buffer.reserve_exact(needed.max(doubled) - buffer.len());
    }
}

fn write_all(shared: &Shared, mut out: impl Write) {
    let mut batch = Vec::new();
    loop {
        let closed = {
            let mut pending = shared.pending.lock();
            while (pending.bytes.is_empty() || pending.held) && !pending.closed {
                shared.writer_sleeps.store(true, Ordering::Release);
                shared.wake.wait(&mut pending);
            }
            shared.writer_sleeps.store(false, Ordering::Release);
            std::mem::swap(&mut pending.bytes, &mut batch);
            pending.closed
        };
        // Nobody is left to tell when standard output itself is gone.
        let _ = out.write_all(&batch).and_then(|()| out.flush());
        batch.clear();
        batch.shrink_to(KEPT);
        if closed && shared.pending.lock().bytes.is_empty() {
            return;
        }
        if !closed {
            std::thread::park_timeout(GATHER);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.sink.shared.pending.lock().closed = true;
        self.sink.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A thread that cannot write any more must not keep the process from ending.
            for _ in 0..LAST_WAITS {
                if thread.is_finished() {
                    return;
                }
                std::thread::park_timeout(GATHER);
            }
        }
    }
}

/// One formatted event on its way to the sink.
#[derive(Debug)]
pub struct LineWriter<'a>(&'a Sink);

impl Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.append(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter(self)
    }
}

/// The log level expression cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `EnvFilter` would take the word for a module, and then nothing would be logged.
    #[error("{part:?} is not one of error, warn, info, debug, trace, off, or module=level")]
    BadLevel {
        /// The part between commas, as configured.
        part: String,
    },
    /// Somebody else has installed a logger.
    #[error("a logger is installed already")]
    AlreadyInstalled,
}

/// The filter that `level` stands for: levels and `module::path=level`, separated by commas.
pub fn check_level(level: &str) -> Result<EnvFilter, TelemetryError> {
    let directives: Result<Vec<_>, _> = level.split(',').map(directive).collect();
    let bad = |_| TelemetryError::BadLevel { part: level.to_owned() };
    EnvFilter::try_new(directives?.join(",")).map_err(bad)
}

fn directive(part: &str) -> Result<String, TelemetryError> {
    let (module, word) = match part.trim().split_once('=') {
        Some((module, word)) => (Some(module), word),
        None => (None, part.trim()),
    };
    let word = match word.to_ascii_lowercase().as_str() {
        "warning" => Some("warn"),
        word => LEVELS.into_iter().find(|level| *level == word),
    };
    match (module, word) {
        (None, Some(word)) => Ok(word.to_owned()),
        (Some(module), Some(word)) if is_module(module) => Ok(format!("{module}={word}")),
        _ => Err(TelemetryError::BadLevel { part: part.to_owned() }),
    }
}

fn is_module(path: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    path.split("::").all(is_name)
}

/// Sends all events of this process to `sink` as JSON lines, those of libraries and panics too.
pub fn install(level: &str, sink: Sink) -> Result<(), TelemetryError> {
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_writer(sink)
        .with_filter(check_level(level)?)
        .with_filter(filter_fn(is_ours_or_harmless));
    let subscriber = tracing_subscriber::registry().with(lines);
    tracing::subscriber::set_global_default(subscriber)
        .map_err(|_| TelemetryError::AlreadyInstalled)?;
    log::set_logger(&Libraries).map_err(|_| TelemetryError::AlreadyInstalled)?;
    // What the filter would drop is dropped where it is said: Pingora's dozen debug lines per
    // request cost three per cent of it when each is carried to the filter first.
    log::set_max_level(log::LevelFilter::Warn);
    panics::install_hook();
    Ok(())
}

/// The libraries' debug output holds request headers, tokens among them; their service chatter at
/// info says nothing that our own lines do not.
fn is_ours_or_harmless(event: &Metadata<'_>) -> bool {
    let target = event.target();
    target.starts_with("auth_gateway")
        || (*event.level() <= Level::WARN && Libraries::may_speak(target))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    struct Slow(mpsc::Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.0.recv();
            self.1.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_level_is_a_known_word_or_a_module_with_one() {
        for (level, filter) in [
            ("info", "info"),
            ("WARNING", "warn"),
            ("off", "off"),
            ("warn, auth_gateway::authz=debug", "auth_gateway::authz=debug,warn"),
            ("auth_gateway=warning", "auth_gateway=warn"),
        ] {
            assert_eq!(check_level(level).unwrap().to_string(), filter, "{level}");
        }
        for level in ["", "verbose", "a b", "info,", "info verbose", "auth_gateway", "=info", "a=b"]
        {
            assert!(check_level(level).is_err(), "{level:?}");
        }
        assert_eq!(
            check_level("info,verbose").unwrap_err().to_string(),
            "\"verbose\" is not one of error, warn, info, debug, trace, off, or module=level"
        );
    }

    #[test]
    fn a_buffer_never_takes_more_than_may_wait() {
        let mut buffer = Vec::new();
        while buffer.len() + 300_001 <= MAX_PENDING {
            make_room(&mut buffer, 300_001);
            buffer.resize(buffer.len() + 300_001, b'x');
            assert!(buffer.capacity() <= MAX_PENDING);
        }
        assert_eq!(buffer.capacity(), MAX_PENDING);
    }

    #[test]
    fn blocked_output_costs_lines_not_requests_and_what_is_left_is_written_at_the_end() {
        let (release, blocked) = mpsc::channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let (sink, writer) = Sink::to(Slow(blocked, Arc::clone(&written))).unwrap();
        let dropped = IntCounter::new("dropped", "dropped").unwrap();
        sink.count_dropped(dropped.clone());
        let line = vec![b'x'; 1 << 20];
        for _ in 0..32 {
            sink.append(&line);
        }
        assert!(dropped.get() >= 32 - 17, "{}", dropped.get());
        drop(release);
        drop(writer);
        assert!(written.lock().len() >= MAX_PENDING - (1 << 20));
        assert!(sink.shared.pending.lock().bytes.capacity() <= KEPT, "the room is given back");
    }
}
