//! A service's processes as `/proc` tells them. Plain data, read by the probe as an inspector.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// A process in a service's container, as `/proc` tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Inside the container's PID namespace.
    pub pid: u32,
    /// 0 for the main process and for what `docker exec` started.
    pub parent_pid: u32,
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Path of the executable, where it can be read.
    pub executable: Option<String>,
    /// Empty for a process that has ended and was not waited for.
    pub argv: Vec<String>,
    /// The environment as it was when the process was started (`/proc/<pid>/environ`).
    pub env: IndexMap<String, String>,
    /// Effective capabilities, without `CAP_`, sorted.
    pub capabilities: Vec<String>,
    /// Namespace kind (`net`, `pid`, `mnt`, …) to its identity.
    pub namespaces: BTreeMap<String, String>,
}
