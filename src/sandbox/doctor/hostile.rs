//! The doctor's hostile students: our own executable in containers that are made just as a student's are.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bollard::models::ContainerInspectResponse;
use indexmap::IndexMap;

use super::PIDS_LIMIT;
use crate::sandbox::LogSink;
use crate::sandbox::builder::MEASURE_LIMIT_BYTES;
use crate::sandbox::engine::Engine;
use crate::sandbox::error::Error;
use crate::sandbox::exec::{Ran, RunSpec};
use crate::sandbox::limits::Limits;
use crate::sandbox::probe_image::EXECUTABLE;
use crate::sandbox::protocol::{Attempts, Seen};
use crate::sandbox::refusal::StartError;
use crate::sandbox::spec::{Ready, ServiceSpec, StackSpec};

/// What each of them may have.
pub(super) const CPU_MILLIS: u32 = 50;
/// What one may have beside it that shows how much there was to be had.
pub(super) const FREE_CPU_MILLIS: u32 = 1000;
/// What the one that looks around may have.
pub(super) const LOOKS_CPU_MILLIS: u32 = 1000;
pub(super) const DISK_BYTES: u64 = 16 << 20;
pub(super) const LOG_BYTES: u64 = 256 << 10;
/// How long looking around may take: no attempt lasts longer than some seconds, and all go on at once.
const LOOK_AROUND: Duration = Duration::from_secs(20);
const SERVICE: &str = "app";

fn limits(cpu_millis: u32) -> Limits {
    Limits {
        memory_bytes: MEASURE_LIMIT_BYTES,
        cpu_millis,
        pids: PIDS_LIMIT,
        disk_bytes: DISK_BYTES,
        build_time: Duration::from_mins(1),
        run_time: Duration::from_mins(1),
        log_bytes: LOG_BYTES,
    }
}

/// Runs the probe's image with these arguments as a student's command would run, as root of its container.
pub(super) async fn run(
    engine: &Engine,
    arguments: &[&str],
    cpu_millis: u32,
    within: Duration,
) -> Result<Ran, StartError> {
    let sandbox = engine.sandbox("doctor", limits(cpu_millis));
    let run = RunSpec {
        command: Some(arguments.iter().map(|word| (*word).to_owned()).collect()),
        user: Some("0:0".into()),
        within,
        ..RunSpec::default()
    };
    let ran = sandbox.run(&engine.inner.probe_image, run).await;
    sandbox.clean().await;
    ran
}

/// Lets a hostile process look around in a stack of its own. Says what it saw, and what the engine has made of its
/// container.
pub(super) async fn look_around(
    engine: &Engine,
    attempts: &Attempts,
) -> Result<(Seen, ContainerInspectResponse), StartError> {
    let sandbox = engine.sandbox("doctor", limits(LOOKS_CPU_MILLIS));
    let looked = Box::pin(look_around_in(&sandbox, engine, attempts)).await;
    sandbox.clean().await;
    looked
}

async fn look_around_in(
    sandbox: &crate::sandbox::Sandbox,
    engine: &Engine,
    attempts: &Attempts,
) -> Result<(Seen, ContainerInspectResponse), StartError> {
    let action = "run the doctor's hostile container";
    let failed = |cause: String| Error::Engine { action: action.into(), cause };
    let told = serde_json::to_string(attempts).map_err(|error| failed(error.to_string()))?;
    let service = ServiceSpec {
        entrypoint: Some([EXECUTABLE, "probe", "--look-around", &told].map(str::to_owned).to_vec()),
        user: Some("0:0".into()),
        ready: Ready::Exited { within: LOOK_AROUND },
        ..ServiceSpec::default()
    };
    let spec =
        StackSpec { services: IndexMap::from([(SERVICE.to_owned(), service)]), ..StackSpec::default() };
    let sink: LogSink = Arc::new(|_| {});
    let stack = sandbox.prepare(&spec).await?.start(&engine.inner.probe_image, sink, &HashSet::new()).await?;
    let service = stack.service(SERVICE).ok_or_else(|| failed("its stack has no service".into()))?;
    let id = service.container().id.clone();
    let inspection = engine.inner.docker.inspect_container(&id, None);
    let made = engine.inner.call("inspect a container", inspection).await?;
    let output = service.output();
    let seen = serde_json::from_str(&output.stdout).map_err(|error| {
        let mut said = format!("{error}; it printed: {}{}", output.stderr, output.stdout);
        said.truncate(said.floor_char_boundary(300));
        failed(said)
    })?;
    Ok((seen, made))
}
