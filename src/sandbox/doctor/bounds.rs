//! Whether limits of build steps and containers are kept, found out by going past them.

use std::time::Duration;

use super::{Grade, Point};
use crate::config::BuilderChoice;
use crate::sandbox::Builder;
use crate::sandbox::builder::{self, Bounded, MEASURE_LIMIT_BYTES, MEASURE_TAKES_BYTES};
use crate::sandbox::engine::{Engine, EngineInner};
use crate::sandbox::exec::RunSpec;
use crate::sandbox::limits::Limits;
use crate::sandbox::probe::allocate;
use crate::sandbox::refusal::StartError;

/// Threads tried where [`PIDS_LIMIT`] are allowed.
const THREADS_TRIED: u32 = 200;
const PIDS_LIMIT: u32 = 32;

pub(super) async fn memory_of_builder(engine: &EngineInner, builder: Builder) -> Point {
    let (id, title) = match builder {
        Builder::Classic => ("build-classic", "Memory limit of build steps, classic builder"),
        Builder::BuildKit => ("build-buildkit", "Memory limit of build steps, BuildKit"),
    };
    let bounded = match builder::measure(engine, builder).await {
        Ok(bounded) => bounded,
        Err(error) => return Point::unknown(id, title, &error),
    };
    let settings = &engine.settings;
    let used = match builder {
        Builder::Classic => settings.builder == BuilderChoice::Classic,
        Builder::BuildKit => settings.builder == BuilderChoice::BuildKit || settings.unbounded_buildkit,
    };
    let observed = match bounded {
        Bounded::Yes => told_of_memory(true),
        Bounded::No => told_of_memory(false),
        Bounded::Unknown => "could not be told: the build did not come so far".to_owned(),
    };
    let grade = match (bounded, used) {
        (Bounded::Yes, _) => Grade::Pass,
        (Bounded::No, true) => Grade::Fail,
        _ => Grade::Caution,
    };
    let advice = match builder {
        Builder::Classic => {
            "Builds cannot be bounded here: run Drydock's engine in a virtual machine of its own."
        }
        Builder::BuildKit => {
            "BuildKit ignores limits of single builds; with sandbox.builder = \"auto\" it is only used where it is bounded, \
             and exercises with build.secrets cannot be graded elsewhere. To bound all its steps together, start the engine with --cgroup-parent and a memory limit on that group."
        }
    };
    Point::new(id, title, grade, observed, advice)
}

fn told_of_memory(kept: bool) -> String {
    let (limit, takes) = (MEASURE_LIMIT_BYTES >> 20, MEASURE_TAKES_BYTES >> 20);
    if kept {
        format!("kept: a process that took {takes} MiB of {limit} allowed was ended")
    } else {
        format!("not kept: a process got {takes} MiB where {limit} were allowed")
    }
}

/// Runs our own executable as a student's command would run; its exit code.
async fn try_out(engine: &Engine, arguments: [&str; 2]) -> Result<(Option<i64>, bool), StartError> {
    let limits = Limits {
        memory_bytes: MEASURE_LIMIT_BYTES,
        cpu_millis: 1000,
        pids: PIDS_LIMIT,
        disk_bytes: 16 << 20,
        build_time: Duration::from_mins(1),
        run_time: Duration::from_mins(1),
        log_bytes: 64 << 10,
    };
    let sandbox = engine.sandbox("doctor", limits);
    let run = RunSpec {
        command: Some(arguments.map(str::to_owned).to_vec()),
        within: Duration::from_secs(30),
        ..RunSpec::default()
    };
    let ran = sandbox.run(&engine.inner.probe_image, run).await;
    sandbox.clean().await;
    ran.map(|ran| (ran.exit_code, ran.oom_killed))
}

pub(super) async fn memory_limit(engine: &Engine) -> Point {
    let (id, title) = ("memory", "Memory limit of containers");
    let bytes = MEASURE_TAKES_BYTES.to_string();
    let advice =
        "Give the kernel memory control groups (on some systems: cgroup_enable=memory on its command line).";
    match try_out(engine, ["--allocate", &bytes]).await {
        Ok((Some(code), _)) if code == i64::from(allocate::GOT_IT) => {
            Point::new(id, title, Grade::Fail, told_of_memory(false), advice)
        }
        Ok((Some(137), _) | (_, true)) => Point::new(id, title, Grade::Pass, told_of_memory(true), ""),
        // Just below the limit the kernel may drop and reload pages of the executable for a long time.
        Ok((None, _)) => {
            let observed = "kept: a process that wanted more than is allowed did not get it within 30 s";
            Point::new(id, title, Grade::Pass, observed, "")
        }
        Ok((code, _)) => Point::unknown(id, title, &format!("the process ended with {code:?}")),
        Err(error) => Point::unknown(id, title, &error),
    }
}

pub(super) async fn pids_limit(engine: &Engine) -> Point {
    let (id, title) = ("pids", "Process limit of containers");
    let tried = THREADS_TRIED.to_string();
    match try_out(engine, ["--threads", &tried]).await {
        Ok((Some(code), _)) if code == i64::from(allocate::GOT_IT) => Point::new(
            id,
            title,
            Grade::Fail,
            format!("not kept: {THREADS_TRIED} threads ran where {PIDS_LIMIT} were allowed"),
            "Give the kernel the pids control group; without it a fork bomb takes the host.",
        ),
        Ok((Some(code), _)) if code == i64::from(allocate::REFUSED) => Point::new(
            id,
            title,
            Grade::Pass,
            format!("kept: {THREADS_TRIED} threads were refused where {PIDS_LIMIT} were allowed"),
            "",
        ),
        Ok((code, _)) => Point::unknown(id, title, &format!("the process ended with {code:?}")),
        Err(error) => Point::unknown(id, title, &error),
    }
}
