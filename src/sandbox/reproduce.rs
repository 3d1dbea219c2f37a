//! A line for a shell that starts a service with plain docker the way the sandbox did.

use std::fmt::Write as _;

use super::limits::Limits;
use super::stack::ServiceSpec;

/// What stands for the student's image.
const IMAGE: &str = "my-image";
/// The network that the lines of a stack with several services share.
const NETWORK: &str = "drydock";

/// `docker run …` with everything that can change what the service does. In a stack with several
/// services the line makes sure of their common network first.
pub(super) fn line(name: &str, spec: &ServiceSpec, limits: &Limits, alone: bool, options: &str) -> String {
    let mut line = String::new();
    let mut words = vec!["docker".to_owned(), "run".to_owned(), "--rm".to_owned()];
    let mut add = |option: &str, value: &str| {
        words.push(option.to_owned());
        if !value.is_empty() {
            words.push(quoted(value));
        }
    };
    if !alone {
        let _ = write!(line, "docker network create {NETWORK} 2>/dev/null; ");
        add("--network", NETWORK);
        add("--name", name);
    }
    add("--hostname", name);
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
    for (path, size) in &spec.tmpfs {
        add("--tmpfs", &format!("{path}:size={size}"));
    }
    if let Some(user) = &spec.user {
        add("--user", user);
    }
    for (name, value) in &spec.env {
        add("--env", &format!("{name}={value}"));
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
    line.push_str(&words.join(" "));
    line
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
    use crate::sandbox::Ready;

    #[test]
    fn all_that_matters_is_in_the_line() {
        let spec = ServiceSpec {
            image: None,
            env: IndexMap::from([("GREETING".into(), "it's me".into())]),
            command: Some(vec!["-c".into(), "exit 3".into()]),
            entrypoint: Some(vec!["/bin/sh".into(), "-e".into()]),
            user: Some("1000".into()),
            cap_add: vec!["NET_BIND_SERVICE".into()],
            read_only: true,
            init: true,
            tmpfs: BTreeMap::from([("/tmp".into(), 1024)]),
            ready: Ready::Started,
        };
        let limits = Limits {
            memory_bytes: 256 << 20,
            cpu_millis: 500,
            pids: 64,
            disk_bytes: 1,
            build_time: Duration::ZERO,
            run_time: Duration::ZERO,
            log_bytes: 1,
        };
        assert_eq!(
            line("app", &spec, &limits, true, "-p 8080:8080"),
            "docker run --rm --hostname app --cap-drop ALL --cap-add NET_BIND_SERVICE --security-opt \
             no-new-privileges --memory 256m --memory-swap 256m --cpus 0.500 --pids-limit 64 --read-only --init \
             --tmpfs /tmp:size=1024 --user 1000 --env 'GREETING=it'\\''s me' --entrypoint /bin/sh -p 8080:8080 \
             my-image -e -c 'exit 3'"
        );
        assert!(
            line("db", &spec, &limits, false, "").starts_with("docker network create drydock 2>/dev/null; ")
        );
    }
}
