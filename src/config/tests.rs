use super::*;

fn read(file: &str, variables: &[(&str, &str)]) -> Result<Settings, String> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Settings::from_sources(Some((FILE, file)), variables).map_err(|error| error.to_string())
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_defaults() {
    let file = "listen = '0.0.0.0:80'\n[worker]\nslots = 8\nlease = '1m'\n[sandbox]\nmax_cpus = 1.5\nmax_memory = '1GiB'\n";
    let variables = [
        ("DRYDOCK_WORKER_SLOTS", "3"),
        ("DRYDOCK_SANDBOX_ALLOWED_BASES", "busybox:1.37, debian:13-slim"),
        ("DRYDOCK_SANDBOX_PULL", "false"),
        ("DRYDOCK_SANDBOX_BUILDER", "buildkit"),
        ("DRYDOCK_DATABASE_URL", "postgres://localhost/drydock"),
        ("DRYDOCK_SESSIONS_LIFETIME", ""),
        ("DRYDOCK_LOG", "debug"),
        ("DRYDOCK_SERVICE_HOST", "10.0.0.1"),
        ("PATH", "/bin"),
    ];
    let settings = read(file, &variables).unwrap();
    let expected = Settings {
        listen: "0.0.0.0:80".parse().unwrap(),
        database_url: Some("postgres://localhost/drydock".into()),
        worker: WorkerSettings { slots: 3, lease: Duration::from_mins(1), ..WorkerSettings::default() },
        sandbox: SandboxSettings {
            max_cpu_millis: 1500,
            max_memory_bytes: 1 << 30,
            allowed_bases: vec!["busybox:1.37".into(), "debian:13-slim".into()],
            pull: false,
            builder: BuilderChoice::BuildKit,
            ..SandboxSettings::default()
        },
        ..Settings::default()
    };
    assert_eq!(settings, expected);
    assert_eq!(read("", &[]).unwrap(), Settings::default());
}

#[test]
fn mistakes_are_named_with_their_place() {
    for (file, expected) in [
        ("lisen = 'x'\n", "drydock.toml:1:1: unknown key `lisen`, did you mean `listen`?"),
        (
            "listen = 'localhost:80'\n",
            "drydock.toml:1:10: `localhost:80` is no address to listen on; write an IP address and a port, such as \
             `127.0.0.1:8080` or `0.0.0.0:80`",
        ),
        ("[worker]\nslot = 1\n", "drydock.toml:2:1: unknown key `slot`, did you mean `slots`?"),
        ("[wroker]\nslots = 1\n", "drydock.toml:1:2: unknown key `wroker`, did you mean `worker`?"),
        (
            "[worker]\nslots = 'two'\n",
            "drydock.toml:2:9: expected a whole number from 0 on, found the text `two`",
        ),
        (
            "[worker]\nslots = 0\n",
            "drydock.toml:2:9: a worker grades between 1 and 1000 submissions at a time",
        ),
        (
            "[worker]\nlease = 30\n",
            "drydock.toml:2:9: `30` has no unit of time; write a number with a unit, such as `500ms`, `10s`, `2m` or \
             `1m30s`",
        ),
        (
            "[sandbox]\nmax_cpus = -1\n",
            "drydock.toml:2:12: `-1` is no number of CPUs; write one such as `1.5`",
        ),
        (
            "[sandbox]\nbuilder = 'kaniko'\n",
            "drydock.toml:2:11: unknown word `kaniko`; there are `auto`, `classic` and `buildkit`",
        ),
        (
            "worker = 3\n",
            "drydock.toml:1:10: expected a map with keys such as `slots`, `lease`, `attempts`, `backoff`, found the \
             number `3`",
        ),
        (
            "public_url = 'drydock.example.org'\n",
            "drydock.toml:1:14: this is no public address; write `https://` and the host's name, without a path or a \
             slash at the end",
        ),
        (
            "database_url = 'mysql://x'\n",
            "drydock.toml:1:16: this is no database we know; write `postgres://user@host/name`, or `sqlite:` and a \
             file's path",
        ),
        (
            "listen = \n",
            "drydock.toml:1:10: this is not valid TOML: string values must be quoted, expected literal string",
        ),
        ("listen = '1:1'\nlisten = '1:1'\n", "drydock.toml:2:1: this is not valid TOML: duplicate key"),
    ] {
        assert_eq!(read(file, &[]).unwrap_err(), expected, "{file}");
    }
}

#[test]
fn variables_are_named() {
    for (name, value, expected) in [
        (
            "DRYDOCK_WORKER_SLOTS",
            "two",
            "DRYDOCK_WORKER_SLOTS: expected a whole number from 0 on, found the text `two`",
        ),
        (
            "DRYDOCK_SANDBOX_MAX_MEMORY",
            "64m",
            "DRYDOCK_SANDBOX_MAX_MEMORY: `64m` is not a size; write a number with a unit, such as `256MiB`, `1.5GiB` \
             or `64kB`, or a plain number of bytes",
        ),
        ("DRYDOCK_LISTN", "x", "DRYDOCK_LISTN: there is no such setting; was `DRYDOCK_LISTEN` meant?"),
        (
            "DRYDOCK_WORKER_FAVOURITE_COLOUR",
            "x",
            "DRYDOCK_WORKER_FAVOURITE_COLOUR: unknown setting `DRYDOCK_WORKER_FAVOURITE_COLOUR`; there are `DRYDOCK_WORKER_SLOTS`, \
             `DRYDOCK_WORKER_LEASE`, `DRYDOCK_WORKER_ATTEMPTS` and `DRYDOCK_WORKER_BACKOFF`",
        ),
        (
            "DRYDOCK_SANDBOX_PULL",
            "yes",
            "DRYDOCK_SANDBOX_PULL: expected `true` or `false`, found the text `yes`; write `true`",
        ),
        ("DRYDOCK_WORKER_ATTEMPTS", "0", "DRYDOCK_WORKER_ATTEMPTS: between 1 and 1000 attempts can be made"),
    ] {
        assert_eq!(read("", &[(name, value)]).unwrap_err(), expected, "{name}");
    }
}

#[test]
fn every_mistake_is_told() {
    let error = read("lisen = 'x'\n[worker]\nslots = 0\n", &[("DRYDOCK_WORKER_LEASE", "1s")]).unwrap_err();
    assert_eq!(error.lines().count(), 3, "{error}");
}

#[test]
fn a_named_file_must_be_there() {
    let error = Settings::load(Some(Path::new("/nowhere/drydock.toml"))).unwrap_err();
    assert!(
        error.to_string().starts_with("/nowhere/drydock.toml: the settings cannot be read: No such file")
    );
}

#[test]
fn every_setting_is_in_the_table() {
    let table = Settings::table();
    for row in table::rows() {
        assert!(!row.variable.is_empty());
        assert!(table.contains(&format!("`{}`", row.variable)));
    }
    assert!(
        table.contains("| `worker.slots` | `DRYDOCK_WORKER_SLOTS` | `2` | Gradings at a time. |\n"),
        "{table}"
    );
    assert!(table.contains("| `sandbox.max_memory` | `DRYDOCK_SANDBOX_MAX_MEMORY` | `2GiB` |"), "{table}");
    assert!(table.lines().skip(2).all(|line| line.ends_with(". |")), "each has a meaning: {table}");
}
