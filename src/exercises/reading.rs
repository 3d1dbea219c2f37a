//! From a folder to an [`Exercise`], or to every mistake in it.
//!
//! Types show most mistakes; this file has what they cannot: what is missing, what does not fit
//! together, what could never work. A mistake in one key never hides those in another.

use std::path::Path;
use std::time::Duration;

use super::definition::{
    BuildDefinition, BuildNetwork, Capability, ComposeDefinition, Definition, LimitsDefinition,
};
use super::exercise::{Build, CheckSpec, ComposeRun, Exercise, SubmitKind};
use super::mistake::{Mistake, Mistakes};
use crate::checks::{Surroundings, Tested};
use crate::sandbox::Limits;
use crate::submissions::{Content, ContentLimits, Entry, Refusal};
use crate::text::visible;
use crate::tree::{Node, Place, Value, unknown};
use crate::units::{ByteSize, Span};

mod checks;
mod depends_on;
mod mounts;
mod proof;
mod stack;

/// What an exercise folder may hold. Exercises are the trainers' own, so this is only to notice a
/// folder that is none.
pub const FOLDER_LIMITS: ContentLimits =
    ContentLimits { archive_bytes: u64::MAX, unpacked_bytes: 64 << 20, entries: 10_000 };

pub(super) fn read_folder(folder: &Path) -> Result<Exercise, Vec<Mistake>> {
    let shown = folder.display().to_string();
    let shown = shown.trim_end_matches('/');
    let alone = |message: String| {
        let mut mistakes = Mistakes::of(shown);
        mistakes.at(Place::default(), message);
        Err(mistakes.sorted().0)
    };
    // `.` has a name only once it is resolved.
    let resolved = match folder.canonicalize() {
        Ok(resolved) if resolved.is_dir() => resolved,
        Ok(_) => return alone("this is not a folder; an exercise is a folder with an exercise.yaml".into()),
        Err(error) => return alone(format!("the exercise's folder cannot be opened: {error}")),
    };
    let Some(slug) = resolved.file_name().and_then(|name| name.to_str()) else {
        return alone("the folder's name is not UTF-8, so it is no name for an exercise".into());
    };
    match Content::from_folder(&resolved, &FOLDER_LIMITS) {
        Ok(content) => read_content(slug, &content, shown),
        Err(Refusal::Empty(_)) => read_content(slug, &Content::empty(), shown),
        Err(refusal) => alone(refusal.to_string()),
    }
}

/// `shown` is how mistakes name the folder.
pub(super) fn read_content(slug: &str, folder: &Content, shown: &str) -> Result<Exercise, Vec<Mistake>> {
    let file = format!("{shown}/exercise.yaml");
    let mut mistakes = Mistakes::of(&file);
    if let Err(message) = check_slug(slug) {
        mistakes.elsewhere(shown.to_owned(), message);
    }
    let statement = statement(folder, shown, &mut mistakes);
    let node = match folder.file("exercise.yaml").map(|bytes| crate::yaml::parse(bytes)) {
        None => {
            mistakes.elsewhere(file, "the file is missing; it says what is handed in, built and checked");
            None
        }
        Some(Err(error)) => {
            mistakes.error(error);
            None
        }
        Some(Ok(node)) => Some(node),
    };
    let Some(node) = node else { return Err(mistakes.sorted().0) };
    let variables = variables(&node);
    let mut reader = Reader { folder, shown, node, variables, mistakes };
    let exercise = reader.exercise(slug, statement);
    let (errors, warnings) = reader.mistakes.sorted();
    if errors.is_empty() { Ok(Exercise { warnings, ..exercise }) } else { Err(errors) }
}

/// What may name an exercise (and is the name of its folder).
///
/// # Errors
/// A sentence for the author.
pub fn check_slug(slug: &str) -> Result<(), String> {
    let words = slug
        .split('-')
        .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
    if words && slug.len() <= 64 {
        return Ok(());
    }
    Err(format!(
        "`{}` is no name for an exercise; use lower-case letters and digits, in words joined by dashes, at most \
         64 characters, such as `ports-and-env`",
        visible(slug)
    ))
}

fn statement(folder: &Content, shown: &str, mistakes: &mut Mistakes) -> String {
    let file = format!("{shown}/README.md");
    match folder.file("README.md").map(|bytes| std::str::from_utf8(bytes)) {
        Some(Ok(text)) if !text.trim().is_empty() => return text.to_owned(),
        Some(Ok(_)) => mistakes.elsewhere(file, "the file is empty; it is the statement that students read"),
        Some(Err(error)) => mistakes.elsewhere(
            file,
            format!("the file is not UTF-8 (from byte {} on); save it as UTF-8", error.valid_up_to()),
        ),
        None => mistakes.elsewhere(file, "the file is missing; it is the statement that students read"),
    }
    String::new()
}

struct Reader<'a> {
    folder: &'a Content,
    shown: &'a str,
    node: Node,
    /// What `${…}` may name.
    variables: Vec<String>,
    mistakes: Mistakes,
}

impl Reader<'_> {
    /// Where the last of these keys stands, or the nearest one around it that is there.
    fn place(&self, path: &[&str]) -> Place {
        let mut node = &self.node;
        let mut place = node.place;
        for key in path {
            let Some(entry) = node.map().and_then(|map| map.get(*key)) else { break };
            place = entry.key;
            node = &entry.node;
        }
        place
    }

    /// A mistake about the value of a key.
    fn wrong(&mut self, path: &[&str], message: impl Into<String>) {
        let place = self.place(path);
        self.mistakes.at(place, message);
    }

    fn is_folder(&self, path: &str) -> bool {
        self.folder.get(path) == Some(&Entry::Directory)
    }

    fn exercise(&mut self, slug: &str, statement: String) -> Exercise {
        self.not_yet();
        let (definition, errors) = self.node.read_partly::<Definition>();
        self.mistakes.errors(errors);
        let title = self.title(definition.title);
        let minutes = definition.minutes.unwrap_or(15);
        if !(1..=600).contains(&minutes) {
            self.wrong(&["minutes"], "`minutes` is between 1 and 600");
        }
        // A key that is there and could not be read says at least that there is a build, a stack.
        let unread =
            |key: &str, read: bool| !read && self.node.get(key).is_some_and(|n| n.value != Value::Null);
        let unread_build = unread("build", definition.build.is_some());
        let unread_around = unread_build
            || unread("stack", definition.stack.is_some())
            || unread("compose", definition.compose.is_some())
            || unread("submit", definition.submit.is_some());
        let submit = self.submit(definition.submit);
        let build = definition.build.or(unread_build.then(BuildDefinition::default));
        let build = build.map(|build| self.build(build));
        let limits = self.limits(&definition.limits);
        let composed = definition.compose.is_some();
        let tested = if composed {
            Tested::Composed
        } else if build.is_some() {
            Tested::Built
        } else if submit.iter().any(|kind| kind.is_image()) {
            Tested::HandedIn
        } else {
            Tested::Nothing
        };
        let stack = definition.stack.map(|stack| self.stack(stack, tested, &limits));
        let compose = definition.compose.map(|compose| self.compose(compose));
        let takes_files = submit.iter().any(|kind| kind.is_files());
        self.mounted_folders(stack.as_ref(), takes_files);

        let path = build.as_ref().map(Build::path);
        let around = Surroundings {
            dockerfile: path.as_deref(),
            services: stack.iter().flat_map(|stack| stack.services.keys()).map(String::as_str).collect(),
            stack: stack.as_ref(),
            composed: compose.is_some(),
            tested,
            takes_files: takes_files || submit.contains(&SubmitKind::Archive),
            takes_answers: submit.contains(&SubmitKind::Answers),
            run_time: limits.run_time,
        };
        if definition.hint_cost > 100 {
            self.wrong(&["hint_cost"], "`hint_cost` is at most 100; it is taken off the check's own points");
        }
        let checks = self.checks((!unread_around).then_some(&around));
        self.sense(&submit, build.is_some(), compose.is_some(), &checks);
        self.solution(path.as_deref(), around.takes_answers, &checks);
        let mutants = self.mutants(definition.mutants, around.takes_answers, &checks);
        Exercise {
            slug: slug.to_owned(),
            version: self.folder.sha256().to_owned(),
            title,
            summary: definition.summary.trim().to_owned(),
            minutes,
            objectives: definition.objectives,
            submit,
            build,
            stack,
            compose,
            limits,
            hint_cost: definition.hint_cost,
            checks,
            mutants,
            statement,
            folder: self.folder.clone(),
            warnings: Vec::new(),
        }
    }

    /// Keys of the format that this version cannot serve: better said than called unknown.
    fn not_yet(&mut self) {
        let Value::Map(map) = &mut self.node.value else { return };
        if let Some(entry) = map.shift_remove("command") {
            self.mistakes.at(entry.key, "`command` is not supported yet; take files and build an image");
        }
    }

    fn title(&mut self, title: Option<String>) -> String {
        let title = title.unwrap_or_default().trim().to_owned();
        if title.is_empty() && self.node.get("title").is_none_or(|node| matches!(node.value, Value::Null)) {
            self.wrong(&["title"], "`title` is missing; it names the exercise for people");
        } else if title.is_empty()
            && matches!(self.node.get("title"), Some(Node { value: Value::Text(_), .. }))
        {
            self.wrong(&["title"], "`title` is empty; it names the exercise for people");
        } else if title.chars().count() > 120 {
            self.wrong(&["title"], "`title` is longer than 120 characters");
        }
        title
    }

    fn submit(&mut self, submit: Option<Vec<SubmitKind>>) -> Vec<SubmitKind> {
        let Some(submit) = submit else {
            if self.node.get("submit").is_none_or(|node| node.value == Value::Null) {
                self.wrong(
                    &["submit"],
                    "`submit` is missing; it lists what can be handed in: `upload`, `repository`, `image`, `archive`, `answers`",
                );
            }
            return Vec::new();
        };
        if submit.is_empty() {
            self.wrong(
                &["submit"],
                "`submit` is empty, so nothing could be handed in; add `upload`, `repository`, `image`, `archive` or `answers`",
            );
        }
        let places: Vec<Place> = self
            .node
            .get("submit")
            .and_then(Node::list)
            .into_iter()
            .flatten()
            .map(|node| node.place)
            .collect();
        for (index, kind) in submit.iter().enumerate() {
            let place = places.get(index).copied().unwrap_or_default();
            if submit[..index].contains(kind) {
                self.mistakes.at(place, "this way to hand in is there twice");
            }
            if *kind == SubmitKind::Command {
                self.mistakes.at(
                    place,
                    "`command` is not supported yet; `upload`, `repository`, `image`, `archive` and `answers` can \
                     be handed in",
                );
            }
        }
        submit
    }

    fn build(&mut self, build: BuildDefinition) -> Build {
        let context =
            relative(&build.context).filter(|path| !path.is_empty() || build.context.starts_with('.'));
        let context = match context {
            Some(path) if path.is_empty() => ".".to_owned(),
            Some(path) => path,
            None => {
                self.wrong(
                    &["build", "context"],
                    "`build.context` is a folder of the submission, such as `.` or `app`, without `..`",
                );
                ".".to_owned()
            }
        };
        let dockerfile = relative(&build.dockerfile).filter(|path| !path.is_empty()).unwrap_or_else(|| {
            self.wrong(
                &["build", "dockerfile"],
                "`build.dockerfile` is a path in the build context, such as `Dockerfile`, without `..`",
            );
            "Dockerfile".to_owned()
        });
        if build.target.as_deref() == Some("") {
            self.wrong(&["build", "target"], "`build.target` is empty; leave it out to build the last stage");
        }
        for name in build.args.keys() {
            if !is_variable_name(name) {
                self.wrong(
                    &["build", "args", name],
                    format!(
                        "`{}` is no name for a build argument; use letters, digits and `_`",
                        visible(name)
                    ),
                );
            }
        }
        self.variables(&["build", "args"]);
        for id in build.secrets.keys() {
            if !is_secret_id(id) {
                self.wrong(
                    &["build", "secrets", id],
                    format!(
                        "`{}` is no id for a secret; use lower-case letters, digits and `_`",
                        visible(id)
                    ),
                );
            }
        }
        let internet = build.network == BuildNetwork::Internet;
        let secrets = build.secrets.into_keys().collect();
        Build { context, dockerfile, target: build.target, args: build.args, internet, secrets }
    }

    fn compose(&mut self, compose: ComposeDefinition) -> ComposeRun {
        if self.node.get("build").is_some() {
            let instead = "which services are built, the compose file says";
            self.wrong(&["build"], format!("`build` cannot stand beside `compose`; {instead}"));
        }
        let file = compose.file.map(|file| {
            relative(&file).filter(|path| !path.is_empty()).unwrap_or_else(|| {
                let what = "`compose.file` is a path in the submission, such as `compose.yaml`, without `..`";
                self.wrong(&["compose", "file"], what);
                file
            })
        });
        let within = compose.within.map_or(Duration::from_mins(1), |within| within.0);
        if within.is_zero() || within > Duration::from_hours(1) {
            self.wrong(&["compose", "within"], "`within` can be between 1 ms and 1 h");
        }
        let capabilities =
            compose.capabilities.into_iter().map(Capability::name).map(str::to_owned).collect();
        ComposeRun { file, profiles: compose.profiles, capabilities, within }
    }

    fn limits(&mut self, limits: &LimitsDefinition) -> Limits {
        let default = Exercise::default_limits();
        let mut size = |key: &str, size: Option<ByteSize>, least: u64, most: u64, otherwise: u64| {
            let Some(size) = size else { return otherwise };
            if !(least..=most).contains(&size.0) {
                let bounds = format!("between {} and {}", ByteSize(least), ByteSize(most));
                self.wrong(&["limits", key], format!("`limits.{key}` is {size}; it can be {bounds}"));
            }
            size.0
        };
        let memory_bytes = size("memory", limits.memory, 6 << 20, 64 << 30, default.memory_bytes);
        let disk_bytes = size("disk", limits.disk, 1 << 20, 1 << 40, default.disk_bytes);
        let log_bytes = size("log", limits.log, 1 << 10, 64 << 20, default.log_bytes);
        let mut time = |key: &str, time: Option<Span>, otherwise| {
            let Some(time) = time else { return otherwise };
            if !(Span::from_secs(1)..=Span::from_secs(3600)).contains(&time) {
                self.wrong(
                    &["limits", key],
                    format!("`limits.{key}` is {time}; it can be between 1 s and 1 h"),
                );
            }
            time.0
        };
        let build_time = time("build_time", limits.build_time, default.build_time);
        let run_time = time("run_time", limits.run_time, default.run_time);
        let cpus = limits.cpus.unwrap_or(f64::from(default.cpu_millis) / 1000.0);
        if !(0.01..=64.0).contains(&cpus) {
            self.wrong(
                &["limits", "cpus"],
                format!("`limits.cpus` is {cpus}; it can be between 0.01 and 64"),
            );
        }
        let pids = limits.pids.unwrap_or(default.pids);
        if !(1..=32_768).contains(&pids) {
            self.wrong(
                &["limits", "pids"],
                format!("`limits.pids` is {pids}; it can be between 1 and 32768"),
            );
        }
        let cpu_millis = cpu_millis(cpus);
        Limits { memory_bytes, cpu_millis, pids, disk_bytes, build_time, run_time, log_bytes }
    }

    /// `${name}` in texts below these keys must be one of the variables that there are. Names in upper
    /// case are left to shells.
    fn variables(&mut self, path: &[&str]) {
        let mut node = Some(&self.node);
        for key in path {
            node = node.and_then(|node| node.get(key));
        }
        let mut texts = Vec::new();
        if let Some(node) = node {
            node.texts(&mut texts);
        }
        let texts: Vec<(String, Place)> =
            texts.into_iter().map(|(text, place)| (text.to_owned(), place)).collect();
        for (text, place) in &texts {
            self.variables_in(text, *place);
        }
    }

    fn variables_in(&mut self, text: &str, place: Place) {
        for (at, _) in text.match_indices("${") {
            let Some((name, _)) = text[at + 2..].split_once('}') else { continue };
            let ours = is_secret_id(name.strip_prefix("secret.").unwrap_or(name));
            if ours && !self.variables.iter().any(|known| known == name) {
                let message = unknown("variable", name, self.variables.iter().map(String::as_str));
                self.mistakes.at(place, message.replace(&format!("`{name}`"), &format!("`${{{name}}}`")));
            }
        }
    }

    /// Whether ways to hand in, build and checks fit together.
    fn sense(&mut self, submit: &[SubmitKind], builds: bool, composed: bool, checks: &[CheckSpec]) {
        if submit.is_empty() || checks.is_empty() {
            return;
        }
        let takes = |kind| submit.contains(&kind);
        let asks = checks.iter().any(|check| check.kind.question().is_some());
        let looks = checks.iter().any(|check| check.kind.question().is_none());
        let files = submit.iter().find(|kind| kind.is_files());
        let image = submit.iter().find(|kind| kind.is_image());
        if let Some(image) = image {
            let name = image.name();
            if builds || composed {
                let other = if builds { "build" } else { "compose" };
                self.wrong(
                    &["submit"],
                    format!("`{name}` hands in a finished image, and `{other}` wants files to make it of; take one out"),
                );
            } else if let Some(files) = files {
                let files = files.name();
                self.wrong(
                    &["submit"],
                    format!(
                        "an exercise takes files (`{files}`) or a finished image (`{name}`); take one out"
                    ),
                );
            }
        } else if (builds || composed) && files.is_none() {
            let what = if builds { "an image is built from" } else { "a compose file is among" };
            self.wrong(&["submit"], format!("{what} files, and `submit` takes none; add `upload`"));
        }
        if let Some(kind) = files.or(image)
            && !builds
            && !looks
        {
            let (name, what) = (kind.name(), if files.is_some() { "files" } else { "an image" });
            self.wrong(
                &["submit"],
                format!("`{name}` takes {what} that nothing looks at; add a check of it"),
            );
        }
        if takes(SubmitKind::Answers) && !asks {
            self.wrong(
                &["submit"],
                "`answers` are taken and no check asks anything; add a `choice`, `short` or `essay` check",
            );
        }
    }
}

/// CPUs in thousandths; what is out of bounds is told as a mistake, and casting saturates.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 10 and 64,000, or else a mistake that is told; casting saturates"
)]
fn cpu_millis(cpus: f64) -> u32 {
    (cpus * 1000.0).round() as u32
}

/// A path below a folder with `./` and slashes at the end taken off; `None` where it leads out.
fn relative(path: &str) -> Option<String> {
    if path.starts_with('/') || path.contains(['\\', '\0']) {
        return None;
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    (!parts.contains(&"..")).then(|| parts.join("/"))
}

/// What texts of this definition can name with `${…}`.
fn variables(node: &Node) -> Vec<String> {
    let secrets = node.get("build").and_then(|build| build.get("secrets")).and_then(Node::map);
    let secrets = secrets.into_iter().flat_map(|secrets| secrets.keys()).map(|id| super::secret_variable(id));
    super::VARIABLES.iter().map(|name| (*name).to_owned()).chain(secrets).collect()
}

fn is_secret_id(id: &str) -> bool {
    id.starts_with(|c: char| c.is_ascii_lowercase())
        && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn is_variable_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
