//! A line for a shell that starts a service with plain docker the way the sandbox did.

use std::time::Duration;

use super::health::HealthSpec;
use super::limits::Limits;
use super::service::Service;
use super::spec::{Restart, ServiceSpec, Source};
use crate::ulimits::ulimit;

/// What stands for the student's image.
const IMAGE: &str = "my-image";
/// The network that the lines of a stack with several services share where it names none.
const NETWORK: &str = "drydock";

/// What the line is about.
struct Part<'a> {
    service: &'a str,
    host_name: &'a str,
    spec: &'a ServiceSpec,
    limits: &'a Limits,
    /// Networks with others on them, by the names they are given.
    networks: Vec<&'a str>,
}

/// `docker run …` with everything that can change what the service does. Where it stands on networks
/// with others, the line makes sure of them first.
pub(super) fn line(service: &Service, limits: &Limits, options: &str) -> String {
    let stack = &service.common.spec;
    let alone = stack.services.len() == 1 && service.spec.replicas <= 1;
    let networks = if alone {
        Vec::new()
    } else if stack.networks.is_empty() {
        vec![NETWORK]
    } else {
        service.networks()
    };
    let part = Part {
        service: service.name(),
        host_name: service.host_name(),
        spec: &service.spec,
        limits,
        networks,
    };
    part.line(options)
}

impl Part<'_> {
    fn line(&self, options: &str) -> String {
        let created: Vec<String> = self
            .networks
            .iter()
            .map(|network| format!("docker network create {} 2>/dev/null; ", quoted(network)))
            .collect();
        let created = created.concat();
        let further = self.networks.get(1..).unwrap_or_default();
        if further.is_empty() {
            return format!("{created}docker run {}", self.rest(options));
        }
        // Docker before version 25 takes one network when a container is made.
        let detached = options.split_ascii_whitespace().next() == Some("-d");
        let options =
            if detached { options.trim_start().trim_start_matches("-d").trim_start() } else { options };
        let name = quoted(self.host_name);
        let connected: Vec<String> = further
            .iter()
            .map(|network| format!(" && docker network connect{} {} {name}", self.alias(), quoted(network)))
            .collect();
        let attach = if detached { "" } else { "-a " };
        format!(
            "{created}docker create {}{} && docker start {attach}{name}",
            self.rest(options),
            connected.concat()
        )
    }

    /// The service's name where the container has another.
    fn alias(&self) -> String {
        if self.host_name == self.service {
            String::new()
        } else {
            format!(" --alias {}", quoted(self.service))
        }
    }

    /// What follows `docker run` and `docker create` alike.
    fn rest(&self, options: &str) -> String {
        let Self { spec, limits, .. } = self;
        let mut words = Vec::new();
        let mut add = |option: &str, value: &str| {
            words.push(option.to_owned());
            if !value.is_empty() {
                words.push(quoted(value));
            }
        };
        // Docker takes only one of the two.
        if spec.restart == Restart::No {
            add("--rm", "");
        } else {
            add("--restart", &spec.restart.to_string());
        }
        if let Some(network) = self.networks.first() {
            add("--network", network);
            add("--name", self.host_name);
            if self.host_name != self.service {
                add("--network-alias", self.service);
            }
        }
        add("--hostname", self.host_name);
        add("--cap-drop", "ALL");
        for capability in &spec.cap_add {
            add("--cap-add", capability);
        }
        add("--security-opt", "no-new-privileges");
        add("--memory", &bytes(limits.memory_bytes));
        add("--memory-swap", &bytes(limits.memory_bytes));
        add("--cpus", &format!("{}.{:03}", limits.cpu_millis / 1000, limits.cpu_millis % 1000));
        add("--pids-limit", &limits.pids.to_string());
        if spec.read_only {
            add("--read-only", "");
        }
        if spec.init {
            add("--init", "");
        }
        if spec.tty {
            add("--tty", "");
        }
        if spec.stdin_open {
            add("--interactive", "");
        }
        for (name, limit) in &spec.ulimits {
            if let Some(limit) = ulimit(name, *limit, limits.memory_bytes) {
                add("--ulimit", &format!("{name}={}:{}", limit.soft, limit.hard));
            }
        }
        for link in &spec.links {
            add("--link", &format!("{}:{}", link.service, link.alias));
        }
        if let Some(domain) = &spec.domainname {
            add("--domainname", domain);
        }
        for (path, size) in &spec.tmpfs {
            add("--tmpfs", &format!("{path}:size={size}"));
        }
        if let Some(user) = &spec.user {
            add("--user", user);
        }
        for (name, value) in &spec.env {
            add("--env", &format!("{name}={value}"));
        }
        for mount in &spec.mounts {
            let end = format!("{}{}", mount.target, if mount.read_only { ":ro" } else { "" });
            words.push("-v".to_owned());
            words.push(match &mount.source {
                Source::Volume(name) => quoted(&format!("{name}:{end}")),
                // The shell knows where the submission lies.
                Source::Folder(path) if path == "." => format!("\"$PWD\"{}", quoted(&format!(":{end}"))),
                Source::Folder(path) => format!("\"$PWD\"{}", quoted(&format!("/{path}:{end}"))),
            });
        }
        for (option, value) in spec.healthcheck.iter().flat_map(health) {
            words.push(option.to_owned());
            if !value.is_empty() {
                words.push(quoted(&value));
            }
        }
        let mut command: Vec<&String> = Vec::new();
        match spec.entrypoint.as_deref() {
            // An empty one resets the image's; the shell must see two quotes.
            Some([]) => words.extend(["--entrypoint".to_owned(), "''".to_owned()]),
            Some([first, rest @ ..]) => {
                words.extend(["--entrypoint".to_owned(), quoted(first)]);
                command.extend(rest);
            }
            None => {}
        }
        if !options.is_empty() {
            words.push(options.to_owned());
        }
        words.push(quoted(spec.image.as_deref().unwrap_or(IMAGE)));
        command.extend(spec.command.iter().flatten());
        words.extend(command.into_iter().map(|word| quoted(word)));
        words.join(" ")
    }
}

/// Options for a health check. A check that is words is a line for the shell here, for docker takes no
/// others.
fn health(spec: &HealthSpec) -> Vec<(&'static str, String)> {
    if spec.disable {
        return vec![("--no-healthcheck", String::new())];
    }
    let test = spec.test.as_deref().and_then(|test| match test.split_first()? {
        (form, words) if form == "CMD" => {
            Some(words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "))
        }
        (_, line) => line.first().cloned(),
    });
    let time = |time: Option<Duration>| time.map(|time| format!("{}ms", time.as_millis()));
    let options = [
        ("--health-cmd", test),
        ("--health-interval", time(spec.interval)),
        ("--health-timeout", time(spec.timeout)),
        ("--health-retries", spec.retries.map(|retries| retries.to_string())),
        ("--health-start-period", time(spec.start_period)),
    ];
    options.into_iter().filter_map(|(option, value)| Some((option, value?))).collect()
}

/// A size in docker's units, in the largest that is exact.
fn bytes(count: u64) -> String {
    for (shift, unit) in [(30, "g"), (20, "m"), (10, "k")] {
        if count != 0 && count.trailing_zeros() >= shift {
            return format!("{}{unit}", count >> shift);
        }
    }
    count.to_string()
}

/// A word as a POSIX shell takes it.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use indexmap::IndexMap;

    use super::*;
    use crate::sandbox::MountSpec;

    const LIMITS: Limits = Limits {
        memory_bytes: 256 << 20,
        cpu_millis: 500,
        pids: 64,
        disk_bytes: 1,
        build_time: Duration::ZERO,
        run_time: Duration::ZERO,
        log_bytes: 1,
    };

    const BOUNDS: &str = "--cap-drop ALL --security-opt no-new-privileges --memory 256m --memory-swap 256m --cpus \
                          0.500 --pids-limit 64";

    fn line(spec: &ServiceSpec, networks: &[&str], options: &str) -> String {
        let host_name = if spec.replicas > 1 { "app-2" } else { "app" };
        Part { service: "app", host_name, spec, limits: &LIMITS, networks: networks.to_vec() }.line(options)
    }

    #[test]
    fn all_that_matters_is_in_the_line() {
        let spec = ServiceSpec {
            env: IndexMap::from([("GREETING".into(), "it's me".into())]),
            command: Some(vec!["-c".into(), "exit 3".into()]),
            entrypoint: Some(vec!["/bin/sh".into(), "-e".into()]),
            user: Some("1000".into()),
            cap_add: vec!["NET_BIND_SERVICE".into()],
            read_only: true,
            init: true,
            tmpfs: BTreeMap::from([("/tmp".into(), 1024)]),
            ..ServiceSpec::default()
        };
        assert_eq!(
            line(&spec, &[], "-p 8080:8080"),
            "docker run --rm --hostname app --cap-drop ALL --cap-add NET_BIND_SERVICE --security-opt \
             no-new-privileges --memory 256m --memory-swap 256m --cpus 0.500 --pids-limit 64 --read-only --init \
             --tmpfs /tmp:size=1024 --user 1000 --env 'GREETING=it'\\''s me' --entrypoint /bin/sh -p 8080:8080 \
             my-image -e -c 'exit 3'"
        );
        assert!(line(&spec, &[NETWORK], "").starts_with(
            "docker network create drydock 2>/dev/null; docker run --rm --network drydock --name app --hostname app "
        ));
    }

    #[test]
    fn mounts_and_policies_are_dockers_own_words() {
        let spec = ServiceSpec {
            mounts: vec![
                MountSpec { source: Source::Volume("data".into()), target: "/data".into(), read_only: false },
                MountSpec {
                    source: Source::Folder("my site".into()),
                    target: "/www".into(),
                    read_only: true,
                },
            ],
            restart: Restart::OnFailure { most: Some(3) },
            replicas: 2,
            ..ServiceSpec::default()
        };
        assert_eq!(
            line(&spec, &["front"], ""),
            format!(
                "docker network create front 2>/dev/null; docker run --restart on-failure:3 --network front --name \
                 app-2 --network-alias app --hostname app-2 {BOUNDS} -v data:/data -v \"$PWD\"'/my site:/www:ro' \
                 my-image"
            )
        );
    }

    #[test]
    fn further_networks_are_connected_before_the_start() {
        let spec = ServiceSpec::default();
        let made = format!(
            "docker network create front 2>/dev/null; docker network create back 2>/dev/null; docker create --rm \
             --network front --name app --hostname app {BOUNDS}"
        );
        assert_eq!(
            line(&spec, &["front", "back"], "-d --name app"),
            format!("{made} --name app my-image && docker network connect back app && docker start app")
        );
        assert_eq!(
            line(&spec, &["front", "back"], ""),
            format!("{made} my-image && docker network connect back app && docker start -a app")
        );
    }
}
