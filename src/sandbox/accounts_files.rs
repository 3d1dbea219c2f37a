//! `/etc/passwd` and `/etc/group` of a container, which the engine itself reads when it starts one.
//!
//! It opens them as they are (moby's `getUser`): of a pipe it waits for a writer for ever, with the container
//! locked, so that neither an inspection nor a removal comes back until the engine is restarted. So
//! `container.rs` has them looked at before every start, without opening them.
//!
//! Nobody can look before a step of a build, which the engine starts by itself right after the one that made the
//! pipe. Such a build ends with its time, `build.rs` then finds out why; the step's container stays locked, and
//! whoever meets it has to know ([`LOOK`], [`held_containers`]) rather than wait.

use std::collections::HashMap;
use std::time::Duration;

use bollard::query_parameters::{ContainerArchiveInfoOptionsBuilder, ListContainersOptionsBuilder};
use futures::future::join_all;

use super::engine::{CALL, EngineInner};
use super::error::Error;

const FILES: [&str; 2] = ["/etc/passwd", "/etc/group"];
/// Bits of Go's `os.FileMode` for what is no regular file: symbolic link, and all others.
const LINK: u32 = 1 << 27;
const IRREGULAR: u32 = 1 << 31 | LINK | 1 << 26 | 1 << 25 | 1 << 24 | 1 << 21 | 1 << 19;
/// How long a container may be looked at that the engine may hold: it answers in milliseconds, or never.
pub(super) const LOOK: Duration = Duration::from_secs(10);
/// A container that is to run is started as soon as it is made. One that was not after so many seconds may be held.
pub(super) const NEVER_STARTED: i64 = 10;
/// As many links one after another are followed.
const MOST_LINKS: usize = 8;

/// Containers that the engine holds, whoever they belong to. Until it is started again it removes no image either,
/// since for that it looks at every container.
pub(super) async fn held_containers(engine: &EngineInner) -> Result<Vec<String>, Error> {
    let created = HashMap::from([("status".to_owned(), vec!["created".to_owned()])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&created).build();
    let listed = engine.call("list containers", engine.docker.list_containers(Some(options))).await?;
    let now = engine.context.clock.now().timestamp();
    let late = listed.into_iter().filter(|one| one.created.is_some_and(|made| now - made > NEVER_STARTED));
    let looked = join_all(late.filter_map(|container| container.id).map(async |id| {
        let looking = engine.docker.inspect_container(&id, None);
        let held =
            matches!(engine.answer("inspect a container", LOOK, looking).await, Err(Error::TimedOut { .. }));
        held.then_some(id)
    }))
    .await;
    let held: Vec<String> = looked.into_iter().flatten().collect();
    if !held.is_empty() {
        tracing::error!(
            containers = ?held,
            todo = "restart the Docker engine, which waits for them for ever and cannot remove images meanwhile",
            "engine.holds_containers"
        );
    }
    Ok(held)
}

impl EngineInner {
    /// Why the engine could not read who the users are in a container that does not run, as a sentence for the
    /// student.
    pub(super) async fn blocking_accounts(&self, container: &str) -> Result<Option<String>, Error> {
        let (passwd, group) =
            tokio::try_join!(self.is_readable(container, FILES[0]), self.is_readable(container, FILES[1]))?;
        let file = [(passwd, FILES[0]), (group, FILES[1])].into_iter().find(|(readable, _)| !readable);
        Ok(file.map(|(_, file)| {
            format!(
                "{file} in the image is not a regular file, so nobody can read from it who the users are."
            )
        }))
    }

    /// Whether there is a regular file, or nothing.
    async fn is_readable(&self, container: &str, file: &str) -> Result<bool, Error> {
        let mut path = file.to_owned();
        for _ in 0..MOST_LINKS {
            let options = ContainerArchiveInfoOptionsBuilder::default().path(&path).build();
            let action = "look at a file of a container";
            let looking = self.docker.get_container_archive_info(container, Some(options));
            let Ok(found) = self.answer(action, CALL, looking).await? else {
                // Nothing is there, or a link leads back to itself: opened, it fails at once.
                return Ok(true);
            };
            if found.file_mode & LINK == 0 {
                return Ok(found.file_mode & IRREGULAR == 0);
            }
            path = found.link_target;
        }
        Ok(false)
    }
}
