//! `env`: the environment of the main process as it really runs.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::matcher::{Text, shown};
use super::shell::line;
use super::tally::Tally;
use super::{Check, Fault, Finding, Manual, Scene, Surroundings, main_process};
use crate::report::Phase;

/// The environment that the main process was started with, not only that of the image.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Env {
    /// The service; `app` if nothing is said.
    pub service: Option<String>,
    /// Variables by name; `{absent: true}` asks that one is not set.
    #[serde(default)]
    pub variables: IndexMap<String, Text>,
}

impl Check for Env {
    const NAME: &'static str = "env";
    const PHASE: Phase = Phase::Run;
    const MANUAL: Manual = Manual {
        examples: include_str!("env.yaml"),
        evidence: &[
            ("Environment of the main process", "every variable, as the kernel has it"),
            ("Last lines of its output", "of the service, where it has ended"),
        ],
        fails: &[
            "a variable is not set, or has another value",
            "a variable is set that should not be",
            "the service has ended",
        ],
    };

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.service("service", self.service.as_deref(), &mut mistakes);
        if self.variables.is_empty() {
            mistakes.push("this check asks nothing; name a variable in `variables`".into());
        }
        for (name, wanted) in &self.variables {
            if name.is_empty() || name.contains('=') {
                mistakes.push(format!("`variables` has a name that cannot be one: `{name}`"));
            }
            wanted.mistakes(&format!("variables.{name}"), true, &mut mistakes);
        }
        mistakes
    }

    fn inspects(&self) -> Vec<Option<&str>> {
        vec![self.service.as_deref()]
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let service = scene.service(self.service.as_deref())?;
        let mut expected = Vec::new();
        let mut wanted = Vec::new();
        for (name, text) in &self.variables {
            let text = text.resolved(scene.variables).map_err(Fault::Exercise)?;
            expected.push(format!("{} {}", shown(name), text.describe()));
            wanted.push((name, text));
        }
        let processes = match main_process::processes(service).await? {
            Ok(processes) => processes,
            Err(why) => return Ok(Finding::Failed(why.detail(service, expected.join(", ")))),
        };
        let main = &processes[0];
        let mut tally = Tally::default();
        for (name, text) in wanted {
            let seen = main.env.get(name).map(String::as_str);
            let observed = match seen {
                None => format!("{} is not set", shown(name)),
                Some("") => format!("{} is set to nothing", shown(name)),
                Some(value) => format!("{} is {}", shown(name), shown(value)),
            };
            tally.note(text.accepts_option(seen), format!("{} {}", shown(name), text.describe()), observed);
        }
        let listing: Vec<String> = main.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let run = service.reproduce(&line(["-d", "--name", service.name()]));
        let look = line(["docker", "exec", service.name(), "cat", "/proc/1/environ"]);
        let detail = tally.detail().proof("Environment of the main process", listing.join("\n"));
        Ok(tally.finding(detail.reproduce(format!("{run} && {look} | tr '\\0' '\\n'"))))
    }
}
