//! What this engine keeps of the sandbox's rules, found out by trying: `drydock doctor`.
//!
//! A limit that is configured may not be kept, and a network that is called internal may not be one.
//! So each rule is measured with the very containers, networks and builds that gradings use, by a
//! process that behaves as a hostile student's would ([`super::probe`]), and every finding says what
//! was seen and what to do. Nothing is left behind.

mod bounds;
mod builds;
mod confinement;
mod hostile;
mod installation;
mod machine;
mod networks;
mod terminal;

use std::fmt::Display;

use serde::ser::SerializeStruct as _;

use super::engine::{Engine, EngineContext};
use crate::config::{BuilderChoice, SandboxSettings};

pub use terminal::render;

/// How well something is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// As it should be.
    Pass,
    /// Works, but weaker or slower than it could; or it could not be told, and says so.
    Caution,
    /// Strangers' code should not run here before this is mended.
    Fail,
}

/// The rules of the sandbox that depend on the engine, by their numbers, and what stands before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// None of them: what the engine is.
    Engine,
    /// The engine makes what it is asked for.
    AsAsked,
    /// Containers are confined and bounded.
    Containers,
    /// A stack reaches nothing but itself.
    Networks,
    /// Builds are bounded.
    Builds,
    /// The disk is bounded.
    Disk,
    /// Time is bounded.
    Time,
    /// Nothing is left.
    Leftovers,
}

impl Rule {
    /// In the order in which they are told.
    const ALL: [Self; 8] = [
        Self::Engine,
        Self::AsAsked,
        Self::Containers,
        Self::Networks,
        Self::Builds,
        Self::Disk,
        Self::Time,
        Self::Leftovers,
    ];

    /// Its number among the sandbox's rules.
    #[must_use]
    pub fn number(self) -> Option<u8> {
        match self {
            Self::Engine => None,
            Self::AsAsked => Some(1),
            Self::Containers => Some(2),
            Self::Networks => Some(3),
            Self::Builds => Some(4),
            Self::Disk => Some(5),
            Self::Time => Some(6),
            Self::Leftovers => Some(7),
        }
    }

    /// What it says, for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Engine => "The engine",
            Self::AsAsked => "The engine makes what Drydock asks for, and nothing else",
            Self::Containers => "Every container is confined and bounded",
            Self::Networks => "A stack reaches nothing but itself",
            Self::Builds => "Builds are bounded",
            Self::Disk => "The disk is bounded",
            Self::Time => "Time is bounded",
            Self::Leftovers => "Nothing is left behind",
        }
    }
}

impl serde::Serialize for Rule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rule = serializer.serialize_struct("Rule", 2)?;
        rule.serialize_field("number", &self.number())?;
        rule.serialize_field("name", self.name())?;
        rule.end()
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Point {
    /// Short and stable, for scripts.
    pub id: &'static str,
    /// What it belongs to.
    pub rule: Rule,
    /// What it is, for people.
    pub title: &'static str,
    /// The judgement.
    pub grade: Grade,
    /// What was seen.
    pub observed: String,
    /// What to do; empty where there is nothing to do.
    pub advice: String,
}

/// How the observation begins where there is none.
const NOT_MEASURED: &str = "not measured: ";

/// Something that is looked at, and what to do where it is not as it should be.
struct Subject {
    rule: Rule,
    id: &'static str,
    title: &'static str,
    mend: &'static str,
}

impl Subject {
    const fn new(rule: Rule, id: &'static str, title: &'static str, mend: &'static str) -> Self {
        Self { rule, id, title, mend }
    }

    fn point(&self, grade: Grade, observed: impl Into<String>) -> Point {
        let advice = if grade == Grade::Pass { String::new() } else { self.mend.to_owned() };
        Point { id: self.id, rule: self.rule, title: self.title, grade, observed: observed.into(), advice }
    }

    fn pass(&self, observed: impl Into<String>) -> Point {
        self.point(Grade::Pass, observed)
    }

    fn caution(&self, observed: impl Into<String>) -> Point {
        self.point(Grade::Caution, observed)
    }

    fn fail(&self, observed: impl Into<String>) -> Point {
        self.point(Grade::Fail, observed)
    }

    /// Something that could not be found out, and why.
    fn not_measured(&self, why: &(impl Display + ?Sized)) -> Point {
        Point {
            advice: "Mend that and ask again.".into(),
            ..self.point(Grade::Caution, format!("{NOT_MEASURED}{why}"))
        }
    }
}

const ENGINE: Subject = Subject::new(
    Rule::Engine,
    "engine",
    "Docker engine",
    "Start the engine (`systemctl start docker`), set DOCKER_HOST, or let this user open its socket; then ask again.",
);

/// The most processes that the doctor's own containers and build steps may have.
const PIDS_LIMIT: u32 = 64;

/// Looks at everything. Takes some ten seconds; an engine that does not answer gives one point that
/// says so.
pub async fn examine(settings: &SandboxSettings, context: EngineContext) -> Vec<Point> {
    let state_dir = context.state_dir.clone();
    // Nothing that a doctor does should wait for a pool or be measured twice; and where few processes are
    // allowed, few have to be started to see whether that is kept.
    let own = SandboxSettings {
        warm_pods: 0,
        builder: BuilderChoice::Classic,
        max_pids: settings.max_pids.min(PIDS_LIMIT),
        ..settings.clone()
    };
    let mut points = Vec::new();
    match Engine::connect(&own, context).await {
        Err(error) => points.push(ENGINE.fail(error.to_string())),
        Ok(engine) => {
            let described = engine.inner.call("describe itself", engine.inner.docker.info()).await;
            match &described {
                Ok(info) => points.extend(installation::described(info, &engine.inner)),
                Err(error) => points.push(ENGINE.not_measured(error)),
            }
            let kernel = described.ok().and_then(|info| info.kernel_version).unwrap_or_default();
            let (survey, bounds, memory_of_builds) = tokio::join!(
                Box::pin(networks::survey(&engine, &kernel)),
                Box::pin(bounds::all(&engine, &kernel)),
                Box::pin(builds::memory(&engine.inner)),
            );
            // Shares of the processor show only while nothing else of ours takes any.
            let (cpu, builds) = tokio::join!(
                Box::pin(bounds::cpu(&engine)),
                Box::pin(builds::judged(&engine.inner, settings, memory_of_builds)),
            );
            match survey {
                Ok(survey) => {
                    points.extend(confinement::judge(&survey.seen, &survey.made, &survey.outside));
                    points.extend(networks::judge(&survey));
                }
                Err(error) => points.extend(networks::no_survey(&error)),
            }
            points.extend(bounds);
            points.push(cpu);
            points.extend(builds);
            engine.shutdown().await;
            points.push(installation::leftovers(&engine).await);
        }
    }
    points.push(installation::disk_of_data(&state_dir));
    points.sort_by_key(|point| Rule::ALL.iter().position(|rule| *rule == point.rule));
    points
}
