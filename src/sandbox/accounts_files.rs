//! `/etc/passwd` and `/etc/group` of a container, which the engine itself reads when it starts one.
//!
//! It opens them as they are (moby's `getUser`): of a pipe it waits for a writer for ever, with the container
//! locked, so that neither an inspection nor a removal comes back until the engine is restarted. So
//! `container.rs` has them looked at before every start, without opening them.

use bollard::query_parameters::ContainerArchiveInfoOptionsBuilder;

use super::engine::{CALL, EngineInner};
use super::error::Error;

const FILES: [&str; 2] = ["/etc/passwd", "/etc/group"];
/// Bits of Go's `os.FileMode` for what is no regular file: symbolic link, and all others.
const LINK: u32 = 1 << 27;
const IRREGULAR: u32 = 1 << 31 | LINK | 1 << 26 | 1 << 25 | 1 << 24 | 1 << 21 | 1 << 19;
/// As many links one after another are followed.
const MOST_LINKS: usize = 8;

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
