//! A file with a text of this grading alone, by which it is told whether a folder was kept.

use std::time::Duration;

use crate::checks::matcher::shown;
use crate::checks::{Fault, Scene};
use crate::sandbox::{MountKind, RunSpec, Service, StartError};

/// A marker in a folder.
pub(super) struct Marker {
    folder: String,
    name: String,
    text: String,
}

/// How a marker is written and read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// By the image's shell, as the container's user.
    Shell,
    /// Through the engine, as `docker cp` does: the image has no shell.
    Copy,
}

/// What became of a marker.
pub(super) enum Kept {
    There,
    Gone,
    /// It cannot be told; why, for the student.
    Unknown(String),
}

/// How long the shell may take.
const WITHIN: Duration = Duration::from_secs(10);

impl Marker {
    pub(super) fn new(folder: &str, scene: &Scene<'_>) -> Self {
        let secret = scene.variables.get("random").map_or("marker", String::as_str);
        Self {
            folder: folder.trim_end_matches('/').to_owned(),
            name: format!(".marker-{}", scene.id),
            text: format!("{secret}-{}", scene.id),
        }
    }

    fn path(&self) -> String {
        format!("{}/{}", self.folder, self.name)
    }

    /// Runs a script of the image's shell with the marker's path and text as its arguments.
    fn script(&self, script: &str) -> RunSpec {
        let words = ["sh", "-c", script, "sh", &self.path(), &self.text];
        RunSpec { command: Some(words.map(str::to_owned).into()), within: WITHIN, ..RunSpec::default() }
    }

    /// Writes it; says how, or why it cannot be written.
    pub(super) async fn write(&self, service: &Service) -> Result<Result<Way, String>, Fault> {
        match service.exec(self.script("printf '%s\\n' \"$2\" > \"$1\"")).await {
            Ok(ran) if ran.exit_code == Some(0) => return Ok(Ok(Way::Shell)),
            Ok(ran) => return Ok(Err(why(&ran.stderr, ran.exit_code))),
            Err(StartError::Platform(error)) => return Err(error.into()),
            Err(StartError::Refused { .. }) => {}
        }
        if !service.state().await?.running {
            return Ok(Err("the container does not run any more".into()));
        }
        let mounts = service.mounts().await?;
        let below = |target: &str| {
            let target = target.trim_end_matches('/');
            self.folder == target || self.folder.starts_with(&format!("{target}/"))
        };
        if mounts.iter().any(|mount| mount.kind == MountKind::Tmpfs && below(&mount.target)) {
            return Err(Fault::Exercise(format!(
                "what is in `{}` cannot be told: it is in memory, and the image has no shell; use `write` and `read`",
                self.folder
            )));
        }
        let content = format!("{}\n", self.text);
        let folder = if self.folder.is_empty() { "/" } else { &self.folder };
        Ok(service.put_file(folder, &self.name, content.as_bytes()).await?.map(|()| Way::Copy))
    }

    /// Whether it is there.
    pub(super) async fn read(&self, service: &Service, way: Way) -> Result<Kept, Fault> {
        let there = |seen: &str| if seen.trim_end() == self.text { Kept::There } else { Kept::Gone };
        if way == Way::Copy {
            let content = service.get_file(&self.path(), 4096).await?.unwrap_or_default();
            return Ok(there(&String::from_utf8_lossy(&content)));
        }
        // A file that is there and cannot be read is something else than one that is not.
        let script = "[ -e \"$1\" ] || exit 0; IFS= read -r line < \"$1\" && printf '%s' \"$line\"";
        match service.exec(self.script(script)).await {
            Ok(ran) if ran.exit_code == Some(0) => Ok(there(&ran.stdout)),
            Ok(ran) => Ok(Kept::Unknown(why(&ran.stderr, ran.exit_code))),
            Err(StartError::Refused { sentence, .. }) => Ok(Kept::Unknown(sentence)),
            Err(StartError::Platform(error)) => Err(error.into()),
        }
    }

    /// Takes it away again, where that can be done; nothing depends on it.
    pub(super) async fn remove(&self, service: &Service, way: Way) {
        if way == Way::Shell
            && let Err(error) = service.exec(self.script("rm -f \"$1\"")).await
        {
            tracing::debug!(%error, "marker.not_removed");
        }
    }
}

/// What a shell said, on one line.
fn why(stderr: &str, code: Option<i64>) -> String {
    match (stderr.trim().lines().last(), code) {
        (Some(line), _) => shown(line),
        (None, Some(code)) => format!("exit code {code}"),
        (None, None) => format!("it took longer than {} s", WITHIN.as_secs()),
    }
}
