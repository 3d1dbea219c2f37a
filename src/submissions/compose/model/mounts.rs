//! What is mounted into containers: volumes, folders and files of the submission, memory, configs, secrets.

use indexmap::IndexMap;
use serde::Serialize;

use super::super::files::PathKind;
use super::super::finding::Origin;
use super::json::is_false;

/// A named volume, empty at the start and the stack's own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Volume {
    /// Where it is written.
    pub origin: Origin,
    /// Labels.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub labels: IndexMap<String, String>,
}

/// Something mounted into a service's containers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// Where it is written.
    pub origin: Origin,
    /// What.
    #[serde(flatten)]
    pub kind: MountKind,
    /// An absolute path in the container.
    pub target: String,
    /// It cannot be written there.
    #[serde(skip_serializing_if = "is_false")]
    pub read_only: bool,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum MountKind {
    /// A volume of the project, or one of the container's own that has no name.
    Volume {
        /// A key of [`super::Project::volumes`].
        #[serde(skip_serializing_if = "Option::is_none")]
        source: Option<String>,
        /// A folder of it, relative.
        #[serde(skip_serializing_if = "Option::is_none")]
        subpath: Option<String>,
        /// What the image has there is not copied into it.
        #[serde(skip_serializing_if = "is_false")]
        nocopy: bool,
    },
    /// A folder or file of the submission.
    Bind(Bind),
    /// Memory.
    Tmpfs(Tmpfs),
}

/// A folder or file of the submission, mounted as a writable copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bind {
    /// Path in the submission, with no `..` and no link on the way; `.` is the whole of it.
    pub source: String,
    /// What is there. Where nothing is, an empty folder is mounted, as docker makes one.
    #[serde(skip)]
    pub found: PathKind,
}

/// A file system in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tmpfs {
    /// Its size; `None`: as large as the sandbox allows.
    #[serde(rename = "size", skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// The permissions of its root, such as `0o1777`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
}

/// A config or secret of the project.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SharedFile {
    /// Where it is written.
    pub origin: Origin,
    /// Where its bytes are.
    #[serde(flatten)]
    pub source: FileSource,
}

/// Where the bytes of a config or secret are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileSource {
    /// A file of the submission: its path, with no `..` and no link on the way.
    File(String),
    /// Written in the compose file.
    Content(String),
}

/// A config or secret in a service's containers, or a secret in a build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileMount {
    /// Where it is written.
    pub origin: Origin,
    /// A key of [`super::Project::configs`] or [`super::Project::secrets`].
    pub source: String,
    /// Path in the container: `/run/secrets/NAME` for a secret that says nothing else, `/NAME` for a config.
    /// For a build, the id of the secret.
    pub target: String,
    /// Its owner, a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Its group, a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<String>,
    /// Its permissions, such as `0o440`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
}
