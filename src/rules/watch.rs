//! Notices when the rule file's content changes.
//!
//! The folder is watched rather than the file, because editors rename a new file over the old one
//! and Kubernetes swaps the `..data` link beside it. A slow comparison of the content stands behind
//! that: file systems exist that report nothing, and a link may point out of the folder.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::load::MAX_FILE;
use crate::finding::Finding;

/// How long a writer gets to finish after its first event.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// How often the content is compared without an event.
const POLL: Duration = Duration::from_secs(2);

/// Why the rule file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RuleFileError {
    /// The file system says so.
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// More than 4 MiB.
    #[error("{} is larger than {MAX_FILE} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
}

impl RuleFileError {
    /// The same among other findings.
    pub fn finding(&self) -> Finding {
        let (path, finding) = match self {
            Self::Unreadable { path, cause } => {
                (path, Finding::error("unreadable", format!("cannot be read: {cause}")))
            }
            Self::TooLarge { path } => {
                let message = format!("is larger than {MAX_FILE} bytes");
                (path, Finding::error("file_too_large", message))
            }
        };
        finding.about("rules.file (--rules)").in_file(path)
    }
}

/// Where the rules are written down.
#[derive(Clone, Debug)]
pub struct RuleFile {
    path: PathBuf,
}

impl RuleFile {
    /// Names the file; nothing is read yet.
    pub const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file through one handle, so that a rename meanwhile cannot mix two contents.
    pub fn load(&self) -> Result<Vec<u8>, RuleFileError> {
        let unreadable = |cause| RuleFileError::Unreadable { path: self.path.clone(), cause };
        let file = File::open(&self.path).map_err(unreadable)?;
        let mut content = Vec::new();
        let bound = u64::try_from(MAX_FILE).unwrap_or(u64::MAX).saturating_add(1);
        file.take(bound).read_to_end(&mut content).map_err(unreadable)?;
        if content.len() > MAX_FILE {
            return Err(RuleFileError::TooLarge { path: self.path.clone() });
        }
        Ok(content)
    }

    /// Calls `on_change` with every content that differs from the one before, `current` at first,
    /// until `shutdown` says true or is dropped.
    ///
    /// A file that cannot be read is reported once until it can be read again.
    pub async fn watch(
        &self,
        current: Vec<u8>,
        on_change: impl FnMut(Result<Vec<u8>, RuleFileError>) + Send,
        shutdown: watch::Receiver<bool>,
    ) {
        let (sender, events) = mpsc::channel(1);
        // Dropping the watcher ends the events, so it lives as long as this call.
        let watcher = self.watch_folder(sender);
        if let Err(error) = &watcher {
            tracing::warn!(path = %self.path.display(), %error, "rule file is only polled");
        }
        self.follow(current, on_change, shutdown, events, POLL).await;
    }

    fn watch_folder(&self, sender: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.is_ok_and(|event| is_change(event.kind)) {
                // A full channel already announces a comparison that will see this change too.
                let _ = sender.try_send(());
            }
        })?;
        let folder = match self.path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    }

    async fn follow(
        &self,
        mut current: Vec<u8>,
        mut on_change: impl FnMut(Result<Vec<u8>, RuleFileError>) + Send,
        mut shutdown: watch::Receiver<bool>,
        mut events: mpsc::Receiver<()>,
        poll: Duration,
    ) {
        let mut is_readable = true;
        loop {
            tokio::select! {
                _ = shutdown.wait_for(|stop| *stop) => return,
                () = next_look(&mut events, poll) => {}
            }
            match self.load() {
                Ok(content) => {
                    // A file that is back may have been reported; whoever heard of it hears of this.
                    if content != current || !is_readable {
                        is_readable = true;
                        current.clone_from(&content);
                        on_change(Ok(content));
                    }
                }
                Err(error) if is_readable => {
                    is_readable = false;
                    on_change(Err(error));
                }
                Err(_) => {}
            }
        }
    }
}

/// Returns a moment after an event, or when it is time to look without one.
async fn next_look(events: &mut mpsc::Receiver<()>, poll: Duration) {
    match timeout(poll, events.recv()).await {
        Err(_) => {}
        Ok(Some(())) => {
            sleep(DEBOUNCE).await;
            while events.try_recv().is_ok() {}
        }
        Ok(None) => sleep(poll).await,
    }
}

/// Reading the file makes events too; answering those would never end.
const fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests;
