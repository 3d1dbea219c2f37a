//! `image`: the configuration of the built image.

use std::fmt::Write as _;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::matcher::{Argv, Set, Text, User, Variables, listed, shown};
use super::tally::Tally;
use super::{Check, Fault, Finding, Manual, Scene, Surroundings};
use crate::report::Phase;
use crate::sandbox::ImageConfig;

/// The built image's configuration. `{absent: true}` asks that something is not set.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Environment variables by name.
    #[serde(default)]
    pub env: IndexMap<String, Text>,
    /// Labels by name.
    #[serde(default)]
    pub labels: IndexMap<String, Text>,
    /// Exposed ports: `8080` means `8080/tcp`.
    pub exposed_ports: Option<Set>,
    /// Paths declared with `VOLUME`.
    pub volumes: Option<Set>,
    /// The entrypoint.
    pub entrypoint: Option<Argv>,
    /// The default command.
    pub cmd: Option<Argv>,
    /// The working directory; `/` where none is set.
    pub workdir: Option<Text>,
    /// The user; `root` means user 0 however it is written, and nothing at all.
    pub user: Option<User>,
    /// The health check's test, such as `CMD-SHELL wget -q localhost || exit 1`.
    pub healthcheck: Option<Argv>,
    /// The stop signal as it is written in the image.
    pub stop_signal: Option<Text>,
    /// The CPU architecture in Go's terms, such as `amd64`, `arm64`.
    pub architecture: Option<Text>,
    /// The operating system, such as `linux`.
    pub os: Option<Text>,
}

impl Check for Image {
    const NAME: &'static str = "image";
    const PHASE: Phase = Phase::Image;
    const MANUAL: Manual = Manual {
        examples: include_str!("image.yaml"),
        evidence: &[("Image configuration", "everything the image sets, as `docker image inspect` has it")],
        fails: &[
            "a part of the configuration is not set, or is not as asked; every part that fails is named",
        ],
    };

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.image(&mut mistakes);
        for (field, map) in [("env", &self.env), ("labels", &self.labels)] {
            for (name, wanted) in map {
                if name.is_empty() || name.contains('=') && field == "env" {
                    mistakes.push(format!("`{field}` has a name that cannot be one: `{name}`"));
                }
                wanted.mistakes(&format!("{field}.{name}"), true, &mut mistakes);
            }
        }
        for (field, set) in [("exposed_ports", &self.exposed_ports), ("volumes", &self.volumes)] {
            if let Some(set) = set {
                set.mistakes(field, &mut mistakes);
            }
        }
        let lines =
            [("entrypoint", &self.entrypoint), ("cmd", &self.cmd), ("healthcheck", &self.healthcheck)];
        for (field, line) in lines {
            if let Some(line) = line {
                line.mistakes(field, &mut mistakes);
            }
        }
        let texts = [
            ("workdir", &self.workdir, false),
            ("stop_signal", &self.stop_signal, true),
            ("architecture", &self.architecture, false),
            ("os", &self.os, false),
        ];
        for (field, text, optional) in texts {
            if let Some(text) = text {
                text.mistakes(field, optional, &mut mistakes);
            }
        }
        if let Some(user) = &self.user {
            user.0.mistakes("user", false, &mut mistakes);
        }
        let asks = !self.env.is_empty()
            || !self.labels.is_empty()
            || self.exposed_ports.is_some()
            || self.volumes.is_some()
            || lines.iter().any(|(_, line)| line.is_some())
            || texts.iter().any(|(_, text, _)| text.is_some())
            || self.user.is_some();
        if !asks {
            mistakes.push("this check asks nothing; write for example `exposed_ports: [8080]`".into());
        }
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        self.judge(scene.image()?.config(), scene.variables).map_err(Fault::Exercise)
    }
}

/// A port with its protocol: `8080` is `8080/tcp`.
fn with_protocol(port: &str) -> String {
    if port.contains('/') { port.to_lowercase() } else { format!("{port}/tcp") }
}

/// What is seen of something that may not be set.
fn or_absent(seen: Option<&str>) -> String {
    seen.map_or("not set".into(), shown)
}

fn none_or(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| shown(name)).collect();
    if names.is_empty() { "none".into() } else { listed(&names, "and") }
}

impl Image {
    /// Compares with what an image says about itself.
    ///
    /// # Errors
    /// A sentence for the author when a pattern names a value that there is not.
    pub fn judge(&self, config: &ImageConfig, variables: &Variables) -> Result<Finding, String> {
        let mut tally = Tally::default();
        for (what, wanted, seen) in [("env", &self.env, &config.env), ("label", &self.labels, &config.labels)]
        {
            for (name, wanted) in wanted {
                let wanted = wanted.resolved(variables)?;
                let seen = seen.get(name).map(String::as_str);
                let name = shown(name);
                tally.note(
                    wanted.accepts_option(seen),
                    format!("{what} {name} {}", wanted.describe()),
                    format!("{what} {name} is {}", or_absent(seen)),
                );
            }
        }
        if let Some(wanted) = &self.exposed_ports {
            let wanted = wanted.resolved(variables)?.spelled(&with_protocol);
            tally.note(
                wanted.accepts(&config.exposed_ports),
                format!("exposed ports: {}", wanted.describe()),
                format!("exposed ports: {}", none_or(&config.exposed_ports)),
            );
        }
        if let Some(wanted) = &self.volumes {
            let wanted = wanted.resolved(variables)?;
            tally.note(
                wanted.accepts(&config.volumes),
                format!("volumes: {}", wanted.describe()),
                format!("volumes: {}", none_or(&config.volumes)),
            );
        }
        for (what, wanted, seen) in [
            ("entrypoint", &self.entrypoint, &config.entrypoint),
            ("cmd", &self.cmd, &config.cmd),
            ("health check", &self.healthcheck, &config.healthcheck),
        ] {
            if let Some(wanted) = wanted {
                let wanted = wanted.resolved(variables)?;
                let seen = seen.as_deref();
                tally.note(
                    wanted.accepts(seen),
                    format!("{what} {}", wanted.describe()),
                    format!("{what} is {}", Argv::show(seen)),
                );
            }
        }
        let workdir = if config.workdir.is_empty() { "/" } else { &config.workdir };
        for (what, wanted, seen) in [
            ("working directory", &self.workdir, Some(workdir)),
            ("stop signal", &self.stop_signal, config.stop_signal.as_deref()),
            ("architecture", &self.architecture, Some(config.architecture.as_str())),
            ("operating system", &self.os, Some(config.os.as_str())),
        ] {
            if let Some(wanted) = wanted {
                let wanted = wanted.resolved(variables)?;
                tally.note(
                    wanted.accepts_option(seen),
                    format!("{what} {}", wanted.describe()),
                    format!("{what} is {}", or_absent(seen)),
                );
            }
        }
        if let Some(wanted) = &self.user {
            let seen =
                if config.user.is_empty() { "not set, which means root".into() } else { shown(&config.user) };
            tally.note(
                wanted.accepts(&config.user),
                format!("user {}", wanted.0.describe()),
                format!("user is {seen}"),
            );
        }
        let detail = tally.detail().proof("Image configuration", listing(config));
        Ok(tally.finding(detail.reproduce("docker image inspect my-image --format '{{json .Config}}'")))
    }
}

/// The configuration, one thing on a line.
fn listing(config: &ImageConfig) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "{name:<14}{value}");
        }
    };
    for (name, value) in &config.env {
        line("env", &format!("{name}={value}"));
    }
    for (name, value) in &config.labels {
        line("label", &format!("{name}={value}"));
    }
    line("exposed ports", &config.exposed_ports.join(" "));
    line("volumes", &config.volumes.join(" "));
    let words = |words: &Option<Vec<String>>| {
        words.as_ref().map(|words| json!(words).to_string()).unwrap_or_default()
    };
    line("entrypoint", &words(&config.entrypoint));
    line("cmd", &words(&config.cmd));
    line("workdir", &config.workdir);
    line("user", &config.user);
    line("healthcheck", &words(&config.healthcheck));
    line("stop signal", config.stop_signal.as_deref().unwrap_or_default());
    line("platform", &format!("{}/{}", config.os, config.architecture));
    text
}
