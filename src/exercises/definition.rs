//! `exercise.yaml` as it is written: the types that serde reads and the JSON Schema describes.
//!
//! Every field is optional here, so that one that is missing does not hide the mistakes in the others;
//! [`super::Exercise::read`] tells which it misses.

use std::borrow::Cow;

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use super::SubmitKind;
use crate::checks::Kind;
use crate::checks::command::CommandLine;
use crate::checks::compose::Condition;
use crate::sandbox::Restart;
use crate::units::{ByteSize, Span};

/// An exercise: what is handed in, how it is built and run, what must hold.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Exercise", extend("required" = ["title", "submit", "checks"]))]
pub struct Definition {
    /// For lists and headings.
    #[schemars(length(min = 1, max = 120))]
    pub title: Option<String>,
    /// One or two sentences for lists.
    pub summary: String,
    /// About how long it takes.
    #[schemars(range(min = 1, max = 600))]
    pub minutes: Option<u32>,
    /// What is learned, as phrases.
    pub objectives: Vec<String>,
    /// The ways to hand in that this exercise takes.
    #[schemars(length(min = 1))]
    pub submit: Option<Vec<SubmitKind>>,
    /// How the image under test is built; left out where nothing is built.
    pub build: Option<BuildDefinition>,
    /// What runs; left out where nothing runs.
    pub stack: Option<StackDefinition>,
    /// The submission's own compose file runs, instead of `build`; services of a `stack` stand beside its own.
    pub compose: Option<ComposeDefinition>,
    /// Bounds; the server's settings cap them.
    pub limits: LimitsDefinition,
    /// Points of a check that each of its hints costs but the first, which comes by itself. Hints cost nothing
    /// where it is left out.
    #[schemars(range(max = 100))]
    pub hint_cost: u32,
    /// What must hold, in the order it is shown.
    #[serde(deserialize_with = "ignored")]
    #[schemars(with = "Vec<CheckDefinition>", length(min = 1))]
    pub checks: (),
    /// Solutions broken on purpose, by the name of their folder below `mutants/`. Each must fail
    /// exactly the checks that it names, and each check must be failed by at least one.
    pub mutants: IndexMap<String, MutantDefinition>,
}

/// Checks are read one by one, so that a mistake in one does not hide those in the others.
fn ignored<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    serde::de::IgnoredAny::deserialize(deserializer).map(|_| ())
}

/// How the image under test is built.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Build")]
pub struct BuildDefinition {
    /// The folder of the submission that is the build context.
    pub context: String,
    /// The Dockerfile's path in the context.
    pub dockerfile: String,
    /// The stage to build; the last if nothing is said.
    pub target: Option<String>,
    /// Build arguments.
    #[schemars(with = "IndexMap<String, TextOrNumber>")]
    pub args: IndexMap<String, String>,
    /// What the build's `RUN` steps can reach.
    pub network: BuildNetwork,
    /// Secrets by id, for `RUN --mount=type=secret`. In checks, `${secret.ID}` stands for the value.
    pub secrets: IndexMap<String, SecretSource>,
}

impl Default for BuildDefinition {
    fn default() -> Self {
        Self {
            context: ".".into(),
            dockerfile: "Dockerfile".into(),
            target: None,
            args: IndexMap::new(),
            network: BuildNetwork::None,
            secrets: IndexMap::new(),
        }
    }
}

/// Where the value of a build's secret comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecretSource {
    /// Made for each grading anew.
    Generated,
}

/// What a build can reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BuildNetwork {
    /// Nothing.
    #[default]
    None,
    /// The internet, where the server's settings allow it.
    Internet,
}

/// What runs: services on a network of their own.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Stack", extend("required" = ["services"]))]
pub struct StackDefinition {
    /// Services by name. Exactly one has no `image`: it runs the image under test. Beside `compose` all have
    /// one: they are the exercise's own, run beside those of the submission and known to them by their names.
    pub services: IndexMap<String, Option<ServiceDefinition>>,
    /// Networks, each without a way out; left out: one that all services share.
    pub networks: Option<Names>,
    /// Volumes, empty at the start.
    pub volumes: Option<Names>,
}

/// Names as a list, or as the keys of a map, as Compose writes them.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub enum Names {
    /// A list.
    List(Vec<String>),
    /// A map; there is nothing more to say about each.
    Map(IndexMap<String, Option<Nothing>>),
}

/// No more keys.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

impl Names {
    /// The names as they are written.
    pub(super) fn into_vec(self) -> Vec<String> {
        match self {
            Self::List(names) => names,
            Self::Map(names) => names.into_keys().collect(),
        }
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Names;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of names, or a map of them such as `{data: {}}`")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, list: A) -> Result<Names, A::Error> {
                Vec::deserialize(serde::de::value::SeqAccessDeserializer::new(list)).map(Names::List)
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Names, A::Error> {
                IndexMap::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(Names::Map)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// How the submission's compose file is run.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "ComposeRun")]
pub struct ComposeDefinition {
    /// Path of the compose file; the one that docker compose takes if nothing is said.
    pub file: Option<String>,
    /// Profiles that are active.
    pub profiles: Vec<String>,
    /// Linux capabilities that each service keeps, beside which the file may ask for no others. Images that
    /// begin as root and change to another user need `CHOWN`, `SETGID` and `SETUID`.
    pub capabilities: Vec<Capability>,
    /// How long checks wait until each service that has a health check is healthy. They begin then in any
    /// case. 60 s if nothing is said.
    pub within: Option<Span>,
}

/// One service.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Service")]
pub struct ServiceDefinition {
    /// The image of a companion; left out for the service under test.
    pub image: Option<String>,
    /// Environment variables. `${random}` stands for a value of this grading alone.
    #[schemars(with = "IndexMap<String, TextOrNumber>")]
    pub env: IndexMap<String, String>,
    /// Replaces the image's `CMD`.
    pub command: Option<Vec<String>>,
    /// Replaces the image's `ENTRYPOINT`.
    pub entrypoint: Option<Vec<String>>,
    /// The user it runs as; the image's if nothing is said.
    pub user: Option<String>,
    /// Linux capabilities it keeps, such as `NET_BIND_SERVICE`; all others are dropped.
    pub cap_add: Vec<Capability>,
    /// Whether its root file system is read-only.
    pub read_only: bool,
    /// Whether a small init is process 1 and reaps orphans.
    pub init: bool,
    /// Folders in memory, empty at the start, with their sizes.
    pub tmpfs: IndexMap<String, ByteSize>,
    /// Volumes of the stack and folders of the submission in its file system.
    pub mounts: Vec<MountDefinition>,
    /// The stack's networks that it stands on, beside `compose` those of the compose file; all if nothing is
    /// said.
    pub networks: Option<Vec<String>>,
    /// Further names that it has on its networks.
    pub aliases: Vec<String>,
    /// The containers' own name, instead of the service's.
    pub hostname: Option<String>,
    /// Replaces the image's `WORKDIR`.
    #[schemars(regex(pattern = "^/"))]
    pub working_dir: Option<String>,
    /// Replaces the image's `STOPSIGNAL`, such as `SIGINT`.
    pub stop_signal: Option<String>,
    /// Services that are started before it: their names, or a map with the condition of each, in Compose's
    /// words. Where a condition cannot come true any more, it is not started.
    pub depends_on: Option<DependsOnDefinition>,
    /// Whether it is started again when it ends, as `docker run --restart` has it: `no` (if nothing is
    /// said), `always`, `on-failure`, `on-failure:3` or `unless-stopped`.
    pub restart: Option<RestartDefinition>,
    /// How many containers it has; its name stands for all of them. 1 if nothing is said.
    #[schemars(range(min = 1, max = 8))]
    pub replicas: Option<u32>,
    /// Bounds of each of its containers, below those of the exercise.
    pub limits: ServiceLimitsDefinition,
    /// What replaces parts of the image's `HEALTHCHECK`, in Compose's words.
    pub healthcheck: Option<HealthcheckDefinition>,
    /// When it counts as started, so that checks begin.
    pub ready: Option<ReadyDefinition>,
}

/// The services that one waits for.
#[derive(Debug, JsonSchema)]
#[schemars(untagged, rename = "DependsOn")]
pub enum DependsOnDefinition {
    /// Each was started.
    List(Vec<String>),
    /// With what must be true of each.
    Map(IndexMap<String, DependencyDefinition>),
}

/// What must be true of a service before another is started.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Dependency")]
pub struct DependencyDefinition {
    /// What is waited for.
    #[serde(default)]
    pub condition: Condition,
    /// `false`: it is started in any case, when the other one is ready or cannot be any more.
    #[serde(default = "yes")]
    pub required: bool,
}

const fn yes() -> bool {
    true
}

impl<'de> Deserialize<'de> for DependsOnDefinition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = DependsOnDefinition;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of services, or a map such as `{db: {condition: service_healthy}}`")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
                Vec::deserialize(serde::de::value::SeqAccessDeserializer::new(list)).map(Self::Value::List)
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                IndexMap::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(Self::Value::Map)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Something mounted: a `volume` or a `folder`, at a `target`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Mount", extend("required" = ["target"]))]
pub struct MountDefinition {
    /// A volume of the stack.
    pub volume: Option<String>,
    /// A folder of the submission, given to the container as a bind mount would be: a copy that it may
    /// change. All services of this stack that mount the folder see the same copy; no other submission
    /// does, and the submission itself stays as it was. `.` is the whole submission.
    pub folder: Option<String>,
    /// Where in the container: an absolute path.
    #[schemars(regex(pattern = "^/"))]
    pub target: Option<String>,
    /// Whether it cannot be written there.
    pub read_only: bool,
}

/// A restart policy as it is written.
#[derive(Clone, Copy, Debug)]
pub struct RestartDefinition(pub Restart);

impl<'de> Deserialize<'de> for RestartDefinition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for RestartDefinition {
    fn schema_name() -> Cow<'static, str> {
        "Restart".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "When a service that ended is started again.",
            "type": "string",
            "pattern": "^(no|always|unless-stopped|on-failure(:[1-9][0-9]*)?)$"
        })
    }
}

/// Bounds of one service's containers.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "ServiceLimits")]
pub struct ServiceLimitsDefinition {
    /// Memory of each container.
    pub memory: Option<ByteSize>,
    /// CPUs of each container.
    #[schemars(range(min = 0.01, max = 64.0))]
    pub cpus: Option<f64>,
    /// Processes and threads in each container.
    #[schemars(range(min = 1, max = 32768))]
    pub pids: Option<u32>,
}

/// Capabilities that an exercise may leave to a container. None of them reaches beyond it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Capability {
    /// Change owners of files.
    Chown,
    /// Read and write files whatever their mode.
    DacOverride,
    /// Do with files what only their owner may.
    Fowner,
    /// Keep setuid bits.
    Fsetid,
    /// Signal processes of other users in the container.
    Kill,
    /// Listen on ports below 1024 as a user other than root.
    NetBindService,
    /// Change to another group.
    Setgid,
    /// Change to another user.
    Setuid,
}

impl Capability {
    /// The name as the engine takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Chown => "CHOWN",
            Self::DacOverride => "DAC_OVERRIDE",
            Self::Fowner => "FOWNER",
            Self::Fsetid => "FSETID",
            Self::Kill => "KILL",
            Self::NetBindService => "NET_BIND_SERVICE",
            Self::Setgid => "SETGID",
            Self::Setuid => "SETUID",
        }
    }
}

/// A service's health check. What is left out is the image's, and the engine's where that says nothing
/// either.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Healthcheck")]
pub struct HealthcheckDefinition {
    /// A line for the shell, or a list that begins with `CMD` (a program and its arguments), `CMD-SHELL` (a
    /// line) or `NONE`. Exit code 0 is healthy.
    pub test: Option<CommandLine>,
    /// From one run to the next.
    pub interval: Option<Span>,
    /// After this a run has failed.
    pub timeout: Option<Span>,
    /// Failures one after another that make the service unhealthy.
    #[schemars(range(min = 1, max = 1000))]
    pub retries: Option<u32>,
    /// How long failures of a service that has not been healthy yet do not count.
    pub start_period: Option<Span>,
    /// The interval while the service starts.
    pub start_interval: Option<Span>,
    /// `true`: there is none, whatever the image says.
    pub disable: bool,
}

/// When a service counts as started: `port`, `log`, `exited` or `healthy`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Ready")]
pub struct ReadyDefinition {
    /// Something listens on this TCP port.
    #[schemars(range(min = 1))]
    pub port: Option<u16>,
    /// A line that this regular expression fits was printed.
    pub log: Option<String>,
    /// It ended by itself.
    pub exited: Option<bool>,
    /// Its health check says that it is healthy.
    pub healthy: Option<bool>,
    /// How long that may take; `10s` if nothing is said. Checks look in any case then.
    pub within: Option<Span>,
}

/// Bounds of one grading.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Limits")]
pub struct LimitsDefinition {
    /// Memory of each container and of each build step: 6MiB to 64GiB, `256MiB` if nothing is said.
    pub memory: Option<ByteSize>,
    /// CPUs of each container and build step: 0.01 to 64, `1` if nothing is said.
    #[schemars(range(min = 0.01, max = 64.0))]
    pub cpus: Option<f64>,
    /// Processes and threads in each container: `128` if nothing is said.
    #[schemars(range(min = 1, max = 32768))]
    pub pids: Option<u32>,
    /// What the containers may write together, and the largest image: `512MiB` if nothing is said.
    pub disk: Option<ByteSize>,
    /// How long the build may take: `120s` if nothing is said.
    pub build_time: Option<Span>,
    /// How long everything after the build may take: `60s` if nothing is said.
    pub run_time: Option<Span>,
    /// Output kept of the build and of each container: `1MiB` if nothing is said.
    pub log: Option<ByteSize>,
}

/// A solution broken on purpose.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Mutant", extend("required" = ["fails", "because"]))]
pub struct MutantDefinition {
    /// Ids of the checks that fail; no other does.
    #[schemars(length(min = 1))]
    pub fails: Vec<String>,
    /// What is wrong with it.
    pub because: String,
}

/// What every check has, whatever its kind.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["id", "title"]))]
pub struct CheckCommon {
    /// Its name in the exercise: lower-case letters, digits, `-` and `_`.
    #[schemars(regex(pattern = "^[a-z0-9][a-z0-9_-]{0,63}$"))]
    pub id: Option<String>,
    /// What must hold, for people.
    #[schemars(length(min = 1, max = 200))]
    pub title: Option<String>,
    /// What it is worth; 1 if nothing is said.
    #[schemars(range(min = 1, max = 100))]
    pub points: Option<u32>,
    /// What helps whoever does not pass it; a list is revealed one by one.
    pub hint: Option<Hints>,
    /// The same as a list for `hint`.
    pub hints: Option<Vec<String>>,
    /// The address of a page to read on.
    #[schemars(regex(pattern = "^https?://"))]
    pub explain: Option<String>,
    /// Whether what is expected gives the answer away and is kept from students.
    pub hidden: bool,
}

/// The keys of [`CheckCommon`].
pub const COMMON_KEYS: &[&str] = &["id", "title", "points", "hint", "hints", "explain", "hidden"];

/// One hint or several.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub enum Hints {
    /// One.
    One(String),
    /// In the order they are revealed.
    Several(Vec<String>),
}

impl<'de> Deserialize<'de> for Hints {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Hints;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Hints, E> {
                Ok(Hints::One(text.into()))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, list: A) -> Result<Hints, A::Error> {
                Vec::deserialize(serde::de::value::SeqAccessDeserializer::new(list)).map(Hints::Several)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A value that is read as it is written.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "describes what the reader takes where a text is wanted")]
enum TextOrNumber {
    Text(String),
    Number(f64),
}

/// An entry of `checks`: the common keys, and one more that names the kind.
pub struct CheckDefinition;

impl JsonSchema for CheckDefinition {
    fn schema_name() -> Cow<'static, str> {
        "Check".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let common = CheckCommon::json_schema(generator);
        let common = common.as_value();
        let mut properties = common["properties"].clone();
        let mut kinds = Vec::new();
        for kind in Kind::entries(generator) {
            properties[kind.name] = kind.schema.to_value();
            kinds.push(serde_json::json!({"required": [kind.name]}));
        }
        json_schema!({
            "description": "One thing that must hold: an id, a title and one key that names its kind.",
            "type": "object",
            "properties": properties,
            "required": common["required"],
            "oneOf": kinds,
            "additionalProperties": false
        })
    }
}
