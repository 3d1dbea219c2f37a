//! `stack`: services, and when they count as started.

use std::time::Duration;

use super::{Reader, is_variable_name};
use crate::exercises::definition::{Capability, ReadyDefinition, ServiceDefinition, StackDefinition};
use crate::sandbox::{Ready, ServiceSpec, StackSpec};
use crate::text::visible;

impl Reader<'_> {
    pub(super) fn stack(&mut self, stack: StackDefinition, builds: bool) -> StackSpec {
        if stack.services.is_empty() {
            self.wrong(&["stack"], "`stack` has no services; add one, such as `services: {app: {}}`");
        }
        let tested: Vec<String> = stack
            .services
            .iter()
            .filter(|(_, service)| service.as_ref().is_none_or(|service| service.image.is_none()))
            .map(|(name, _)| name.clone())
            .collect();
        match tested.as_slice() {
            [one] if !builds => self.wrong(
                &["stack", "services", one],
                format!("the service `{one}` has no `image`, so it runs what is built, and nothing is; add `build`"),
            ),
            [_] => {}
            [] if stack.services.is_empty() => {}
            [] => self.wrong(
                &["stack", "services"],
                "every service has an `image`, so none runs what was handed in; leave it out of one of them",
            ),
            [first, others @ ..] => {
                for other in others {
                    self.wrong(
                        &["stack", "services", other],
                        format!("`{other}` and `{first}` both have no `image`; only one service is under test"),
                    );
                }
            }
        }
        let services = stack
            .services
            .into_iter()
            .map(|(name, service)| {
                let spec = self.service(&name, service.unwrap_or_default());
                (name, spec)
            })
            .collect();
        StackSpec { services }
    }

    fn service(&mut self, name: &str, service: ServiceDefinition) -> ServiceSpec {
        let at = ["stack", "services", name];
        let label = name.split('-').all(|word| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        });
        if !label || name.len() > 63 {
            self.wrong(
                &at,
                format!(
                    "`{}` is no name for a service; it is a host name: lower-case letters, digits and dashes",
                    visible(name)
                ),
            );
        }
        if service.image.as_deref().is_some_and(|image| image.trim().is_empty()) {
            self.wrong(&[at[0], at[1], at[2], "image"], "`image` is empty");
        }
        for variable in service.env.keys() {
            if !is_variable_name(variable) {
                self.wrong(
                    &[at[0], at[1], at[2], "env", variable],
                    format!("`{}` is no name for an environment variable", visible(variable)),
                );
            }
        }
        for (path, size) in &service.tmpfs {
            let place = [at[0], at[1], at[2], "tmpfs", path];
            if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
                self.wrong(&place, format!("`{}` is not an absolute path", visible(path)));
            }
            if size.0 == 0 {
                self.wrong(
                    &place,
                    "a file system of no size cannot hold anything; give it a size such as `16MiB`",
                );
            }
        }
        if service.command.as_ref().is_some_and(Vec::is_empty) {
            self.wrong(
                &[at[0], at[1], at[2], "command"],
                "`command` is empty; leave it out for the image's own",
            );
        }
        for key in ["env", "command", "entrypoint"] {
            self.variables(&[at[0], at[1], at[2], key]);
        }
        let ready = service.ready.map_or(Ready::Started, |ready| self.ready(name, ready));
        ServiceSpec {
            image: service.image,
            env: service.env,
            command: service.command,
            entrypoint: service.entrypoint,
            user: service.user,
            cap_add: service.cap_add.into_iter().map(Capability::name).map(str::to_owned).collect(),
            read_only: service.read_only,
            init: service.init,
            tmpfs: service.tmpfs.into_iter().map(|(path, size)| (path, size.0)).collect(),
            ready,
        }
    }

    fn ready(&mut self, service: &str, ready: ReadyDefinition) -> Ready {
        let at = ["stack", "services", service, "ready"];
        let within = ready.within.map_or(Duration::from_secs(10), |within| within.0);
        if within.is_zero() || within > Duration::from_hours(1) {
            self.wrong(&[at[0], at[1], at[2], at[3], "within"], "`within` can be between 1 ms and 1 h");
        }
        match ready {
            ReadyDefinition { port: Some(0), .. } => {
                self.wrong(&[at[0], at[1], at[2], at[3], "port"], "port 0 is no port");
                Ready::Started
            }
            ReadyDefinition { port: Some(port), log: None, exited: None, .. } => Ready::Port { port, within },
            ReadyDefinition { port: None, log: Some(pattern), exited: None, .. } => {
                if let Err(error) = regex::Regex::new(&pattern) {
                    let cause = error.to_string();
                    let cause = cause.lines().last().unwrap_or_default().trim_start_matches("error: ");
                    self.wrong(
                        &[at[0], at[1], at[2], at[3], "log"],
                        format!("`{}` is no regular expression: {cause}", visible(&pattern)),
                    );
                }
                Ready::Log { pattern, within }
            }
            ReadyDefinition { port: None, log: None, exited: Some(true), .. } => Ready::Exited { within },
            ReadyDefinition { port: None, log: None, .. } => {
                self.wrong(&at, "`ready` says not what is waited for; add `port`, `log` or `exited: true`");
                Ready::Started
            }
            _ => {
                self.wrong(&at, "`ready` waits for one thing: `port`, `log` or `exited`");
                Ready::Started
            }
        }
    }
}
