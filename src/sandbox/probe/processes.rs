//! The processes of the PID namespace that the probe was put into, from `/proc` (proc(5)).
//!
//! What is read may be forged by the processes themselves as far as Linux lets them (arguments and
//! names), and its size is theirs to choose, so every part has a cap.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indexmap::IndexMap;
use rustix::process::{Pid, Signal, kill_process};

use crate::sandbox::processes::Process;

/// The most that is read of one process's arguments.
const ARGV_BYTES: u64 = 32 << 10;
/// The most that is read of one process's environment.
const ENV_BYTES: u64 = 128 << 10;
/// The most that is read of all processes' environments together; the main process comes first.
const ALL_ENV_BYTES: u64 = 4 << 20;
const NAMESPACES: [&str; 7] = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];

/// All processes but this one, by PID: the main process is the first.
pub(super) fn all() -> io::Result<Vec<Process>> {
    let mut env_left = ALL_ENV_BYTES;
    let mut found = Vec::new();
    for pid in pids()? {
        // One that ended meanwhile is not there to be told about.
        if let Ok(Some(process)) = read(pid, &mut env_left) {
            found.push(process);
        }
    }
    Ok(found)
}

/// Kills the process that was put into this namespace from outside so long ago (its parent is 0, as for
/// what `docker exec` starts), or the one nearest to that, and its descendants. Says how many.
///
/// Arguments do not tell it: a shell replaces itself by its last command.
pub(super) fn kill_foreign(age: Duration) -> io::Result<usize> {
    let mut parents = HashMap::new();
    let mut foreign = Vec::new();
    for pid in pids()? {
        let Ok(status) = std::fs::read_to_string(folder(pid).join("status")) else { continue };
        let parent = field(&status, "PPid").unwrap_or(0);
        parents.insert(pid, parent);
        if pid != 1
            && parent == 0
            && !is_probe(pid)
            && let Ok(Some(actual)) = age_of(pid)
        {
            foreign.push((actual.abs_diff(age), pid));
        }
    }
    let mut doomed: Vec<u32> = foreign.into_iter().min().map(|(_, pid)| pid).into_iter().collect();
    let mut next = 0;
    while let Some(parent) = doomed.get(next).copied() {
        doomed.extend(parents.iter().filter(|(_, of)| **of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    let killed = doomed.iter().filter(|pid| {
        i32::try_from(**pid)
            .ok()
            .and_then(Pid::from_raw)
            .is_some_and(|pid| kill_process(pid, Signal::KILL).is_ok())
    });
    Ok(killed.count())
}

/// Whether a process is an inspector of ours: it has capabilities that no student's can have.
fn is_probe(pid: u32) -> bool {
    let Ok(status) = std::fs::read_to_string(folder(pid).join("status")) else { return false };
    effective(&status) & (1 << SYS_PTRACE) != 0
}

/// How long ago a process was started: field 22 of `/proc/<pid>/stat` against `/proc/uptime`.
fn age_of(pid: u32) -> io::Result<Option<Duration>> {
    let stat = std::fs::read_to_string(folder(pid).join("stat"))?;
    let uptime = std::fs::read_to_string("/proc/uptime")?;
    // The name in brackets may hold anything; what counts comes after the last bracket.
    let started = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_ascii_whitespace().nth(19));
    let ticks: Option<u64> = started.and_then(|ticks| ticks.parse().ok());
    let up: Option<f64> = uptime.split_ascii_whitespace().next().and_then(|up| up.parse().ok());
    let (Some(ticks), Some(up)) = (ticks, up) else { return Ok(None) };
    let started = Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second());
    Ok(Some(Duration::from_secs_f64(up).saturating_sub(started)))
}

fn pids() -> io::Result<Vec<u32>> {
    let own = std::process::id();
    let mut pids: Vec<u32> = std::fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != own)
        .collect();
    pids.sort_unstable();
    Ok(pids)
}

fn folder(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}"))
}

fn read(pid: u32, env_left: &mut u64) -> io::Result<Option<Process>> {
    let folder = folder(pid);
    let status = std::fs::read_to_string(folder.join("status"))?;
    // Columns: real, effective, saved, file system.
    let (Some(uid), Some(gid)) = (column(&status, "Uid", 1), column(&status, "Gid", 1)) else {
        return Ok(None);
    };
    let environ = capped(&folder.join("environ"), ENV_BYTES.min(*env_left)).unwrap_or_default();
    *env_left -= environ.len() as u64;
    let mut env = IndexMap::new();
    for variable in strings(&environ) {
        if let Some((name, value)) = variable.split_once('=') {
            // As getenv(3) does, the first of two with one name counts.
            env.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
    }
    let namespaces: BTreeMap<String, String> = NAMESPACES
        .iter()
        .filter_map(|kind| {
            let target = std::fs::read_link(folder.join("ns").join(kind)).ok()?;
            Some(((*kind).to_owned(), target.to_string_lossy().into_owned()))
        })
        .collect();
    Ok(Some(Process {
        pid,
        parent_pid: field(&status, "PPid").unwrap_or(0),
        uid,
        gid,
        executable: std::fs::read_link(folder.join("exe"))
            .ok()
            .map(|path| path.to_string_lossy().into_owned()),
        argv: strings(&capped(&folder.join("cmdline"), ARGV_BYTES).unwrap_or_default()),
        env,
        capabilities: capabilities(effective(&status)),
        namespaces,
    }))
}

fn capped(path: &Path, cap: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    std::fs::File::open(path)?.take(cap).read_to_end(&mut content)?;
    Ok(content)
}

/// Strings ended by NUL.
fn strings(bytes: &[u8]) -> Vec<String> {
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    if bytes.is_empty() {
        return Vec::new();
    }
    bytes.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}

fn text<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn field(status: &str, name: &str) -> Option<u32> {
    text(status, name)?.parse().ok()
}

fn column(status: &str, name: &str, index: usize) -> Option<u32> {
    text(status, name)?.split_ascii_whitespace().nth(index)?.parse().ok()
}

/// The bits of the effective capabilities.
fn effective(status: &str) -> u64 {
    text(status, "CapEff").and_then(|hex| u64::from_str_radix(hex, 16).ok()).unwrap_or(0)
}

/// The bit of the capability that an inspector has and a student's process cannot have.
const SYS_PTRACE: usize = 19;

/// Names by bit, from Linux's `uapi/linux/capability.h` (as of 6.18).
const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

fn capabilities(bits: u64) -> Vec<String> {
    let mut names: Vec<String> = (0..64)
        .filter(|bit| bits & (1 << bit) != 0)
        .map(|bit| CAPABILITIES.get(bit).map_or_else(|| bit.to_string(), |name| (*name).to_owned()))
        .collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_told_as_it_was_started() {
        let mut child = std::process::Command::new("sleep")
            .arg("30")
            .env_clear()
            .env("GREETING", "hello=you")
            .spawn()
            .unwrap();
        let found = all().unwrap().into_iter().find(|process| process.pid == child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        let process = found.unwrap();
        assert_eq!(process.argv, ["sleep", "30"]);
        assert_eq!(process.parent_pid, std::process::id());
        assert_eq!(process.env, IndexMap::from([("GREETING".to_owned(), "hello=you".to_owned())]));
        assert!(process.executable.is_some_and(|path| path.starts_with('/')));
        assert!(process.namespaces["pid"].starts_with("pid:["));
    }

    #[test]
    fn the_age_of_a_process_is_known() {
        let mut child = std::process::Command::new("sleep").arg("30").spawn().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        let age = age_of(child.id()).unwrap().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!((Duration::from_millis(250)..Duration::from_secs(20)).contains(&age), "{age:?}");
    }

    #[test]
    fn capability_bits_have_their_names() {
        assert_eq!(capabilities(0), Vec::<String>::new());
        assert_eq!(capabilities((1 << 10) | 1), ["CHOWN", "NET_BIND_SERVICE"]);
        assert_eq!(capabilities(1 << 40), ["CHECKPOINT_RESTORE"]);
        assert_eq!(capabilities(1 << 63), ["63"]);
    }

    #[test]
    fn an_empty_argument_is_an_argument() {
        assert_eq!(strings(b""), Vec::<String>::new());
        assert_eq!(strings(b"a\0\0b\0"), ["a", "", "b"]);
    }
}
