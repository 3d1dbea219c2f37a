//! Whether the steps of builds are bounded, for each builder, found out by going past the bounds.

use super::bounds::{THREADS_TRIED, TOO_BUSY};
use super::hostile::{CPU_MILLIS, FREE_CPU_MILLIS};
use super::{PIDS_LIMIT, Point, Rule, Subject};
use crate::config::{BuilderChoice, SandboxSettings};
use crate::sandbox::Builder;
use crate::sandbox::builder::{self, Bounded, MEASURE_LIMIT_BYTES, MEASURE_TAKES_BYTES};
use crate::sandbox::engine::EngineInner;
use crate::sandbox::error::Error;
use crate::sandbox::probe::greed::{STEP, STEP_GOT_CPU, STEP_GOT_THREADS, STEP_HAS_NETWORK};

/// What is looked at of one builder.
struct Subjects {
    memory: Subject,
    pids: Subject,
    cpu: Subject,
    network: Subject,
}

const NO_ENGINE: &str =
    "This engine does not keep to the limits of builds: use another one, in a virtual machine of its own.";
const TOGETHER: &str = "BuildKit takes no limits for single builds; with sandbox.builder = \"auto\" it is only used where it is bounded, and \
                        exercises with build.secrets cannot be graded elsewhere. A slice around the engine (deploy/) bounds all its steps \
                        together; then set sandbox.unbounded_buildkit = true for those.";
const SLICE: &str = "BuildKit's steps count to the engine's own group: put dockerd into a slice with TasksMax and CPUWeight as \
                     deploy/ does, or set sandbox.builder = \"classic\".";

const CLASSIC: Subjects = Subjects {
    memory: Subject::new(Rule::Builds, "build-classic", "Memory of steps, classic builder", NO_ENGINE),
    pids: Subject::new(
        Rule::Builds,
        "build-classic-pids",
        "Processes of steps, classic builder",
        "Give the kernel the pids control group. Until then a step's fork bomb ends when its memory does.",
    ),
    cpu: Subject::new(Rule::Builds, "build-classic-cpu", "Processors of steps, classic builder", NO_ENGINE),
    network: Subject::new(
        Rule::Builds,
        "build-classic-network",
        "No network in steps, classic builder",
        NO_ENGINE,
    ),
};
const BUILDKIT: Subjects = Subjects {
    memory: Subject::new(Rule::Builds, "build-buildkit", "Memory of steps, BuildKit", TOGETHER),
    pids: Subject::new(Rule::Builds, "build-buildkit-pids", "Processes of steps, BuildKit", SLICE),
    cpu: Subject::new(Rule::Builds, "build-buildkit-cpu", "Processors of steps, BuildKit", SLICE),
    network: Subject::new(Rule::Builds, "build-buildkit-network", "No network in steps, BuildKit", NO_ENGINE),
};

/// What was measured of one builder.
struct Measured {
    memory: Result<Bounded, Error>,
    step: Result<Step, Error>,
}

/// The exit codes of two steps that took what there is beside memory; where they did not come so far, none.
struct Step {
    bounded: Option<i64>,
    /// Of one that may have much more processor time.
    free: Option<i64>,
}

/// Whether each builder bounds memory: the classic one first.
pub(super) async fn memory(engine: &EngineInner) -> [Result<Bounded, Error>; 2] {
    let (classic, buildkit) =
        tokio::join!(builder::measure(engine, Builder::Classic), builder::measure(engine, Builder::BuildKit));
    [classic, buildkit]
}

/// What else each builder bounds, to be measured while nothing else burns, and the judgement of all.
pub(super) async fn judged(
    engine: &EngineInner,
    settings: &SandboxSettings,
    [classic, buildkit]: [Result<Bounded, Error>; 2],
) -> Vec<Point> {
    let (of_classic, of_buildkit) =
        tokio::join!(steps(engine, Builder::Classic), steps(engine, Builder::BuildKit));
    let [uses_classic, uses_buildkit] = used(settings, matches!(buildkit, Ok(Bounded::Yes)));
    let mut points = judge(&CLASSIC, &Measured { memory: classic, step: of_classic }, uses_classic);
    points.extend(judge(&BUILDKIT, &Measured { memory: buildkit, step: of_buildkit }, uses_buildkit));
    points
}

async fn steps(engine: &EngineInner, builder: Builder) -> Result<Step, Error> {
    let (threads, permille) = (THREADS_TRIED.to_string(), CPU_MILLIS.to_string());
    let arguments = ["--step", &threads, &permille];
    let (bounded, free) = tokio::try_join!(
        builder::try_step(engine, builder, &arguments, CPU_MILLIS),
        builder::try_step(engine, builder, &arguments, FREE_CPU_MILLIS),
    )?;
    Ok(Step { bounded, free })
}

/// Whether students' builds use the classic builder, and whether they use BuildKit.
fn used(settings: &SandboxSettings, buildkit_is_bounded: bool) -> [bool; 2] {
    match settings.builder {
        BuilderChoice::Classic => [true, false],
        BuilderChoice::BuildKit => [false, true],
        BuilderChoice::Auto => [!buildkit_is_bounded, buildkit_is_bounded || settings.unbounded_buildkit],
    }
}

fn judge(subjects: &Subjects, measured: &Measured, used: bool) -> Vec<Point> {
    let whose = if used { "students' builds use it" } else { "students' builds do not use it" };
    // What nobody uses cannot harm.
    let broken = |subject: &Subject, observed: String| {
        let observed = format!("{observed}; {whose}");
        if used { subject.fail(observed) } else { subject.caution(observed) }
    };
    let takes = format!("{} MiB where {} were allowed", MEASURE_TAKES_BYTES >> 20, MEASURE_LIMIT_BYTES >> 20);
    let memory = match &measured.memory {
        Ok(Bounded::Yes) => subjects.memory.pass(format!("a step that took {takes} was ended; {whose}")),
        Ok(Bounded::No) => broken(&subjects.memory, format!("a step got {takes}")),
        Ok(Bounded::Unknown) => subjects.memory.not_measured("the build did not come so far"),
        Err(error) => subjects.memory.not_measured(error),
    };
    let came_so_far =
        |code: &Option<i64>| code.filter(|code| (i64::from(STEP)..i64::from(STEP) + 8).contains(code));
    let (code, free) = match &measured.step {
        Ok(step) => match came_so_far(&step.bounded) {
            Some(code) => (code, came_so_far(&step.free).unwrap_or_default()),
            None => return vec![memory, subjects.network.not_measured("the build did not come so far")],
        },
        Err(error) => return vec![memory, subjects.network.not_measured(error)],
    };
    let has = |bit: u8| code & i64::from(bit) != 0;
    let pids = if has(STEP_GOT_THREADS) {
        subjects
            .pids
            .caution(format!("a step started {THREADS_TRIED} where {PIDS_LIMIT} were allowed; {whose}"))
    } else {
        subjects.pids.pass(format!("a step was refused {THREADS_TRIED} where {PIDS_LIMIT} were allowed"))
    };
    let allowed = format!("the {CPU_MILLIS} ms of a second that it was allowed");
    let cpu = if has(STEP_GOT_CPU) {
        subjects.cpu.caution(format!("a step got more than three times {allowed}; {whose}"))
    } else if free & i64::from(STEP_GOT_CPU) != 0 {
        subjects.cpu.pass(format!("a step got about {allowed}, another one more meanwhile"))
    } else {
        subjects.cpu.not_measured(TOO_BUSY)
    };
    let network = if has(STEP_HAS_NETWORK) {
        broken(&subjects.network, "a step without `network: internet` has a network".into())
    } else {
        subjects.network.pass("a step without `network: internet` has no interface but its own loopback")
    };
    vec![memory, pids, cpu, network]
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    fn grades(memory: Bounded, bits: u8, used: bool) -> Vec<Grade> {
        let step = Step { bounded: Some(i64::from(STEP | bits)), free: Some(i64::from(STEP | STEP_GOT_CPU)) };
        let measured = Measured { memory: Ok(memory), step: Ok(step) };
        judge(&BUILDKIT, &measured, used).iter().map(|point| point.grade).collect()
    }

    #[test]
    fn a_builder_without_bounds_harms_where_it_is_used() {
        use Grade::{Caution, Fail, Pass};
        let all = STEP_GOT_CPU | STEP_GOT_THREADS | STEP_HAS_NETWORK;
        assert_eq!(grades(Bounded::Yes, 0, true), [Pass; 4]);
        assert_eq!(grades(Bounded::No, all, true), [Fail, Caution, Caution, Fail]);
        assert_eq!(grades(Bounded::No, all, false), [Caution; 4]);
        let missing =
            Measured { memory: Ok(Bounded::Unknown), step: Ok(Step { bounded: Some(1), free: None }) };
        assert!(judge(&CLASSIC, &missing, true).iter().all(|point| point.grade == Grade::Caution));
    }

    #[test]
    fn a_busy_machine_shows_nothing_of_processor_time() {
        let step = Step { bounded: Some(i64::from(STEP)), free: Some(i64::from(STEP)) };
        let points = judge(&CLASSIC, &Measured { memory: Ok(Bounded::Yes), step: Ok(step) }, true);
        let grades: Vec<Grade> = points.iter().map(|point| point.grade).collect();
        assert_eq!(grades, [Grade::Pass, Grade::Pass, Grade::Caution, Grade::Pass]);
    }

    #[test]
    fn the_settings_and_the_measurement_say_who_builds() {
        let settings = |builder, unbounded_buildkit| SandboxSettings {
            builder,
            unbounded_buildkit,
            ..SandboxSettings::default()
        };
        assert_eq!(used(&settings(BuilderChoice::Auto, false), false), [true, false]);
        assert_eq!(used(&settings(BuilderChoice::Auto, true), false), [true, true]);
        assert_eq!(used(&settings(BuilderChoice::Auto, false), true), [false, true]);
        assert_eq!(used(&settings(BuilderChoice::Classic, true), true), [true, false]);
        assert_eq!(used(&settings(BuilderChoice::BuildKit, false), false), [false, true]);
    }
}
