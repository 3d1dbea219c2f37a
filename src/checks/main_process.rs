//! What a service's processes tell: which is the main one, and whether it is a shell.

use std::fmt::Write as _;

use super::diagnosis::ended;
use super::{Detail, Fault};
use crate::sandbox::{Process, Service};

/// Why there are no processes to look at: a finding.
pub(super) struct Unseen {
    /// What is the matter, for the student.
    pub(super) sentence: String,
}

impl Unseen {
    /// The detail of a check that wanted to see them.
    pub(super) fn detail(&self, service: &Service, expected: String) -> Detail {
        Detail::new(expected, self.sentence.clone())
            .with_output(&service.output())
            .reproduce(service.reproduce(""))
    }
}

/// The processes of a service, the main one first; there is at least one.
pub(super) async fn processes(service: &Service) -> Result<Result<Vec<Process>, Unseen>, Fault> {
    let not_running = || Unseen { sentence: "the container does not run".into() };
    if let Some(sentence) = ended(&service.state().await?) {
        return Ok(Err(Unseen { sentence }));
    }
    Ok(match Box::pin(service.processes()).await? {
        Ok(processes) if processes.is_empty() => Err(not_running()),
        Ok(processes) => Ok(processes),
        Err(unseen) => Err(Unseen { sentence: unseen.to_string() }),
    })
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The names of a process: the one it was called by, and that of its executable.
pub(super) fn names(process: &Process) -> Vec<&str> {
    // A login shell is called by its name with a dash before it.
    let called = process.argv.first().map(|word| file_name(word).trim_start_matches('-'));
    let executable = process.executable.as_deref().map(file_name);
    let mut names: Vec<&str> = called.into_iter().chain(executable).filter(|name| !name.is_empty()).collect();
    names.dedup();
    names
}

/// Whether a process is a shell.
pub(super) fn is_shell(process: &Process) -> bool {
    const SHELLS: [&str; 9] = ["sh", "ash", "bash", "dash", "ksh", "mksh", "zsh", "fish", "csh"];
    names(process).iter().any(|name| SHELLS.contains(name))
}

/// The processes as `ps` would show them.
pub(super) fn table(processes: &[Process]) -> String {
    if processes.is_empty() {
        return String::new();
    }
    let mut table = format!("{:>6} {:>6} {:>6} {:>6}  COMMAND\n", "PID", "PPID", "UID", "GID");
    for process in processes {
        let Process { pid, parent_pid, uid, gid, .. } = process;
        let _ = writeln!(table, "{pid:>6} {parent_pid:>6} {uid:>6} {gid:>6}  {}", process.argv.join(" "));
    }
    table
}
