//! What is in the engine, and how much room everything takes.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use drydock::clock::Clock;

use crate::server::{Installation, PATIENCE};

/// Everything that an engine has, whoever made it: it is nobody's but the test's.
#[derive(Debug, PartialEq, Eq)]
pub struct Inventory(BTreeSet<String>);

impl Inventory {
    pub fn of(installation: &Installation) -> Self {
        let lists: [&[&str]; 4] = [
            &["ps", "--all", "--no-trunc", "--format", "container {{.Names}} {{.Status}}"],
            &["network", "ls", "--filter", "type=custom", "--format", "network {{.Name}}"],
            &["volume", "ls", "--format", "volume {{.Name}}"],
            // With those without a name, and the steps of builds.
            &["images", "--all", "--no-trunc", "--format", "image {{.ID}} {{.Repository}}:{{.Tag}}"],
        ];
        let lines = lists.map(|list| installation.docker(list));
        Self(lines.iter().flat_map(|lines| lines.lines().map(str::to_owned)).collect())
    }

    /// What is here and not there.
    pub fn beyond(&self, other: &Self) -> Vec<String> {
        self.0.difference(&other.0).cloned().collect()
    }
}

/// Waits until no process that was killed has anything left, as far as the installation itself knows: a dead
/// owner's file goes when the last of its things is gone. `alive` processes are running.
pub async fn swept(installation: &Installation, alive: usize) {
    let running = installation.data().join("sandbox/running");
    let began = Clock::system().stopwatch();
    loop {
        let owners: Vec<String> = std::fs::read_dir(&running)
            .expect("the folder of owners")
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| !name.contains('.'))
            .collect();
        if owners.len() <= alive {
            return;
        }
        let left = Inventory::of(installation);
        assert!(began.elapsed() < PATIENCE, "never swept: {owners:?} of {alive} alive\n{left:#?}");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Files below a folder: how many, and their bytes. The database's are counted apart.
#[derive(Clone, Copy, Debug, Default)]
pub struct Room {
    pub files: u64,
    pub bytes: u64,
    pub database_bytes: u64,
}

impl Room {
    pub fn of(folder: &Path) -> Self {
        let mut room = Self::default();
        let Ok(entries) = std::fs::read_dir(folder) else { return room };
        for entry in entries.flatten() {
            let Ok(found) = entry.metadata() else { continue };
            if found.is_dir() {
                let below = Self::of(&entry.path());
                room.files += below.files;
                room.bytes += below.bytes;
                room.database_bytes += below.database_bytes;
            } else if entry.file_name().to_string_lossy().starts_with("drydock.db") {
                room.database_bytes += found.len();
            } else {
                room.files += 1;
                room.bytes += found.len();
            }
        }
        room
    }
}
