//! Every setting: defaults < `drydock.toml` < `DRYDOCK_*` environment; a bad key is named with its place.
//!
//! Read once in `main` and handed down as plain values; this room knows of no other. A setting
//! `worker.slots` is the key `slots` below `[worker]` in the file and `DRYDOCK_WORKER_SLOTS` in the
//! environment, where a list is separated by commas and an empty variable counts as not set.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::text::visible;
use crate::tree::{Entry, Node, Place, Value, likely, unknown};

mod forms;
mod table;
mod toml_tree;

use forms::{bytes, cpus, span};

/// The file that is read where no other is named.
pub const FILE: &str = "drydock.toml";

/// Variables beside the settings that begin with `DRYDOCK_` too.
const OTHER_VARIABLES: [&str; 4] = ["DRYDOCK_CONFIG", "DRYDOCK_LOG", "DRYDOCK_LOG_FORMAT", "DRYDOCK_TOKEN"];

/// All settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Address and port that the server listens on.
    #[serde(deserialize_with = "forms::address")]
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// The address that people type, such as `https://drydock.example.org`. Decides over Secure cookies and
    /// the links that are shown; the address listened on if not set.
    pub public_url: Option<String>,
    /// Folder for the embedded database, contents and the installation's id.
    pub data_dir: PathBuf,
    /// `postgres://…` or `sqlite:…`; the embedded `SQLite` in `data_dir` if not set.
    pub database_url: Option<String>,
    /// Seals stored logins of registries and repositories: 32 random bytes in base64, the same for all servers
    /// and workers on one database; made in `data_dir` if not set.
    pub secret_key: Option<String>,
    /// Folder with exercises and workshops.
    pub exercises_dir: PathBuf,
    /// How long the log of a grading can be read after its end; reports are kept for ever.
    #[serde(with = "span")]
    #[schemars(with = "crate::units::Span")]
    pub logs_kept: Duration,
    /// Sign-in.
    pub sessions: SessionSettings,
    /// Sign-in with an OpenID Connect provider, beside names and passwords.
    pub openid: OpenIdSettings,
    /// What may be handed in.
    pub uploads: UploadSettings,
    /// What is handed in by its address.
    pub fetch: FetchSettings,
    /// The worker.
    pub worker: WorkerSettings,
    /// The engine and what holds in it.
    pub sandbox: SandboxSettings,
}

/// `[sessions]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SessionSettings {
    /// How long a person stays signed in.
    #[serde(with = "span")]
    #[schemars(with = "crate::units::Span")]
    pub lifetime: Duration,
}

/// `[openid]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OpenIdSettings {
    /// The provider's address as it calls itself, such as `https://login.example.org/realms/main`; nobody signs
    /// in with a provider if not set.
    pub issuer: Option<String>,
    /// Under which name the provider knows this server.
    pub client_id: Option<String>,
    /// The secret that goes with it.
    pub client_secret: Option<String>,
    /// What the button says behind "Sign in with".
    pub name: String,
    /// What is asked of the provider beside `openid`.
    pub scopes: Vec<String>,
    /// The claim with a person's groups; dots lead into nested ones, such as `realm_access.roles`.
    pub groups_claim: String,
    /// Groups whose members are admins; where there are none, admins are made here.
    pub admin_groups: Vec<String>,
}

/// `[uploads]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UploadSettings {
    /// The largest archive.
    #[serde(rename = "archive_size", with = "bytes")]
    #[schemars(with = "crate::units::ByteSize")]
    pub archive_bytes: u64,
    /// The most that an archive may unpack to.
    #[serde(rename = "unpacked_size", with = "bytes")]
    #[schemars(with = "crate::units::ByteSize")]
    pub unpacked_bytes: u64,
    /// The most files, folders and links in it.
    pub entries: usize,
    /// The largest image that can be handed in as an archive of `docker save`, packed or not.
    #[serde(rename = "saved_image_size", with = "bytes")]
    #[schemars(with = "crate::units::ByteSize")]
    pub saved_image_bytes: u64,
}

/// `[fetch]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FetchSettings {
    /// Hosts that may be asked although their addresses are private, such as `git.example.org`, `*.corp.example`,
    /// `10.1.0.0/16` or `http://registry.local:5000` (without TLS).
    pub allowed_hosts: Vec<String>,
    /// How long the fetching of a repository or an image may take.
    #[serde(with = "span")]
    #[schemars(with = "crate::units::Span")]
    pub timeout: Duration,
}

/// `[worker]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WorkerSettings {
    /// Gradings at a time.
    pub slots: usize,
    /// How long a claim on a grading holds without being renewed; a crashed worker's grading is taken up
    /// by another after it.
    #[serde(with = "span")]
    #[schemars(with = "crate::units::Span")]
    pub lease: Duration,
    /// Attempts at a grading before a platform fault becomes its verdict.
    pub attempts: i32,
    /// Wait before the second attempt; doubled for each further one.
    #[serde(with = "span")]
    #[schemars(with = "crate::units::Span")]
    pub backoff: Duration,
}

/// `[sandbox]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SandboxSettings {
    /// OCI runtime of students' containers, such as `runc` or `runsc`; the engine must have it.
    pub runtime: String,
    /// The builder: `classic`, `buildkit`, or `auto`, which measures whether `BuildKit`'s steps are bounded here.
    pub builder: BuilderChoice,
    /// Whether `BuildKit` may serve Dockerfiles that need it although its steps are not bounded.
    pub unbounded_buildkit: bool,
    /// Whether exercises may give builds the network.
    pub internet_builds: bool,
    /// Base images that students may build from; empty: any that the engine has.
    pub allowed_bases: Vec<String>,
    /// Whether missing images are pulled.
    pub pull: bool,
    /// Pods kept ready for stacks of one service.
    pub warm_pods: usize,
    /// The most memory that an exercise may give a container.
    #[serde(rename = "max_memory", with = "bytes")]
    #[schemars(with = "crate::units::ByteSize")]
    pub max_memory_bytes: u64,
    /// The most CPUs that an exercise may give a container.
    #[serde(rename = "max_cpus", with = "cpus")]
    #[schemars(with = "f64")]
    pub max_cpu_millis: u32,
    /// The most processes and threads that an exercise may give a container.
    pub max_pids: u32,
    /// The most that the containers of a submission may write, and its largest image.
    #[serde(rename = "max_disk", with = "bytes")]
    #[schemars(with = "crate::units::ByteSize")]
    pub max_disk_bytes: u64,
    /// The longest build that an exercise may allow.
    #[serde(with = "span")]
    #[schemars(with = "crate::units::Span")]
    pub max_build_time: Duration,
    /// The longest run that an exercise may allow.
    #[serde(with = "span")]
    #[schemars(with = "crate::units::Span")]
    pub max_run_time: Duration,
    /// Built images kept as cache.
    #[serde(rename = "cache_size", with = "bytes")]
    #[schemars(with = "crate::units::ByteSize")]
    pub cache_bytes: u64,
    /// How often leftovers of crashed workers are looked for in the engine.
    #[serde(with = "span")]
    #[schemars(with = "crate::units::Span")]
    pub sweep_every: Duration,
}

/// `sandbox.builder`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BuilderChoice {
    /// `BuildKit` where its steps are measured to be bounded, else classic.
    Auto,
    /// The classic builder.
    Classic,
    /// `BuildKit`.
    BuildKit,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_url: None,
            data_dir: "./drydock-data".into(),
            database_url: None,
            secret_key: None,
            exercises_dir: "./exercises".into(),
            logs_kept: Duration::from_hours(30 * 24),
            sessions: SessionSettings::default(),
            openid: OpenIdSettings::default(),
            uploads: UploadSettings::default(),
            fetch: FetchSettings::default(),
            worker: WorkerSettings::default(),
            sandbox: SandboxSettings::default(),
        }
    }
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self { lifetime: Duration::from_hours(12) }
    }
}

impl Default for OpenIdSettings {
    fn default() -> Self {
        Self {
            issuer: None,
            client_id: None,
            client_secret: None,
            name: "OpenID".into(),
            scopes: vec!["profile".into()],
            groups_claim: "groups".into(),
            admin_groups: Vec::new(),
        }
    }
}

impl Default for UploadSettings {
    fn default() -> Self {
        Self {
            archive_bytes: 16 << 20,
            unpacked_bytes: 64 << 20,
            entries: 5000,
            saved_image_bytes: 256 << 20,
        }
    }
}

impl Default for FetchSettings {
    fn default() -> Self {
        Self { allowed_hosts: Vec::new(), timeout: Duration::from_mins(2) }
    }
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self { slots: 2, lease: Duration::from_secs(30), attempts: 3, backoff: Duration::from_secs(5) }
    }
}

impl Default for SandboxSettings {
    fn default() -> Self {
        Self {
            runtime: "runc".into(),
            builder: BuilderChoice::Auto,
            unbounded_buildkit: false,
            internet_builds: true,
            allowed_bases: Vec::new(),
            pull: true,
            warm_pods: 2,
            max_memory_bytes: 2 << 30,
            max_cpu_millis: 2000,
            max_pids: 1024,
            max_disk_bytes: 4 << 30,
            max_build_time: Duration::from_mins(10),
            max_run_time: Duration::from_mins(5),
            cache_bytes: 10 << 30,
            sweep_every: Duration::from_mins(1),
        }
    }
}

/// What is wrong with the settings: one line for each mistake, `file:line:column: sentence` or
/// `VARIABLE: sentence`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    lines: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

/// One value from a file or variable.
struct Leaf {
    /// `drydock.toml:3:1`, or the variable's name.
    origin: String,
    section: Option<(String, Place)>,
    key: String,
    entry: Entry,
}

impl Settings {
    /// Reads the settings from `file` (`drydock.toml` in the working folder where there is one, if none is
    /// named) and the environment.
    ///
    /// # Errors
    /// Every mistake that was found, with its place.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let path = file.unwrap_or(Path::new(FILE));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => Some(text),
            Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                let line = format!("{}: the settings cannot be read: {error}", path.display());
                return Err(ConfigError { lines: vec![line] });
            }
        };
        let shown = path.display().to_string();
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
        });
        Self::from_sources(text.as_deref().map(|text| (shown.as_str(), text)), variables)
    }

    /// Reads the settings from a file's name and text, and variables.
    ///
    /// # Errors
    /// Every mistake that was found, with its place.
    pub fn from_sources(
        file: Option<(&str, &str)>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut lines = Vec::new();
        let mut leaves = Vec::new();
        if let Some((name, text)) = file {
            match toml_tree::parse(text) {
                Ok(node) => leaves.extend(leaves_of(name, &node)),
                Err(error) => lines.push(located(name, error.place, &error.message)),
            }
        }
        let mut variables: Vec<_> = variables
            .into_iter()
            .filter(|(name, value)| name.starts_with("DRYDOCK_") && !value.is_empty())
            .collect();
        // The environment has no order; mistakes should.
        variables.sort();
        for (name, value) in variables {
            match leaf_of(&name, &value) {
                Ok(leaf) => leaves.extend(leaf),
                Err(message) => lines.push(format!("{name}: {message}")),
            }
        }
        // Each value is judged by itself among the defaults, so that a mistake is always the one's that
        // made it.
        for leaf in &leaves {
            match tree(std::slice::from_ref(leaf)).read::<Self>() {
                Ok(settings) => {
                    lines
                        .extend(settings.mistakes().map(|message| leaf.tell(leaf.entry.node.place, message)));
                }
                Err(error) => lines.push(leaf.tell(error.place, &error.message)),
            }
        }
        if lines.is_empty() {
            tree(&leaves).read().map_err(|error| ConfigError { lines: vec![error.message] })
        } else {
            Err(ConfigError { lines })
        }
    }

    /// Values that could not work, as sentences.
    fn mistakes(&self) -> impl Iterator<Item = &'static str> {
        let Self { sessions, openid, uploads, worker, sandbox, .. } = self;
        let second = Duration::from_secs(1);
        let web = |url: &str| {
            ["http://", "https://"].iter().any(|scheme| {
                url.strip_prefix(scheme)
                    .is_some_and(|rest| !rest.is_empty() && !rest.contains(['/', '?', '#', ' ']))
            })
        };
        let provider = |url: &str| {
            url::Url::parse(url).is_ok_and(|url| match url.scheme() {
                "https" => url.has_host(),
                "http" => matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")),
                _ => false,
            })
        };
        let database = |url: &str| {
            ["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme))
        };
        [
            (
                self.public_url.as_deref().is_some_and(|url| !web(url)),
                "this is no public address; write `https://` and the host's name, without a path or a slash at the end",
            ),
            (
                self.database_url.as_deref().is_some_and(|url| !database(url)),
                "this is no database we know; write `postgres://user@host/name`, or `sqlite:` and a file's path",
            ),
            (self.data_dir.as_os_str().is_empty(), "an empty path; name a folder"),
            (self.exercises_dir.as_os_str().is_empty(), "an empty path; name a folder"),
            (sessions.lifetime < second * 60, "nobody could work with less than a minute; write at least `1m`"),
            (
                openid.issuer.as_deref().is_some_and(|issuer| !provider(issuer)),
                "this is no provider's address; write it with `https://`, as the provider itself does (`http://` is \
                 for a provider on this very machine)",
            ),
            (openid.name.trim().is_empty(), "an empty name; write what the button says"),
            (openid.groups_claim.trim().is_empty(), "an empty name; write the claim's, such as `groups`"),
            (self.logs_kept < second * 3600, "nobody would be done reading; write at least `1h`"),
            (uploads.archive_bytes == 0, "nothing could be handed in; write a size such as `16MiB`"),
            (uploads.unpacked_bytes == 0, "nothing could be handed in; write a size such as `64MiB`"),
            (uploads.entries == 0, "nothing could be handed in; allow at least one file"),
            (!(1..=1000).contains(&worker.slots), "a worker grades between 1 and 1000 submissions at a time"),
            (
                !(second * 3..=second * 3600).contains(&worker.lease),
                "a lease lasts between `3s` and `1h`: it is renewed at a third of it",
            ),
            (!(1..=1000).contains(&worker.attempts), "between 1 and 1000 attempts can be made"),
            (worker.backoff > second * 3600, "the wait before a second attempt is at most `1h`"),
            (sandbox.runtime.trim().is_empty(), "an empty name; write the runtime's, such as `runc`"),
            (sandbox.allowed_bases.iter().any(|base| base.trim().is_empty()), "an image without a name"),
            (sandbox.max_memory_bytes < 6 << 20, "no container runs with less than `6MiB`"),
            (sandbox.max_cpu_millis < 10, "no container runs with less than 0.01 CPUs"),
            (sandbox.max_pids == 0, "no container runs without a process; allow at least 1"),
            (sandbox.max_disk_bytes < 1 << 20, "no image fits; write a size such as `4GiB`"),
            (sandbox.max_build_time < second, "no build would end; write at least `1s`"),
            (sandbox.max_run_time < second, "nothing could run; write at least `1s`"),
            (sandbox.sweep_every < second, "a sweep takes longer than that; write at least `1s`"),
            (sandbox.warm_pods > 100, "more than 100 pods would be kept for nothing"),
        ]
        .into_iter()
        .filter_map(|(wrong, sentence)| wrong.then_some(sentence))
    }

    /// Every setting with its default and meaning, as a Markdown table for people.
    #[must_use]
    pub fn table() -> String {
        table::markdown()
    }
}

impl Leaf {
    fn tell(&self, place: Place, message: &str) -> String {
        located(&self.origin, place, message)
    }
}

fn located(origin: &str, place: Place, message: &str) -> String {
    if place == Place::default() {
        format!("{origin}: {message}")
    } else {
        format!("{origin}:{}:{}: {message}", place.line, place.column)
    }
}

/// The values of a file, one by one.
fn leaves_of(origin: &str, node: &Node) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    for (name, entry) in node.map().into_iter().flatten() {
        let leaf = |section, key: &String, entry: &Entry| Leaf {
            origin: origin.to_owned(),
            section,
            key: key.clone(),
            entry: entry.clone(),
        };
        match entry.node.map() {
            Some(section) if !section.is_empty() => leaves
                .extend(section.iter().map(|(key, inner)| leaf(Some((name.clone(), entry.key)), key, inner))),
            _ => leaves.push(leaf(None, name, entry)),
        }
    }
    leaves
}

/// The value of a variable; `None` where the variable is none of ours.
fn leaf_of(name: &str, value: &str) -> Result<Option<Leaf>, String> {
    let rows = table::rows();
    let Some(row) = rows.iter().find(|row| row.variable == name) else {
        if OTHER_VARIABLES.contains(&name) || name.starts_with("DRYDOCK_TEST_") {
            return Ok(None);
        }
        // Other programs have variables of that beginning too (Kubernetes sets some for a service of our
        // name); what looks like a setting of ours is not passed over.
        let short = |name: &str| name.strip_prefix("DRYDOCK_").unwrap_or(name).to_owned();
        let known: Vec<String> = rows.iter().map(|row| short(&row.variable)).collect();
        if let Some(meant) = likely(&short(name), known.iter().map(String::as_str)) {
            return Err(format!("there is no such setting; was `DRYDOCK_{meant}` meant?"));
        }
        let of_its_section = rows.iter().filter(|row| {
            row.section
                .as_ref()
                .is_some_and(|section| short(name).starts_with(&format!("{}_", section.to_uppercase())))
        });
        let near: Vec<&str> = of_its_section.map(|row| row.variable.as_str()).collect();
        return if near.is_empty() { Ok(None) } else { Err(unknown("setting", name, near.iter().copied())) };
    };
    let place = Place::default();
    let value = match row.form {
        table::Form::Plain => crate::yaml::plain(value),
        table::Form::Text => Value::Text(value.to_owned()),
        table::Form::List => {
            let items =
                value.split(',').map(|item| Node { place, value: Value::Text(item.trim().to_owned()) });
            Value::List(items.collect())
        }
    };
    Ok(Some(Leaf {
        origin: name.to_owned(),
        section: row.section.clone().map(|section| (section, place)),
        key: row.key.clone(),
        entry: Entry { key: place, node: Node { place, value } },
    }))
}

/// A document of these values; of two for the same setting, the later counts.
fn tree(leaves: &[Leaf]) -> Node {
    let place = Place::default();
    let mut top: IndexMap<String, Entry> = IndexMap::new();
    for leaf in leaves {
        let map = match &leaf.section {
            None => &mut top,
            Some((section, key)) => {
                let empty = || Node { place, value: Value::Map(IndexMap::new()) };
                let section =
                    top.entry(section.clone()).or_insert_with(|| Entry { key: *key, node: empty() });
                if section.node.map().is_none() {
                    section.node = empty();
                }
                let Value::Map(map) = &mut section.node.value else { continue };
                map
            }
        };
        map.insert(leaf.key.clone(), leaf.entry.clone());
    }
    Node { place, value: Value::Map(top) }
}

#[cfg(test)]
mod tests;
