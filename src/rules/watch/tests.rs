use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::*;

/// Bounds a test that would otherwise hang; nothing waits this long.
const PATIENCE: Duration = Duration::from_secs(20);

struct Watched {
    changes: mpsc::UnboundedReceiver<Result<Vec<u8>, RuleFileError>>,
    shutdown: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Watched {
    /// Watches with the file system's events.
    fn start(path: PathBuf) -> Self {
        Self::spawn(path, |file, current, on_change, stop| async move {
            file.watch(current, on_change, stop).await;
        })
    }

    /// Watches a file system that reports nothing.
    fn start_without_events(path: PathBuf) -> Self {
        Self::spawn(path, |file, current, on_change, stop| async move {
            let (_silent, events) = mpsc::channel(1);
            file.follow(current, on_change, stop, events, Duration::from_millis(5)).await;
        })
    }

    fn spawn<F, R>(path: PathBuf, run: F) -> Self
    where
        F: FnOnce(
            RuleFile,
            Vec<u8>,
            Box<dyn FnMut(Result<Vec<u8>, RuleFileError>) + Send>,
            watch::Receiver<bool>,
        ) -> R,
        R: Future<Output = ()> + Send + 'static,
    {
        let file = RuleFile::new(path);
        let current = file.load().expect("the first content");
        let (sender, changes) = mpsc::unbounded_channel();
        let (shutdown, stop) = watch::channel(false);
        let on_change = Box::new(move |change| drop(sender.send(change)));
        let task = tokio::spawn(run(file, current, on_change, stop));
        Self { changes, shutdown, task }
    }

    async fn next(&mut self) -> Result<Vec<u8>, RuleFileError> {
        timeout(PATIENCE, self.changes.recv()).await.expect("a change").expect("still watching")
    }

    /// Waits for `content`; a slow writer may be seen half-way.
    async fn expect(&mut self, content: &str) {
        while self.next().await.expect("readable") != content.as_bytes() {}
    }

    /// Ends the watch and returns how many changes nobody waited for.
    async fn stop(mut self) -> usize {
        self.shutdown.send(true).expect("still watching");
        timeout(PATIENCE, self.task).await.expect("ends").expect("no panic");
        let mut left = 0;
        while self.changes.recv().await.is_some() {
            left += 1;
        }
        left
    }
}

fn folder_with(content: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("access_rules.json");
    fs::write(&path, content).expect("written");
    (folder, path)
}

#[tokio::test]
async fn a_plain_write_is_noticed() {
    let (_folder, path) = folder_with("[1]");
    let mut watched = Watched::start(path.clone());
    fs::write(&path, "[2]").expect("written");
    watched.expect("[2]").await;
    assert_eq!(watched.stop().await, 0);
}

#[tokio::test]
async fn a_rename_over_the_file_is_noticed() {
    let (folder, path) = folder_with("[1]");
    let mut watched = Watched::start(path.clone());
    for content in ["[2]", "[3]"] {
        let new = folder.path().join(".access_rules.json.swp");
        fs::write(&new, content).expect("written");
        fs::rename(&new, &path).expect("renamed");
        watched.expect(content).await;
    }
    assert_eq!(watched.stop().await, 0);
}

#[tokio::test]
async fn a_config_map_swap_is_noticed() {
    let folder = tempfile::tempdir().expect("a folder");
    let version = |name: &str, content: &str| {
        fs::create_dir(folder.path().join(name)).expect("a version");
        fs::write(folder.path().join(name).join("access_rules.json"), content).expect("written");
        symlink(name, folder.path().join("..data_tmp")).expect("a link");
        fs::rename(folder.path().join("..data_tmp"), folder.path().join("..data"))
            .expect("swapped");
    };
    version("..2026_01", "[1]");
    let path = folder.path().join("access_rules.json");
    symlink("..data/access_rules.json", &path).expect("a link");

    let mut watched = Watched::start(path);
    version("..2026_02", "[2]");
    watched.expect("[2]").await;
    fs::remove_dir_all(folder.path().join("..2026_01")).expect("the old version");
    version("..2026_03", "[3]");
    watched.expect("[3]").await;
    assert_eq!(watched.stop().await, 0);
}

#[tokio::test]
async fn only_a_changed_content_is_reported() {
    let (folder, path) = folder_with("[1]");
    let mut watched = Watched::start_without_events(path.clone());
    let touch = folder.path().join("new");
    fs::write(&touch, "[1]").expect("written");
    fs::rename(&touch, &path).expect("renamed");
    fs::write(&touch, "[2]").expect("written");
    fs::rename(&touch, &path).expect("renamed");
    assert_eq!(watched.next().await.expect("readable"), b"[2]");
    assert_eq!(watched.stop().await, 0);
}

#[tokio::test]
async fn a_lost_file_is_reported_once_and_may_come_back() {
    let (folder, path) = folder_with("[1]");
    let mut watched = Watched::start_without_events(path.clone());
    fs::remove_file(&path).expect("removed");
    assert!(matches!(watched.next().await, Err(RuleFileError::Unreadable { .. })));
    let new = folder.path().join("new");
    fs::write(&new, "[2]").expect("written");
    fs::rename(&new, &path).expect("renamed");
    watched.expect("[2]").await;
    assert_eq!(watched.stop().await, 0);
}

#[tokio::test]
async fn a_file_without_end_is_refused() {
    let error = RuleFile::new(PathBuf::from("/dev/zero")).load().expect_err("endless");
    assert!(matches!(error, RuleFileError::TooLarge { .. }));
}

#[tokio::test]
async fn dropping_the_shutdown_sender_ends_the_watch() {
    let (_folder, path) = folder_with("[1]");
    let watched = Watched::start(path);
    drop(watched.shutdown);
    timeout(PATIENCE, watched.task).await.expect("ends").expect("no panic");
}
