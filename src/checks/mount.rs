//! `mount`: what is mounted where in a service.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::matcher::{Size, Text};
use super::shell::line;
use super::tally::Tally;
use super::{Check, Fault, Finding, Manual, Scene, Surroundings};
use crate::report::Phase;
use crate::sandbox::{MountKind, Mounted};
use crate::units::ByteSize;

/// Something is mounted at a path of a service's container, or nothing is.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// The service; `app` if nothing is said.
    pub service: Option<String>,
    /// Where: an absolute path in the container.
    pub at: String,
    /// Of which type it is.
    #[serde(rename = "type")]
    pub kind: Option<MountType>,
    /// The volume's name in the stack, or the folder of the submission; `{absent: true}` for a volume
    /// without a name, which an image declares.
    pub name: Option<Text>,
    /// Whether it cannot be written there.
    pub read_only: Option<bool>,
    /// How much fits into a file system in memory.
    pub size: Option<Size>,
    /// `true`: nothing is mounted there.
    #[serde(default)]
    pub absent: bool,
}

/// The types of mounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MountType {
    /// A volume.
    Volume,
    /// A folder from outside: in a stack a folder of the submission.
    Bind,
    /// A file system in memory.
    Tmpfs,
}

impl Check for Mount {
    const NAME: &'static str = "mount";
    const PHASE: Phase = Phase::Run;
    const MANUAL: Manual = Manual {
        examples: include_str!("mount.yaml"),
        evidence: &[("What is mounted", "every mount of the container, with its type, name and size")],
        fails: &[
            "nothing is mounted at the path, or something is and should not",
            "it is of another type, such as a volume without a name where one with a name should be",
            "it can be written and should not, or the other way round",
        ],
    };

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.service("service", self.service.as_deref(), &mut mistakes);
        if !self.at.starts_with('/') || self.at.split('/').any(|part| part == "..") {
            mistakes.push(format!("`at: {}` has to be an absolute path", self.at));
        }
        let others =
            self.kind.is_some() || self.name.is_some() || self.read_only.is_some() || self.size.is_some();
        if self.absent && others {
            mistakes.push("`absent: true` cannot stand beside what something mounted would have".into());
        }
        if let Some(name) = &self.name {
            if self.kind == Some(MountType::Tmpfs) {
                mistakes.push("a file system in memory has no name; leave `name` out".into());
            }
            name.mistakes("name", true, &mut mistakes);
        }
        if let Some(size) = &self.size {
            if self.kind.is_some_and(|kind| kind != MountType::Tmpfs) {
                mistakes.push("`size` is of a file system in memory; write `type: tmpfs`".into());
            }
            size.mistakes("size", &mut mistakes);
        }
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let service = scene.service(self.service.as_deref())?;
        let mounts = service.mounts().await?;
        let here = mounts.iter().find(|mount| plain(&mount.target) == plain(&self.at));
        let mut tally = Tally::default();
        let seen = here.map_or_else(
            || format!("nothing is mounted at `{}`", self.at),
            |mount| format!("a {} is mounted at `{}`", words(mount.kind), self.at),
        );
        if self.absent {
            tally.note(here.is_none(), format!("nothing is mounted at `{}`", self.at), seen);
        } else {
            let wanted = self.kind.map_or("something".into(), |kind| format!("a {}", words(kind.into())));
            let fits = here.is_some_and(|mount| self.kind.is_none_or(|kind| mount.kind == kind.into()));
            tally.note(fits, format!("{wanted} is mounted at `{}`", self.at), seen);
            self.note(here, scene, &mut tally)?;
        }
        let inspect = "{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}} rw={{.RW}}{{println}}{{end}}{{json \
                       .HostConfig.Tmpfs}}";
        let name = service.host_name();
        let command = format!(
            "{} && {}",
            service.reproduce(&line(["-d", "--name", name])),
            line(["docker", "inspect", "-f", inspect, name])
        );
        Ok(tally.finding(tally.detail().proof("What is mounted", table(&mounts)).reproduce(command)))
    }
}

impl Mount {
    /// What is asked of something mounted beside its type.
    fn note(&self, here: Option<&Mounted>, scene: &Scene<'_>, tally: &mut Tally) -> Result<(), Fault> {
        if let Some(wanted) = &self.name {
            let wanted = wanted.resolved(scene.variables).map_err(Fault::Exercise)?;
            let name = here.and_then(|mount| mount.name.as_deref());
            tally.note(
                here.is_some() && wanted.accepts_option(name),
                format!("name {}", wanted.describe()),
                name.map_or_else(|| "it has no name".into(), |name| format!("its name is `{name}`")),
            );
        }
        if let Some(wanted) = self.read_only {
            let words = |read_only| if read_only { "read-only" } else { "writable" };
            let seen = here.map(|mount| mount.read_only);
            tally.note(
                seen == Some(wanted),
                words(wanted),
                seen.map_or_else(
                    || "there is nothing to write to".into(),
                    |seen| format!("it is {}", words(seen)),
                ),
            );
        }
        if let Some(wanted) = &self.size {
            let seen = here.and_then(|mount| mount.size_bytes);
            tally.note(
                seen.is_some_and(|bytes| wanted.accepts(bytes)),
                format!("size {}", wanted.describe()),
                seen.map_or_else(
                    || "it has no size of its own".into(),
                    |bytes| format!("its size is {}", ByteSize(bytes)),
                ),
            );
        }
        Ok(())
    }
}

impl From<MountType> for MountKind {
    fn from(kind: MountType) -> Self {
        match kind {
            MountType::Volume => Self::Volume,
            MountType::Bind => Self::Bind,
            MountType::Tmpfs => Self::Tmpfs,
        }
    }
}

fn words(kind: MountKind) -> &'static str {
    match kind {
        MountKind::Volume => "volume",
        MountKind::Bind => "folder from outside (bind)",
        MountKind::Tmpfs => "file system in memory (tmpfs)",
    }
}

/// A path without the slashes that do not matter.
fn plain(path: &str) -> Vec<&str> {
    path.split('/').filter(|part| !matches!(*part, "" | ".")).collect()
}

pub(super) fn table(mounts: &[Mounted]) -> String {
    if mounts.is_empty() {
        return "nothing".into();
    }
    let mut table = String::new();
    for Mounted { target, kind, name, read_only, size_bytes } in mounts {
        let name = name.as_deref().unwrap_or("(no name)");
        let kind = match kind {
            MountKind::Volume => format!("volume {name}"),
            MountKind::Bind => format!("bind {name}"),
            MountKind::Tmpfs => "tmpfs".into(),
        };
        let size = size_bytes.map(|bytes| format!(", {}", ByteSize(bytes))).unwrap_or_default();
        let _ =
            writeln!(table, "{target}  {kind}, {}{size}", if *read_only { "read-only" } else { "writable" });
    }
    table
}
