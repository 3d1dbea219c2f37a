//! Whether limits of containers are kept, found out by going past them.

use std::time::Duration;

use super::hostile::{self, CPU_MILLIS, DISK_BYTES, FREE_CPU_MILLIS, LOG_BYTES};
use super::{PIDS_LIMIT, Point, Rule, Subject};
use crate::sandbox::builder::{MEASURE_LIMIT_BYTES, MEASURE_TAKES_BYTES};
use crate::sandbox::engine::Engine;
use crate::sandbox::exec::Ran;
use crate::sandbox::probe::{allocate, greed};
use crate::sandbox::refusal::StartError;

/// Threads tried where [`PIDS_LIMIT`] are allowed.
pub(super) const THREADS_TRIED: u32 = 200;
/// How long one that takes too much memory may take for it.
const MEMORY_PATIENCE: Duration = Duration::from_secs(20);
/// How long processors are burnt.
const BURN: Duration = Duration::from_secs(1);
/// How much is written where [`DISK_BYTES`] are allowed.
const DISK_TRIED_BYTES: u64 = 48 << 20;
/// How long a container that prints without end may live.
const DEADLINE: Duration = Duration::from_millis(1500);
/// How long after its deadline a container may still be there.
const LATE: Duration = Duration::from_secs(5);

const MEMORY: Subject = Subject::new(
    Rule::Containers,
    "memory",
    "Memory and swap",
    "Give the kernel memory control groups, swap included: cgroup_enable=memory swapaccount=1 on its command line, or \
     switch swap off (`swapoff -a`); a rootless engine needs cgroup version 2 and Delegate=memory.",
);
const PIDS: Subject = Subject::new(
    Rule::Containers,
    "pids",
    "Processes",
    "Give the kernel the pids control group; a rootless engine needs cgroup version 2 and Delegate=pids. Without it a \
     fork bomb takes the host.",
);
const PIDS_INSIDE: Subject = Subject {
    mend: "They are processes of the container's own kernel (gVisor) and not the host's; the limit on memory ends a fork \
           bomb there. Nothing has to be done.",
    ..PIDS
};
const CPU: Subject = Subject::new(
    Rule::Containers,
    "cpu",
    "Processors",
    "Use a kernel with CONFIG_CFS_BANDWIDTH; a rootless engine needs cgroup version 2 and Delegate=cpu. Without it one \
     submission slows down all others.",
);
const DISK: Subject = Subject::new(
    Rule::Disk,
    "disk-written",
    "What a container writes",
    "The engine does not tell how much a container wrote, so a submission can fill the disk. Use the storage driver \
     overlay2, and give the engine's folder a file system of its own.",
);
const LOG: Subject = Subject::new(
    Rule::Disk,
    "log",
    "What a container prints",
    "Drydock has to read and cut the output itself: use an engine that knows the log driver `none`.",
);
const DEADLINE_KEPT: Subject = Subject::new(
    Rule::Time,
    "deadline",
    "A container past its deadline",
    "Look why the engine is slow to kill (`journalctl -u docker`); gradings would hang on it.",
);

/// All but [`cpu`], each in a container of its own, side by side. `kernel` is the host's.
pub(super) async fn all(engine: &Engine, kernel: &str) -> Vec<Point> {
    let (memory, pids, disk, endless) =
        tokio::join!(memory(engine), pids(engine, kernel), disk(engine), endless(engine));
    [vec![memory, pids, disk], endless].concat()
}

async fn memory(engine: &Engine) -> Point {
    let bytes = MEASURE_TAKES_BYTES.to_string();
    match hostile::run(engine, &["--allocate", &bytes], 1000, MEMORY_PATIENCE).await {
        Ok(ran) => judge_memory(&ran),
        Err(error) => MEMORY.not_measured(&error),
    }
}

fn judge_memory(ran: &Ran) -> Point {
    let tried = format!("{} MiB where {} were allowed", MEASURE_TAKES_BYTES >> 20, MEASURE_LIMIT_BYTES >> 20);
    match ran.exit_code {
        Some(code) if code == i64::from(allocate::GOT_IT) => MEMORY.fail(format!("a process got {tried}")),
        Some(code) if code == i64::from(allocate::REFUSED) => {
            MEMORY.pass(format!("a process was refused {tried}"))
        }
        _ if ran.oom_killed => {
            MEMORY.pass(format!("out of memory: the kernel ended a process that took {tried}"))
        }
        Some(137) => MEMORY.pass(format!("a process that took {tried} was killed")),
        // Just below the limit the kernel may drop and reload pages of the executable for a long time.
        None => MEMORY.pass(format!("a process that wanted {tried} did not get it for twenty seconds")),
        code => MEMORY.not_measured(&ended(code)),
    }
}

fn ended(code: Option<i64>) -> String {
    match code {
        Some(code) => format!("the process that was to go past it ended with exit code {code}"),
        None => "the process that was to go past it did not come to an end in time".into(),
    }
}

async fn pids(engine: &Engine, kernel: &str) -> Point {
    let tried = THREADS_TRIED.to_string();
    match hostile::run(engine, &["--threads", &tried], 1000, Duration::from_secs(15)).await {
        Ok(ran) => judge_pids(&ran, kernel),
        Err(error) => PIDS.not_measured(&error),
    }
}

fn judge_pids(ran: &Ran, kernel: &str) -> Point {
    match ran.exit_code {
        Some(code) if code == i64::from(allocate::GOT_IT) => {
            let observed = format!("{THREADS_TRIED} were started where {PIDS_LIMIT} were allowed");
            // The host has none of them; what they cost there is the container's memory.
            if kernel.is_empty() || ran.stdout.trim() == kernel {
                PIDS.fail(observed)
            } else {
                PIDS_INSIDE.caution(observed)
            }
        }
        Some(code) if code == i64::from(allocate::REFUSED) => {
            PIDS.pass(format!("of {THREADS_TRIED} some were refused where {PIDS_LIMIT} were allowed"))
        }
        code => PIDS.not_measured(&ended(code)),
    }
}

/// Two burn side by side, of which one may have much more: where both get as little, nothing is shown. What they get
/// is told by what they get done, for a container's own kernel (gVisor) counts time in its own way.
pub(super) async fn cpu(engine: &Engine) -> Point {
    let Ok(rounds_per_milli) = tokio::task::spawn_blocking(greed::rounds_per_milli).await else {
        return CPU.not_measured("the comparison with this machine came to no end");
    };
    let millis = BURN.as_millis().to_string();
    let arguments = ["--burn", &millis];
    let within = Duration::from_secs(20);
    let ran = tokio::try_join!(
        hostile::run(engine, &arguments, CPU_MILLIS, within),
        hostile::run(engine, &arguments, FREE_CPU_MILLIS, within),
    );
    match ran {
        Ok((bounded, free)) => judge_cpu(&bounded, &free, rounds_per_milli),
        Err(error) => CPU.not_measured(&error),
    }
}

fn judge_cpu(bounded: &Ran, free: &Ran, rounds_per_milli: u64) -> Point {
    let millis = |ran: &Ran| {
        let rounds = ran.stdout.trim().parse::<u64>().map_err(|_| ended(ran.exit_code))?;
        Ok::<_, String>(rounds / rounds_per_milli)
    };
    let (got, could) = match (millis(bounded), millis(free)) {
        (Ok(got), Ok(could)) => (got, could),
        (Err(why), _) | (_, Err(why)) => return CPU.not_measured(&why),
    };
    let observed = format!("four threads got about {got} ms of a second where {CPU_MILLIS} were allowed");
    let most = u64::from(CPU_MILLIS) * greed::TOLERANCE;
    if got > most {
        CPU.fail(observed)
    } else if could > most {
        CPU.pass(format!("{observed}, and {could} meanwhile where more were"))
    } else {
        CPU.not_measured(TOO_BUSY)
    }
}

/// Where not even who may have it gets more processor time.
pub(super) const TOO_BUSY: &str = "this machine is too busy to tell; ask again when it is not";

async fn disk(engine: &Engine) -> Point {
    let bytes = DISK_TRIED_BYTES.to_string();
    match hostile::run(engine, &["--fill", &bytes], 1000, Duration::from_secs(15)).await {
        Ok(ran) => judge_disk(&ran),
        Err(error) => DISK.not_measured(&error),
    }
}

fn judge_disk(ran: &Ran) -> Point {
    let tried = format!("{} MiB where {} were allowed", DISK_TRIED_BYTES >> 20, DISK_BYTES >> 20);
    if ran.over_disk {
        return DISK
            .pass(format!("stopped {:.1} s after its start for writing {tried}", ran.took.as_secs_f64()));
    }
    match ran.exit_code {
        // It waits to be stopped, and nobody came.
        None | Some(0) => DISK.fail(format!("a container wrote {tried} and was not stopped")),
        Some(code) if code == i64::from(allocate::REFUSED) => {
            DISK.pass(format!("a container was refused {tried}"))
        }
        code => DISK.not_measured(&ended(code)),
    }
}

/// One container that prints without end shows how much of that is kept, and that its deadline ends it.
async fn endless(engine: &Engine) -> Vec<Point> {
    let ran = hostile::run(engine, &["--flood"], 500, DEADLINE).await;
    vec![judge_log(&ran), judge_deadline(&ran)]
}

fn judge_log(ran: &Result<Ran, StartError>) -> Point {
    let ran = match ran {
        Ok(ran) => ran,
        Err(error) => return LOG.not_measured(error),
    };
    let kept = (ran.stdout.len() + ran.stderr.len()) as u64;
    let observed =
        format!("of an endless output {} KiB were kept, {} are allowed", kept >> 10, LOG_BYTES >> 10);
    // What cuts it off leaves a mark of a line.
    match (ran.truncated, kept <= LOG_BYTES + 1024) {
        (true, true) => LOG.pass(observed),
        (_, false) => LOG.fail(observed),
        (false, true) => LOG.not_measured(&format!("the output came too slowly: {} KiB", kept >> 10)),
    }
}

fn judge_deadline(ran: &Result<Ran, StartError>) -> Point {
    let ran = match ran {
        Ok(ran) => ran,
        Err(error) => return DEADLINE_KEPT.not_measured(error),
    };
    let late = ran.took.saturating_sub(DEADLINE);
    let observed = format!("one that never ends by itself was killed {:.1} s after it", late.as_secs_f64());
    match ran.exit_code {
        Some(code) => {
            DEADLINE_KEPT.not_measured(&format!("the container ended before it, with exit code {code}"))
        }
        None if late > LATE => DEADLINE_KEPT.fail(observed),
        None => DEADLINE_KEPT.pass(observed),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    fn ran(exit_code: Option<i64>) -> Ran {
        Ran {
            exit_code,
            stdout: String::new(),
            stderr: String::new(),
            truncated: false,
            oom_killed: false,
            over_disk: false,
            took: Duration::from_secs(2),
        }
    }

    #[test]
    fn who_got_what_was_not_allowed_shows_that_nothing_bounds_it() {
        let got_it = Some(i64::from(allocate::GOT_IT));
        assert_eq!(judge_memory(&ran(got_it)).grade, Grade::Fail);
        assert_eq!(judge_memory(&Ran { oom_killed: true, ..ran(Some(137)) }).grade, Grade::Pass);
        assert_eq!(judge_memory(&ran(Some(1))).grade, Grade::Caution);
        let pids =
            |code, kernel: &str| judge_pids(&Ran { stdout: format!("{kernel}\n"), ..ran(code) }, "6.1").grade;
        assert_eq!(pids(got_it, "6.1"), Grade::Fail);
        assert_eq!(pids(got_it, "4.4.0"), Grade::Caution);
        assert_eq!(pids(Some(i64::from(allocate::REFUSED)), "6.1"), Grade::Pass);
        assert_eq!(pids(None, ""), Grade::Caution);
    }

    #[test]
    fn a_share_of_the_processor_is_judged_with_patience() {
        let did = |rounds: &str| Ran { stdout: format!("{rounds}\n"), ..ran(Some(0)) };
        let grade = |bounded, free| judge_cpu(&did(bounded), &did(free), 10).grade;
        assert_eq!(grade("500", "9500"), Grade::Pass);
        assert_eq!(grade("9000", "9500"), Grade::Fail);
        assert_eq!(grade("500", "1400"), Grade::Caution);
        assert_eq!(grade("", "9500"), Grade::Caution);
    }

    #[test]
    fn who_fills_the_disk_has_to_be_stopped() {
        assert_eq!(judge_disk(&Ran { over_disk: true, ..ran(Some(137)) }).grade, Grade::Pass);
        let point = judge_disk(&ran(None));
        assert_eq!(point.grade, Grade::Fail);
        assert!(point.observed.contains("48 MiB where 16 were allowed"), "{}", point.observed);
        assert!(point.advice.contains("overlay2"));
    }

    #[test]
    fn an_endless_output_is_cut_and_its_container_ended() {
        let full = "x".repeat(usize::try_from(LOG_BYTES).unwrap());
        let cut = Ran { stdout: full.clone(), truncated: true, ..ran(None) };
        assert_eq!(judge_log(&Ok(cut)).grade, Grade::Pass);
        let more = Ran { stdout: full.repeat(2), truncated: true, ..ran(None) };
        assert_eq!(judge_log(&Ok(more)).grade, Grade::Fail);
        assert_eq!(judge_deadline(&Ok(ran(None))).grade, Grade::Pass);
        let late = Ran { took: Duration::from_secs(9), ..ran(None) };
        assert_eq!(judge_deadline(&Ok(late)).grade, Grade::Fail);
        assert_eq!(judge_deadline(&Ok(ran(Some(0)))).grade, Grade::Caution);
    }
}
