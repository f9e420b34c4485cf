//! What one test logs.

use std::io::Write;
use std::sync::{Arc, Once};

use parking_lot::Mutex;
use serde_json::Value;
use tracing::subscriber::DefaultGuard;

static LISTENER: Once = Once::new();

pub(crate) struct Log {
    written: Written,
    _guard: DefaultGuard,
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Everything that this thread logs from now on.
    pub(crate) fn capture() -> Self {
        // Where nobody else listens, a line that another test comes by first could settle for all threads
        // that nobody is interested in it.
        LISTENER.call_once(|| {
            let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
        });
        let written = Written::default();
        let writer = written.clone();
        let subscriber =
            tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
        Self { written, _guard: tracing::subscriber::set_default(subscriber) }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.written.0.lock().clone()).unwrap()
    }

    /// What every line says, its message among it.
    pub(crate) fn fields(&self) -> Vec<Value> {
        let fields = |line| serde_json::from_str::<Value>(line).unwrap()["fields"].take();
        self.text().lines().map(fields).collect()
    }

    /// Lines that contain `message`.
    pub(crate) fn lines(&self, message: &str) -> usize {
        self.text().lines().filter(|line| line.contains(message)).count()
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
