//! One file per check kind; this file has the enum and the one `match`.
//!
//! `exercises` reads definitions into [`Kind`], `grading` runs them. A check sees the submission's
//! content, the parsed Dockerfile, the image and the live stack through [`Scene`], never the engine
//! itself. It returns a [`Finding`] about the student's work, or a [`Fault`] that is not theirs:
//! the two never share a variant.
//!
//! To add a kind: write `checks/<kind>.rs` with a struct that implements [`Check`], its examples in
//! `checks/<kind>.yaml`, and add it to `kinds!` below.

mod answer;
pub mod cache;
pub mod choice;
pub mod command;
pub mod compose;
pub mod compose_health;
mod diagnosis;
pub mod dns;
pub mod dockerfile;
pub mod dockerignore;
pub mod env;
pub mod essay;
pub mod exit;
pub mod file;
mod giveaway;
pub mod health;
pub mod http;
pub mod image;
pub mod image_file;
pub mod image_size;
pub mod isolated;
mod layer_table;
pub mod layers;
pub mod limits;
pub mod lint;
pub mod logs;
mod main_process;
mod manual;
pub mod matcher;
pub mod mount;
pub mod network;
pub mod packages;
pub mod persists;
pub mod pipeline;
pub mod port;
pub mod process;
mod reach;
pub mod reachable;
pub mod reference;
pub mod repository;
pub mod restarts;
pub mod saved_image;
pub mod scales;
mod scene;
mod secrets;
mod shell;
pub mod short;
pub mod stays_up;
pub mod stops;
pub mod survives;
mod tally;
pub mod tcp;
pub mod websocket;

pub use answer::Question;
pub use manual::{KindEntry, Manual};
pub use scene::{Pulled, Scene, Surroundings, Tested};

use std::time::Duration;

use schemars::{JsonSchema, SchemaGenerator};
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde::{Deserialize, Serialize};

use crate::report::{Evidence, Phase};

/// The most that one piece of evidence keeps, in bytes; longer text is cut in the middle.
pub const EVIDENCE_BYTES: usize = 16 * 1024;

/// The most that a phrase (expected, observed) keeps, in bytes.
const PHRASE_BYTES: usize = 2 * 1024;

/// What most kinds add to the time they wait for the student's work before a check counts as broken:
/// for the engine.
const ENGINE_MARGIN: Duration = Duration::from_secs(20);

/// What a check found out about the student's work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It holds.
    Passed(Detail),
    /// It does not.
    Failed(Detail),
    /// A person has to judge (essays).
    Waiting(Detail),
}

/// Expected, observed and the proof.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// What should be seen, as a phrase; code stands in backticks.
    pub expected: String,
    /// What was seen, as a phrase. Never says what was expected: that may be hidden.
    pub observed: String,
    /// The proof.
    pub evidence: Vec<Evidence>,
    /// A command line that shows the same with plain docker.
    pub reproduce: Option<String>,
}

/// Why a check could not tell. Never the student's fault.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The sandbox failed us.
    #[error(transparent)]
    Platform(#[from] crate::sandbox::Error),
    /// The exercise's definition cannot work; a sentence for its author.
    #[error("{0}")]
    Exercise(String),
    /// The submission's compose file has no service of this name, but these: the check fails.
    #[error("there is no service `{0}`")]
    NoService(String, Vec<String>),
}

/// One kind of check: its fields (read strictly, described by JSON Schema) and how it looks.
///
/// Implementations derive `Serialize`, `Deserialize` with `deny_unknown_fields`, `JsonSchema`,
/// `Clone` and `Debug`; doc comments of the fields become the schema's and the manual's text.
pub trait Check: Serialize + DeserializeOwned + JsonSchema {
    /// The key in `exercise.yaml`.
    const NAME: &'static str;
    /// When a check of this kind runs.
    const PHASE: Phase;
    /// Another phase in which some of them run, and with which fields, as a phrase.
    const ALSO: Option<(Phase, &'static str)> = None;
    /// When this one runs: in [`Self::PHASE`], or in [`Self::ALSO`] where its fields say so.
    fn phase(&self) -> Phase {
        Self::PHASE
    }
    /// What the manual says beyond the fields: examples, the evidence, how it fails.
    const MANUAL: Manual;
    /// The longest a check of this kind can take, after which `grading` calls it broken. More than
    /// any time the check itself waits for the student's work.
    fn deadline(&self) -> Duration {
        Duration::from_secs(30)
    }
    /// Mistakes that types cannot show: a matcher that can never fail, a service that is not in
    /// the stack, an option that is no option. Sentences for the author.
    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String>;
    /// The services whose processes it looks at while they run, so that the look is ready in time;
    /// `None` stands for the main one.
    fn inspects(&self) -> Vec<Option<&str>> {
        Vec::new()
    }
    /// The question a person answers, for kinds that are answered.
    fn question(&self) -> Option<Question<'_>> {
        None
    }
    /// Looks and tells.
    ///
    /// # Errors
    /// [`Fault`] when it could not be told, which is never the student's fault.
    fn look(&self, scene: &Scene<'_>) -> impl Future<Output = Result<Finding, Fault>> + Send;
}

macro_rules! kinds {
    ($($module:ident::$kind:ident),+ $(,)?) => {
        /// A check of any kind, with what it asks.
        #[derive(Clone, Debug)]
        pub enum Kind {
            $(
                #[doc = concat!("See [`", stringify!($module), "`](mod@", stringify!($module), ").")]
                $kind(Box<$module::$kind>),
            )+
        }

        impl Kind {
            /// Every kind's key in `exercise.yaml`.
            pub const NAMES: &'static [&'static str] = &[$($module::$kind::NAME),+];

            /// The kind's key in `exercise.yaml`.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $(Self::$kind(_) => $module::$kind::NAME),+ }
            }

            /// When it runs.
            #[must_use]
            pub fn phase(&self) -> Phase {
                match self { $(Self::$kind(check) => check.phase()),+ }
            }

            /// The longest it can take; after that it is broken, not failed.
            #[must_use]
            pub fn deadline(&self) -> Duration {
                match self { $(Self::$kind(check) => check.deadline()),+ }
            }

            /// Its fields as they are written in `exercise.yaml`, as JSON.
            #[must_use]
            pub fn fields(&self) -> serde_json::Value {
                match self { $(Self::$kind(check) => serde_json::to_value(check)),+ }.unwrap_or_default()
            }

            /// Mistakes that types cannot show. Sentences for the author.
            #[must_use]
            pub fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
                match self { $(Self::$kind(check) => check.mistakes(around)),+ }
            }

            /// The services whose processes it looks at; `None` stands for the main one.
            #[must_use]
            pub fn inspects(&self) -> Vec<Option<&str>> {
                match self { $(Self::$kind(check) => check.inspects()),+ }
            }

            /// The question a person answers, for kinds that are answered.
            #[must_use]
            pub fn question(&self) -> Option<Question<'_>> {
                match self { $(Self::$kind(check) => check.question()),+ }
            }

            /// Looks and tells.
            ///
            /// # Errors
            /// [`Fault`] when it could not be told, which is never the student's fault.
            pub async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
                // On the heap: the largest kind's state would else be part of everyone's.
                let found = match self { $(Self::$kind(check) => Box::pin(check.look(scene)).await),+ };
                found.or_else(Finding::without_service).map(Finding::capped)
            }

            /// Reads the fields of the kind called `name`.
            ///
            /// # Errors
            /// The deserializer's, with its places; an unknown name with the known ones.
            pub fn read<'de, D: Deserializer<'de>>(name: &str, deserializer: D) -> Result<Self, D::Error> {
                $(
                    if name == $module::$kind::NAME {
                        return $module::$kind::deserialize(deserializer).map(|check| Self::$kind(Box::new(check)));
                    }
                )+
                Err(D::Error::custom(Self::unknown(name)))
            }

            /// Every kind, with definitions of fields shared in `generator`.
            pub fn entries(generator: &mut SchemaGenerator) -> Vec<KindEntry> {
                vec![$(KindEntry {
                    name: $module::$kind::NAME,
                    phase: $module::$kind::PHASE,
                    also: $module::$kind::ALSO,
                    schema: generator.subschema_for::<$module::$kind>(),
                    manual: $module::$kind::MANUAL,
                }),+]
            }
        }
    };
}

kinds! {
    file::File,
    dockerfile::Dockerfile,
    lint::Lint,
    dockerignore::Dockerignore,
    pipeline::Pipeline,
    compose::Compose,
    repository::Repository,
    reference::Reference,
    saved_image::SavedImage,
    image::Image,
    image_file::ImageFile,
    image_size::ImageSize,
    layers::Layers,
    packages::Packages,
    cache::Cache,
    http::Http,
    port::Port,
    tcp::Tcp,
    dns::Dns,
    websocket::WebSocket,
    env::Env,
    command::Command,
    logs::Logs,
    process::Process,
    health::Health,
    compose_health::ComposeHealth,
    exit::Exit,
    stays_up::StaysUp,
    mount::Mount,
    limits::Limits,
    network::Network,
    reachable::Reachable,
    isolated::Isolated,
    stops::Stops,
    restarts::Restarts,
    persists::Persists,
    survives::Survives,
    scales::Scales,
    choice::Choice,
    short::Short,
    essay::Essay,
}

impl Kind {
    /// A sentence about a kind that there is not.
    #[must_use]
    pub fn unknown(name: &str) -> String {
        let near = Self::NAMES
            .iter()
            .map(|known| (strsim::damerau_levenshtein(known, name), known))
            .min()
            .filter(|(distance, known)| *distance <= 2 && *distance < known.len());
        let meant = near.map(|(_, known)| format!(" (did you mean `{known}`?)")).unwrap_or_default();
        format!("there is no check kind `{name}`{meant}; the kinds are {}", Self::NAMES.join(", "))
    }
}

impl Finding {
    /// Passed or failed.
    #[must_use]
    pub fn of(holds: bool, detail: Detail) -> Self {
        if holds { Self::Passed(detail) } else { Self::Failed(detail) }
    }

    /// What was found.
    #[must_use]
    pub fn detail(&self) -> &Detail {
        match self {
            Self::Passed(detail) | Self::Failed(detail) | Self::Waiting(detail) => detail,
        }
    }

    /// A check of a service that the submission has not is failed.
    fn without_service(fault: Fault) -> Result<Self, Fault> {
        let Fault::NoService(name, names) = fault else { return Err(fault) };
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let observed = match names.as_slice() {
            [] => "no service runs".to_owned(),
            names => format!("there is none; those that run are {}", matcher::listed(names, "and")),
        };
        Ok(Self::Failed(Detail::new(format!("a service `{name}` in the compose file"), observed)))
    }

    /// Within the bounds of what a report keeps.
    fn capped(mut self) -> Self {
        let (Self::Passed(detail) | Self::Failed(detail) | Self::Waiting(detail)) = &mut self;
        for phrase in [&mut detail.expected, &mut detail.observed] {
            *phrase = crate::text::cut_middle(phrase, PHRASE_BYTES).into_owned();
        }
        for evidence in &mut detail.evidence {
            evidence.text = crate::text::cut_middle(&evidence.text, EVIDENCE_BYTES).into_owned();
        }
        self
    }
}

impl Detail {
    /// What should be seen and what was.
    #[must_use]
    pub fn new(expected: impl Into<String>, observed: impl Into<String>) -> Self {
        Self { expected: expected.into(), observed: observed.into(), ..Self::default() }
    }

    /// With a piece of proof; an empty one is left out.
    #[must_use]
    pub fn proof(mut self, title: &str, text: impl Into<String>) -> Self {
        let text = text.into();
        if !text.is_empty() {
            self.evidence.push(Evidence { title: title.into(), text });
        }
        self
    }

    /// With a command line that shows the same.
    #[must_use]
    pub fn reproduce(mut self, command: impl Into<String>) -> Self {
        self.reproduce = Some(command.into());
        self
    }
}
