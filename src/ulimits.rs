//! Limits of processes (`ulimit`): which a service may set, and how far.
//!
//! `sandbox` gives each container what is left of its wishes, `submissions` tells the student what is not.

/// A limit as `setrlimit(2)` has it; -1 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ulimit {
    /// What a process starts with.
    pub soft: i64,
    /// What it may raise it to.
    pub hard: i64,
}

/// Open files per process. Servers under test need a few hundred; the engine's own default is the
/// daemon's, which may be a million.
pub const OPEN_FILES: i64 = 4096;
/// Below these the engine's runtime itself, which becomes the process, could fail to start it: a failure that
/// nobody could tell from one of the machine.
const LEAST_OPEN_FILES: i64 = 64;
const LEAST_STACK_BYTES: i64 = 256 << 10;
/// Bytes in POSIX message queues, which is memory of the kernel: the kernel's own default.
const QUEUE_BYTES: i64 = 819_200;
/// No bound but what the container has anyway.
const FREE: i64 = i64::MAX;

/// What becomes of a wish: the limit that a container of `memory_bytes` gets. `None` for limits that have
/// no effect here: those that count everything of a user on the whole machine (`nproc`, `sigpending`), which
/// would make one stack's outcome another's, those that give precedence over others (`nice`, `rtprio`,
/// `rttime`), and those that Linux does not keep any more or that break every program (`rss`, `locks`, `data`).
#[must_use]
pub fn ulimit(name: &str, wanted: Ulimit, memory_bytes: u64) -> Option<Ulimit> {
    let memory = i64::try_from(memory_bytes).unwrap_or(FREE);
    let (least, most) = match name {
        "nofile" => (LEAST_OPEN_FILES, OPEN_FILES),
        // The core of a crash would be written to the machine.
        "core" => (0, 0),
        "memlock" => (0, memory),
        "msgqueue" => (0, QUEUE_BYTES),
        "stack" => (LEAST_STACK_BYTES, FREE),
        // 0 is the runtime's own start.
        "cpu" => (1, FREE),
        "fsize" => (0, FREE),
        _ => return None,
    };
    let bounded = |value: i64| if value < 0 { FREE } else { value }.clamp(least, most);
    let written = |value: i64| if value == FREE { -1 } else { value };
    let (soft, hard) = (bounded(wanted.soft), bounded(wanted.hard));
    Some(Ulimit { soft: written(soft.min(hard)), hard: written(hard) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_wish_is_above_a_bound() {
        let both = |value| Ulimit { soft: value, hard: value };
        for (name, wanted, given) in [
            ("nofile", Ulimit { soft: 1024, hard: 65_535 }, Some(Ulimit { soft: 1024, hard: OPEN_FILES })),
            ("nofile", both(-1), Some(both(OPEN_FILES))),
            ("nofile", both(1), Some(both(LEAST_OPEN_FILES))),
            ("core", both(-1), Some(both(0))),
            ("memlock", both(-1), Some(both(64 << 20))),
            ("memlock", both(1 << 20), Some(both(1 << 20))),
            ("stack", both(-1), Some(both(-1))),
            ("fsize", Ulimit { soft: -1, hard: 100 }, Some(both(100))),
            ("nproc", both(10), None),
            ("rtprio", both(99), None),
        ] {
            assert_eq!(ulimit(name, wanted, 64 << 20), given, "{name} {wanted:?}");
        }
    }
}
