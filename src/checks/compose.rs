//! `compose`: what a submission's compose files say once they are one.

use std::fmt::Write as _;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::file::listing;
use super::matcher::{Set, Text, Variables, listed, shown};
use super::tally::Tally;
use super::{Check, Fault, Finding, Manual, Scene, Surroundings};
use crate::report::Phase;
use crate::submissions::compose::{self as files, Options, Reading};

/// The resolved model of a compose project: its services and what they say. Files that are included, laid over
/// others or extended, variables and `.env` are put in first, as `docker compose config` does; what has no
/// active profile is not there. A file that docker compose or the sandbox would not run fails.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Compose {
    /// Path of the compose file in the submission. If nothing is said, the one that docker compose takes:
    /// `compose.yaml`, `compose.yml`, `docker-compose.yaml` or `docker-compose.yml`, with its override file.
    pub file: Option<String>,
    /// Profiles that are active.
    #[serde(default)]
    pub profiles: Vec<String>,
    /// The names of the services.
    pub services: Option<Set>,
    /// The ports that are published, as `service:port` with the container's port, such as `proxy:80`.
    pub published: Option<Set>,
    /// What services wait for: by service, the condition of each that it depends on.
    #[serde(default)]
    pub depends_on: IndexMap<String, IndexMap<String, Condition>>,
    /// Services that have a health check written in the file.
    #[serde(default)]
    pub healthcheck: Vec<String>,
    /// The secrets that services are given, by service.
    #[serde(default)]
    pub secrets: IndexMap<String, Set>,
    /// The whole model as JSON, as `drydock compose --json` prints it under `project`; for example
    /// `{json: {/services/web/restart: always}}`.
    pub model: Option<Text>,
}

/// What is waited for, in Compose's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Its containers were started.
    #[default]
    ServiceStarted,
    /// Its health check says that it is healthy.
    ServiceHealthy,
    /// Its containers ended with exit code 0.
    ServiceCompletedSuccessfully,
}

impl Condition {
    const fn name(self) -> &'static str {
        match self {
            Self::ServiceStarted => "service_started",
            Self::ServiceHealthy => "service_healthy",
            Self::ServiceCompletedSuccessfully => "service_completed_successfully",
        }
    }
}

impl From<files::model::Condition> for Condition {
    fn from(condition: files::model::Condition) -> Self {
        match condition {
            files::model::Condition::ServiceStarted => Self::ServiceStarted,
            files::model::Condition::ServiceHealthy => Self::ServiceHealthy,
            files::model::Condition::ServiceCompletedSuccessfully => Self::ServiceCompletedSuccessfully,
        }
    }
}

impl Check for Compose {
    const NAME: &'static str = "compose";
    const PHASE: Phase = Phase::Read;
    const MANUAL: Manual = Manual {
        examples: include_str!("compose.yaml"),
        evidence: &[
            ("What was handed in", "the submission's files, where there is no compose file"),
            ("What stops it", "each mistake and each key that is not run here, with its line and the reason"),
            ("What is run in another way", "keys that are rewritten or have no effect here"),
            ("The project", "its services with what they wait for, publish and are given"),
            ("The model", "all of it as JSON, where a value of it is asked for"),
        ],
        fails: &[
            "there is no compose file, or it is no valid one",
            "it asks for something that leaves its sandbox, such as `privileged: true`",
            "a service is missing, or there is one too many",
            "a port is published that should not be",
            "a service does not wait for another, or for another condition",
            "a health check, a secret or a value of the model is not as it should be",
        ],
    };

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.files(&mut mistakes);
        if let Some(path) = &self.file
            && (path.is_empty() || path.starts_with('/') || path.split('/').any(|part| part == ".."))
        {
            mistakes.push(format!("`file: {path}` has to lie inside the submission, as in `compose.yaml`"));
        }
        let asks_nothing = self.services.is_none()
            && self.published.is_none()
            && self.depends_on.is_empty()
            && self.healthcheck.is_empty()
            && self.secrets.is_empty()
            && self.model.is_none();
        if asks_nothing {
            mistakes.push("this check asks nothing; write for example `services: [web, db]`".into());
        }
        if let Some(services) = &self.services {
            services.mistakes("services", &mut mistakes);
        }
        if let Some(published) = &self.published {
            published.mistakes("published", &mut mistakes);
        }
        for (service, waits_for) in &self.depends_on {
            if waits_for.is_empty() {
                mistakes.push(format!("`depends_on.{service}` names no service"));
            }
            if waits_for.contains_key(service) {
                mistakes.push(format!("`depends_on.{service}`: nothing can wait for itself"));
            }
        }
        for (service, secrets) in &self.secrets {
            secrets.mistakes(&format!("secrets.{service}"), &mut mistakes);
        }
        if let Some(model) = &self.model {
            model.mistakes("model", false, &mut mistakes);
        }
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let asks = self.resolved(scene.variables).map_err(Fault::Exercise)?;
        let content = scene.content.clone();
        let options = Options {
            file: self.file.clone(),
            name: "submission".into(),
            profiles: self.profiles.clone(),
            ..Options::default()
        };
        // Large files with many anchors take a moment.
        let reading = tokio::task::spawn_blocking(move || files::read(&content, &options));
        let reading = match reading.await {
            Ok(reading) => reading,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let mut tally = Tally::default();
        asks.judge(&reading, &mut tally);
        let (stops, others): (Vec<_>, Vec<_>) =
            reading.findings.iter().partition(|finding| finding.kind.stops());
        let lines = |findings: &[&files::Finding]| {
            findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        let mut detail = tally.detail();
        if let Some(first) = stops.first() {
            detail.observed = format!("it cannot be run: {first}");
        }
        if reading.files.is_empty() {
            detail = detail.proof("What was handed in", listing(scene.content));
        }
        let detail = detail
            .proof("What stops it", lines(&stops))
            .proof("What is run in another way", lines(&others))
            .proof("The project", if reading.is_unreadable() { String::new() } else { told(&reading) })
            .proof("The model", self.model.as_ref().map(|_| model(&reading)).unwrap_or_default())
            .reproduce(match &self.file {
                Some(file) => format!("docker compose -f {} config", super::shell::quoted(file)),
                None => "docker compose config".into(),
            });
        Ok(Finding::of(reading.runs() && tally.holds(), detail))
    }
}

impl Compose {
    /// The check with the grading's values in place of `${name}`.
    fn resolved(&self, variables: &Variables) -> Result<Self, String> {
        let set = |set: &Option<Set>| set.as_ref().map(|set| set.resolved(variables)).transpose();
        let secrets = self
            .secrets
            .iter()
            .map(|(service, secrets)| Ok((service.clone(), secrets.resolved(variables)?)))
            .collect::<Result<_, String>>()?;
        Ok(Self {
            services: set(&self.services)?,
            published: set(&self.published)?,
            secrets,
            model: self.model.as_ref().map(|model| model.resolved(variables)).transpose()?,
            ..self.clone()
        })
    }

    fn judge(&self, reading: &Reading, tally: &mut Tally) {
        let project = &reading.project;
        if let Some(wanted) = &self.services {
            let names: Vec<&String> = project.services.keys().collect();
            tally.note(
                wanted.accepts(&names),
                format!("services: {}", wanted.describe()),
                format!("its services are {}", quoted(&names)),
            );
        }
        if let Some(wanted) = &self.published {
            let ports = published(reading);
            tally.note(
                wanted.accepts(&ports),
                format!("published ports: {}", wanted.describe()),
                if ports.is_empty() {
                    "no port is published".into()
                } else {
                    format!("{} published", quoted(&ports))
                },
            );
        }
        for (name, waits_for) in &self.depends_on {
            for (other, wanted) in waits_for {
                let service = project.services.get(name);
                let found = service.and_then(|service| service.depends_on.get(other));
                let found = found.map(|dependency| Condition::from(dependency.condition));
                let observed = match (service, found) {
                    (None, _) => format!("there is no service `{name}`"),
                    (_, None) => format!("`{name}` does not depend on `{other}`"),
                    (_, Some(found)) => format!("`{name}` depends on `{other}` with {}", found.name()),
                };
                tally.note(
                    found == Some(*wanted),
                    format!("`{name}` depends on `{other}` with {}", wanted.name()),
                    observed,
                );
            }
        }
        for name in &self.healthcheck {
            let service = project.services.get(name);
            let health = service.and_then(|service| service.healthcheck.as_ref());
            let has = health.is_some_and(|health| !health.disable && health.test.is_some());
            let observed = match (service, has) {
                (None, _) => format!("there is no service `{name}`"),
                (_, true) => format!("`{name}` has a health check"),
                (_, false) => format!("`{name}` has no health check with a test"),
            };
            tally.note(has, format!("`{name}` has a health check"), observed);
        }
        for (name, wanted) in &self.secrets {
            let service = project.services.get(name);
            let secrets: Vec<&String> = service
                .into_iter()
                .flat_map(|service| &service.secrets)
                .map(|secret| &secret.source)
                .collect();
            let observed = match service {
                None => format!("there is no service `{name}`"),
                Some(_) if secrets.is_empty() => format!("`{name}` is given no secret"),
                Some(_) => format!("`{name}` is given {}", quoted(&secrets)),
            };
            let holds = service.is_some() && wanted.accepts(&secrets);
            tally.note(holds, format!("secrets of `{name}`: {}", wanted.describe()), observed);
        }
        if let Some(wanted) = &self.model {
            let model = serde_json::to_string(project).unwrap_or_default();
            let holds = wanted.accepts(&model);
            let observed = if holds {
                "the model is as it should be".into()
            } else {
                let misfit = wanted.misfit(&model).map(|misfit| format!("the model has {misfit}"));
                misfit.unwrap_or_else(|| "the model is another, or has no such value".into())
            };
            tally.note(holds, format!("a model that {}", wanted.describe()), observed);
        }
    }
}

/// `web:80` for each published port.
fn published(reading: &Reading) -> Vec<String> {
    let services = reading.project.services.iter();
    services
        .flat_map(|(name, service)| service.ports.iter().map(move |port| format!("{name}:{}", port.target)))
        .collect()
}

/// The model, to be read by people.
fn model(reading: &Reading) -> String {
    if reading.is_unreadable() {
        return String::new();
    }
    serde_json::to_string_pretty(&reading.project).unwrap_or_default()
}

fn quoted<S: AsRef<str>>(names: &[S]) -> String {
    if names.is_empty() {
        return "none".into();
    }
    let names: Vec<String> = names.iter().map(|name| shown(name.as_ref())).collect();
    listed(&names, "and")
}

/// The project in a few lines.
fn told(reading: &Reading) -> String {
    let mut text = format!("read from {}\n", reading.files.join(", "));
    for (name, service) in &reading.project.services {
        let what = match (&service.build, &service.image) {
            (Some(build), _) => format!("built from {}", build.context),
            (None, Some(image)) => image.clone(),
            (None, None) => "nothing to run".into(),
        };
        let _ = write!(text, "\n{name}: {what}");
        for (other, dependency) in &service.depends_on {
            let _ = write!(text, "\n  waits for {other} ({})", Condition::from(dependency.condition).name());
        }
        for port in &service.ports {
            let _ = write!(text, "\n  publishes {}/{}", port.target, port.protocol);
        }
        for secret in &service.secrets {
            let _ = write!(text, "\n  is given the secret {}", secret.source);
        }
        if let Some(health) = &service.healthcheck
            && !health.disable
        {
            let _ = write!(text, "\n  has a health check");
        }
    }
    text
}
