//! Who owns what: one installation, many processes, and how a sweep tells the living from the dead.
//!
//! Every process that connects to an engine is an *owner* with an id of its own. As long as it
//! lives it holds an operating-system lock on `<state_dir>/running/<owner id>`; the system
//! releases the lock however the process ends, `kill -9` included. So an owner is dead exactly
//! when its lock can be taken (or its file is gone). No clock and no heartbeat is involved, and a
//! process that hangs is still alive.
//!
//! Beside the lock stand the journals of the builder, because what a build makes carries no label: in
//! `<owner id>.images` the id of each image layer that the classic builder reported, in
//! `<owner id>.steps` each container that it ran a step in (see `build_step.rs`); one per line.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::error::Error;

const RUNNING: &str = "running";
const INSTALLATION: &str = "installation-id";
const IMAGES: &str = "images";
const STEPS: &str = "steps";

/// This process as an owner. Its lock is released when this is dropped.
#[derive(Debug)]
pub(super) struct Owner {
    /// The installation's id, the same for all processes with this state folder.
    pub(super) installation: String,
    /// This owner's id.
    pub(super) id: String,
    running: PathBuf,
    _lock: File,
}

impl Owner {
    /// Registers this process under `state_dir`, which is made if it is not there.
    pub(super) fn register(state_dir: &Path) -> Result<Self, Error> {
        let unusable = |error: &io::Error| {
            Error::Unfit(format!(
                "the state folder {} cannot be used ({error}); it must be writable and on a file system with locks",
                state_dir.display()
            ))
        };
        Self::try_register(state_dir).map_err(|error| unusable(&error))
    }

    fn try_register(state_dir: &Path) -> io::Result<Self> {
        let running = state_dir.join(RUNNING);
        std::fs::create_dir_all(&running)?;
        let installation = installation_id(state_dir)?;
        let id = Uuid::new_v4().simple().to_string();
        // Locked before it has its name: a sweep in another process never sees it unlocked.
        let unnamed = running.join(format!(".{id}"));
        let lock = OpenOptions::new().create_new(true).write(true).open(&unnamed)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::Error(error) => error,
            TryLockError::WouldBlock => io::Error::other("a lock file just made is locked already"),
        })?;
        std::fs::rename(&unnamed, running.join(&id))?;
        Ok(Self { installation, id, running, _lock: lock })
    }

    /// Where the builder notes each image it makes, one id per line, as soon as it hears of it.
    pub(super) fn image_journal(&self) -> PathBuf {
        journal(&self.running, &self.id, IMAGES)
    }

    /// Where the builder notes each container that a step runs in.
    pub(super) fn step_journal(&self) -> PathBuf {
        journal(&self.running, &self.id, STEPS)
    }

    /// Whether `owner` has ended: its lock can be taken, or its file is gone.
    /// A dead owner's lock is held as long as the answer is, so that two sweeps do not meet.
    pub(super) fn status_of(&self, owner: &str) -> io::Result<Status> {
        if owner == self.id {
            return Ok(Status::Alive);
        }
        if !is_id(owner) {
            // Not an id we ever gave: nobody can hold it.
            return Ok(Status::Dead(None));
        }
        let path = self.running.join(owner);
        let file = match OpenOptions::new().write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Status::Dead(None)),
            Err(error) => return Err(error),
        };
        match file.try_lock() {
            Ok(()) => Ok(Status::Dead(Some(file))),
            Err(TryLockError::WouldBlock) => Ok(Status::Alive),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Ids of all owners that have a lock file, this one too.
    pub(super) fn registered(&self) -> io::Result<Vec<String>> {
        let mut ids = Vec::new();
        for entry in std::fs::read_dir(&self.running)? {
            if let Some(name) = entry?.file_name().to_str()
                && is_id(name)
            {
                ids.push(name.to_owned());
            }
        }
        Ok(ids)
    }

    /// The images an owner noted, in the order they were made; empty without a journal.
    pub(super) fn journalled_images(&self, owner: &str) -> io::Result<Vec<String>> {
        self.journalled(owner, IMAGES)
    }

    /// What an owner noted of the containers of its builds' steps; empty without a journal.
    pub(super) fn journalled_steps(&self, owner: &str) -> io::Result<Vec<String>> {
        self.journalled(owner, STEPS)
    }

    fn journalled(&self, owner: &str, of: &str) -> io::Result<Vec<String>> {
        if !is_id(owner) {
            return Ok(Vec::new());
        }
        match std::fs::read_to_string(journal(&self.running, owner, of)) {
            Ok(text) => Ok(text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Forgets a dead owner of which nothing is left in the engine.
    pub(super) fn forget(&self, owner: &str) -> io::Result<()> {
        if !is_id(owner) {
            return Ok(());
        }
        let journals = [IMAGES, STEPS].map(|of| journal(&self.running, owner, of));
        // The lock last: without it nobody would look for the journals again.
        for path in journals.into_iter().chain([self.running.join(owner)]) {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes this owner's own files; for an orderly end in which nothing was left behind.
    pub(super) fn retire(&self) -> io::Result<()> {
        self.forget(&self.id)
    }
}

/// Whether an owner lives.
#[derive(Debug)]
pub(super) enum Status {
    Alive,
    /// With its lock, now ours, where it had a file.
    Dead(Option<File>),
}

fn journal(running: &Path, owner: &str, of: &str) -> PathBuf {
    running.join(format!("{owner}.{of}"))
}

/// Owner ids are 32 hex digits; anything else could not be a file name of ours.
fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Reads the installation's id, or makes it; two processes that start at once agree on one.
fn installation_id(state_dir: &Path) -> io::Result<String> {
    let path = state_dir.join(INSTALLATION);
    loop {
        match std::fs::read_to_string(&path) {
            Ok(text) if is_id(text.trim()) => return Ok(text.trim().to_owned()),
            Ok(_) => {
                return Err(io::Error::other(format!(
                    "{} does not hold an installation's id",
                    path.display()
                )));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        // Written whole under another name, then linked: the link fails if someone was faster,
        // and nobody ever reads half an id.
        let id = Uuid::new_v4().simple().to_string();
        let draft = state_dir.join(format!(".{INSTALLATION}.{id}"));
        let mut file = OpenOptions::new().create_new(true).write(true).open(&draft)?;
        writeln!(file, "{id}")?;
        file.sync_all()?;
        let linked = std::fs::hard_link(&draft, &path);
        std::fs::remove_file(&draft)?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_dead_exactly_when_its_lock_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let first = Owner::register(folder.path()).unwrap();
        let second = Owner::register(folder.path()).unwrap();
        assert_eq!(first.installation, second.installation);
        assert!(matches!(first.status_of(&second.id).unwrap(), Status::Alive));
        let id = second.id.clone();
        drop(second);
        assert!(matches!(first.status_of(&id).unwrap(), Status::Dead(Some(_))));
        first.forget(&id).unwrap();
        assert!(matches!(first.status_of(&id).unwrap(), Status::Dead(None)));
        assert_eq!(first.registered().unwrap(), std::slice::from_ref(&first.id));
    }

    #[test]
    fn a_strange_owner_label_never_becomes_a_path() {
        let folder = tempfile::tempdir().unwrap();
        let owner = Owner::register(folder.path()).unwrap();
        assert!(matches!(owner.status_of("../../etc/passwd").unwrap(), Status::Dead(None)));
    }

    #[test]
    fn processes_that_start_at_once_agree_on_the_installation() {
        let folder = tempfile::tempdir().unwrap();
        let ids: std::collections::HashSet<String> = std::thread::scope(|scope| {
            let handles: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| Owner::register(folder.path()).unwrap().installation.clone()))
                .collect();
            handles.into_iter().map(|handle| handle.join().unwrap()).collect()
        });
        assert_eq!(ids.len(), 1);
    }
}
