//! `stack`: services, their networks and bounds, and when they count as started.

use std::time::Duration;

use indexmap::IndexMap;

use super::{Reader, is_variable_name};
use crate::checks::Tested;
use crate::checks::command::CommandLine;
use crate::exercises::definition::{
    Capability, HealthcheckDefinition, Names, ReadyDefinition, ServiceDefinition, ServiceLimitsDefinition,
    StackDefinition,
};
use crate::sandbox::{
    HealthSpec, Limits, MOST_CONTAINERS, MOST_REPLICAS, NetworkMode, Ready, Restart, ServiceLimits,
    ServiceSpec, Source, StackSpec,
};
use crate::text::visible;
use crate::tree::unknown;
use crate::units::ByteSize;

/// What a service can name.
#[derive(Clone, Copy)]
struct Known<'a> {
    stack: &'a StackSpec,
    services: &'a [String],
    /// Its networks are those of a compose file.
    composed: bool,
}

impl Reader<'_> {
    pub(super) fn stack(&mut self, stack: StackDefinition, brought: Tested, limits: &Limits) -> StackSpec {
        let composed = brought == Tested::Composed;
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
            without if composed => {
                for one in without {
                    self.wrong(
                        &["stack", "services", one],
                        format!("the service `{one}` stands beside those of the compose file, so it needs an `image` of its own"),
                    );
                }
            }
            [one] if brought == Tested::Nothing => self.wrong(
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
        if composed && stack.networks.is_some() {
            self.wrong(
                &["stack", "networks"],
                "beside `compose`, services stand on networks of the compose file; leave `networks` of the stack out",
            );
        }
        let networks = self.names("networks", "network", stack.networks.filter(|_| !composed));
        let volumes = self.names("volumes", "volume", stack.volumes);
        let mut spec = StackSpec { services: IndexMap::new(), networks, volumes };
        let names: Vec<String> = stack.services.keys().cloned().collect();
        for (name, service) in stack.services {
            let known = Known { stack: &spec, services: &names, composed };
            let service = self.service(&name, service.unwrap_or_default(), &known, limits);
            spec.services.insert(name, service);
        }
        self.unused(&spec);
        self.circles(&spec);
        let containers: u32 = spec.services.values().map(|service| service.replicas).sum();
        if containers > MOST_CONTAINERS {
            self.wrong(
                &["stack", "services"],
                format!("the stack has {containers} containers, and at most {MOST_CONTAINERS} can run"),
            );
        }
        spec
    }

    /// The names of networks or volumes.
    fn names(&mut self, key: &str, what: &str, names: Option<Names>) -> Vec<String> {
        let names = names.map(Names::into_vec).unwrap_or_default();
        for (index, name) in names.iter().enumerate() {
            let place = ["stack", key, name];
            if !is_label(name) {
                self.wrong(
                    &place,
                    format!(
                        "`{}` is no name for a {what}; use lower-case letters, digits and dashes",
                        visible(name)
                    ),
                );
            } else if names[..index].contains(name) {
                self.wrong(&place, format!("the {what} `{name}` is there twice"));
            }
        }
        names
    }

    /// Networks and volumes that are there for nobody.
    fn unused(&mut self, stack: &StackSpec) {
        let services = || stack.services.values();
        for name in &stack.networks {
            if !services().any(|service| stack.networks_of(service).contains(&name.as_str())) {
                self.wrong(
                    &["stack", "networks", name],
                    format!("no service stands on the network `{name}`"),
                );
            }
        }
        for name in &stack.volumes {
            let source = Source::Volume(name.clone());
            if !services().flat_map(|service| &service.mounts).any(|mount| mount.source == source) {
                self.wrong(&["stack", "volumes", name], format!("no service mounts the volume `{name}`"));
            }
        }
    }

    fn service(
        &mut self,
        name: &str,
        service: ServiceDefinition,
        known: &Known<'_>,
        limits: &Limits,
    ) -> ServiceSpec {
        let Known { stack, services, composed } = *known;
        let at = ["stack", "services", name];
        if !is_label(name) {
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
        self.own_names(name, &service);
        let mounts = self.mounts(name, service.mounts, &service.tmpfs, &stack.volumes);
        // Which networks a compose file has is for its author to say.
        let known = (!composed).then_some(stack.networks.as_slice());
        let networks = self.standing(name, service.networks, known);
        let replicas = service.replicas.unwrap_or(1);
        if !(1..=MOST_REPLICAS).contains(&replicas) {
            self.wrong(
                &[at[0], at[1], at[2], "replicas"],
                format!("`replicas` is {replicas}; it can be between 1 and {MOST_REPLICAS}"),
            );
        }
        let limits = self.service_limits(name, &service.limits, limits);
        let depends_on = service.depends_on.map(|depends_on| self.depends_on(name, depends_on, services));
        for key in ["env", "command", "entrypoint"] {
            self.variables(&[at[0], at[1], at[2], key]);
        }
        let healthcheck = service.healthcheck.map(|health| self.healthcheck(name, health));
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
            mounts,
            files: Vec::new(),
            networks,
            network_mode: NetworkMode::Networks,
            group_add: Vec::new(),
            shm_bytes: None,
            aliases: service.aliases,
            hostname: service.hostname,
            extra_hosts: IndexMap::new(),
            working_dir: service.working_dir,
            stop_signal: service.stop_signal,
            depends_on: depends_on.unwrap_or_default(),
            restart: service.restart.map_or(Restart::No, |restart| restart.0),
            replicas,
            limits,
            healthcheck,
            ready,
            ..ServiceSpec::default()
        }
    }

    /// What a service is called beside its name, and what it says of its process.
    fn own_names(&mut self, name: &str, service: &ServiceDefinition) {
        let at = |key| ["stack", "services", name, key];
        let what = "use lower-case letters, digits and dashes, in parts with dots between";
        if service.hostname.as_deref().is_some_and(|name| !is_host_name(name)) {
            self.wrong(&at("hostname"), format!("`hostname` is no name for a host; {what}"));
        }
        let places = self.places(&at("aliases"));
        for (index, alias) in service.aliases.iter().enumerate() {
            if !is_host_name(alias) {
                let place = places.get(index).copied().unwrap_or_default();
                self.mistakes.at(place, format!("`{}` is no name for a host; {what}", visible(alias)));
            }
        }
        if service.working_dir.as_deref().is_some_and(|path| !path.starts_with('/')) {
            self.wrong(&at("working_dir"), "`working_dir` is an absolute path in the container");
        }
        let is_signal = |signal: &str| {
            let name = signal.strip_prefix("SIG").unwrap_or(signal);
            !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'+')
        };
        if service.stop_signal.as_deref().is_some_and(|signal| !is_signal(signal)) {
            self.wrong(&at("stop_signal"), "`stop_signal` is the name of a signal, such as `SIGINT`");
        }
    }

    /// The networks that a service stands on.
    fn standing(
        &mut self,
        service: &str,
        names: Option<Vec<String>>,
        known: Option<&[String]>,
    ) -> Vec<String> {
        let at = ["stack", "services", service, "networks"];
        let Some(names) = names else { return Vec::new() };
        if names.is_empty() {
            self.wrong(&at, "`networks` is empty; leave it out for all networks of the stack");
        }
        let places = self.places(&at);
        for (index, name) in names.iter().enumerate() {
            let place = places.get(index).copied().unwrap_or_default();
            if let Some(known) = known
                && !known.contains(name)
            {
                self.mistakes.at(place, unknown("network", name, known.iter().map(String::as_str)));
            } else if names[..index].contains(name) {
                self.mistakes.at(place, format!("the network `{name}` is there twice"));
            }
        }
        names
    }

    /// What a service has less of than the exercise gives.
    fn service_limits(
        &mut self,
        service: &str,
        own: &ServiceLimitsDefinition,
        all: &Limits,
    ) -> ServiceLimits {
        let at = ["stack", "services", service, "limits"];
        let ServiceLimitsDefinition { memory, cpus, pids } = own;
        if let Some(size) = memory
            && !(6 << 20..=all.memory_bytes).contains(&size.0)
        {
            let most = ByteSize(all.memory_bytes);
            self.wrong(
                &[at[0], at[1], at[2], at[3], "memory"],
                format!(
                    "`memory` is {size}; it can be between 6 MiB and the exercise's `limits.memory`, {most}"
                ),
            );
        }
        let most = f64::from(all.cpu_millis) / 1000.0;
        if let Some(cpus) = cpus
            && !(0.01..=most).contains(cpus)
        {
            self.wrong(
                &[at[0], at[1], at[2], at[3], "cpus"],
                format!("`cpus` is {cpus}; it can be between 0.01 and the exercise's `limits.cpus`, {most}"),
            );
        }
        if let Some(pids) = pids
            && !(1..=all.pids).contains(pids)
        {
            self.wrong(
                &[at[0], at[1], at[2], at[3], "pids"],
                format!(
                    "`pids` is {pids}; it can be between 1 and the exercise's `limits.pids`, {}",
                    all.pids
                ),
            );
        }
        ServiceLimits {
            memory_bytes: memory.map(|size| size.0),
            cpu_millis: cpus.map(super::cpu_millis),
            pids: *pids,
        }
    }

    fn healthcheck(&mut self, service: &str, health: HealthcheckDefinition) -> HealthSpec {
        let at = |key| ["stack", "services", service, "healthcheck", key];
        self.variables(&at("test"));
        let times = [
            ("interval", health.interval),
            ("timeout", health.timeout),
            ("start_period", health.start_period),
            ("start_interval", health.start_interval),
        ];
        for (key, time) in times {
            let least = if key == "start_period" { Duration::ZERO } else { Duration::from_millis(1) };
            if time.is_some_and(|time| time.0 < least || time.0 > Duration::from_hours(1)) {
                self.wrong(&at(key), format!("`{key}` can be between 1 ms and 1 h"));
            }
        }
        if health.retries.is_some_and(|retries| !(1..=1000).contains(&retries)) {
            self.wrong(&at("retries"), "`retries` can be between 1 and 1000");
        }
        let test = health.test.map(|test| match test {
            CommandLine::Shell(line) => vec!["CMD-SHELL".to_owned(), line],
            CommandLine::Words(words) => words.into_iter().map(|word| word.0).collect(),
        });
        let words: Vec<&str> = test.iter().flatten().map(String::as_str).collect();
        let fits = match words.as_slice() {
            [] => test.is_none(),
            ["CMD", program, ..] => !program.is_empty(),
            ["CMD-SHELL", line] => !line.trim().is_empty(),
            ["NONE"] => true,
            _ => false,
        };
        if !fits {
            self.wrong(
                &at("test"),
                "`test` is a line for the shell, or a list: `[CMD, program, …]`, `[CMD-SHELL, line]` or `[NONE]`",
            );
        }
        let disable = health.disable || words == ["NONE"];
        if health.disable
            && (test.is_some() || health.retries.is_some() || times.iter().any(|(_, time)| time.is_some()))
        {
            self.wrong(&at("disable"), "`disable` cannot stand beside anything else of the check");
        }
        HealthSpec {
            disable,
            test,
            interval: health.interval.map(|time| time.0),
            timeout: health.timeout.map(|time| time.0),
            retries: health.retries,
            start_period: health.start_period.map(|time| time.0),
            start_interval: health.start_interval.map(|time| time.0),
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
            ReadyDefinition { port: Some(port), log: None, exited: None, healthy: None, .. } => {
                Ready::Port { port, within }
            }
            ReadyDefinition { port: None, log: Some(pattern), exited: None, healthy: None, .. } => {
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
            ReadyDefinition { port: None, log: None, exited: Some(true), healthy: None, .. } => {
                Ready::Exited { within }
            }
            ReadyDefinition { port: None, log: None, exited: None, healthy: Some(true), .. } => {
                Ready::Healthy { within }
            }
            ReadyDefinition { port: None, log: None, exited, healthy, .. }
                if exited != Some(true) && healthy != Some(true) =>
            {
                self.wrong(&at, "`ready` says not what is waited for; add `port`, `log`, `exited: true` or `healthy: true`");
                Ready::Started
            }
            _ => {
                self.wrong(&at, "`ready` waits for one thing: `port`, `log`, `exited` or `healthy`");
                Ready::Started
            }
        }
    }
}

/// Whether a name can be that of a host, a network or a volume: words of lower-case letters and digits,
/// joined by dashes (RFC 1123, 2.1, for host names).
fn is_label(name: &str) -> bool {
    let word =
        |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    name.len() <= 63 && name.split('-').all(word)
}

/// Whether a name can be that of a host: labels with dots between (RFC 1123, 2.1).
fn is_host_name(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_label)
}
