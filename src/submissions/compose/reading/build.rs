//! `build`.

use indexmap::IndexMap;

use super::super::files::is_remote;
use super::super::finding::{Kind, quoted};
use super::super::model::{Build, BuildContext};
use super::service::executes;
use super::{Reader, View, pairs, shown_path, text, texts};

/// Keys that would take the build out of its bounds, or its results out of the machine.
const REFUSED: &[(&str, &str)] = &[
    ("privileged", "a privileged build can do everything that the machine can; leave it out"),
    ("entitlements", "builds here get no rights over the machine; leave it out"),
    (
        "ssh",
        "there are no keys here that a build could use; leave it out, and copy what it needs into the submission",
    ),
    ("cache_to", "a build here does not write its cache anywhere; leave it out"),
];

/// Keys that are read, and without effect here.
const IGNORED: &[(&str, &str)] = &[
    ("cache_from", "it has no effect here; the cache is this server's own"),
    ("isolation", "it has no effect on Linux"),
    ("no_cache_filter", "it has no effect here; `no_cache` leaves the whole cache out"),
    ("tags", "it has no effect here; the image is named by this server"),
    ("extra_hosts", "it has no effect here; what a build may reach is the exercise's matter"),
    ("no_cache", "it has no effect here; a step is run again when something in it has changed"),
    ("pull", "it has no effect here; an image is fetched when it is missing"),
    ("shm_size", "it has no effect here; limits of builds are the exercise's matter"),
    ("ulimits", "it has no effect here; limits of builds are the exercise's matter"),
    ("provenance", "it has no effect here; no attestations are made"),
    ("sbom", "it has no effect here; no attestations are made"),
];

impl Reader<'_, '_> {
    pub(super) fn build(&mut self, build: &View<'_>) -> Build {
        for (key, why) in REFUSED {
            if let Some(view) = build.get(key)
                && !view.is_off()
            {
                self.refuse(&view, key, *why);
            }
        }
        for (key, why) in IGNORED {
            if let Some(view) = build.get(key)
                && !view.is_off()
            {
                self.ignore(&view, key, *why);
            }
        }
        self.build_network(build);
        let dockerfile_inline = text(build, "dockerfile_inline");
        let dockerfile = text(build, "dockerfile");
        if let (Some(_), Some(_), Some(view)) =
            (&dockerfile, &dockerfile_inline, build.get("dockerfile_inline"))
        {
            let message = "`dockerfile` and `dockerfile_inline` exclude each other; keep one of them";
            self.mistake(&view, "both", message);
        }
        let context = match build.get("context") {
            Some(view) => self.context(&view).unwrap_or_default(),
            None => String::new(),
        };
        let dockerfile = match (dockerfile, &dockerfile_inline) {
            (None, Some(_)) => None,
            (written, _) => {
                let written = written.unwrap_or_else(|| "Dockerfile".to_owned());
                if let Err(message) = self.files.locate(&context, &written) {
                    let at = build
                        .get("dockerfile")
                        .map_or_else(|| build.item.at.clone(), |view| view.item.at.clone());
                    self.findings.add(Kind::Confined, "outside", &at, &build.path.key("dockerfile"), message);
                }
                Some(written)
            }
        };
        Build {
            origin: build.key.clone(),
            context: shown_path(context),
            dockerfile,
            dockerfile_inline,
            target: text(build, "target"),
            args: self.arguments(build),
            labels: self.labels(build),
            secrets: self.file_mounts(build, "secrets", ""),
            additional_contexts: self.additional_contexts(build),
            extra_hosts: self.extra_hosts(build),
            shm_size_bytes: self.size(build, "shm_size"),
            platforms: self.platforms(build),
            no_cache: self.boolean(build, "no_cache").unwrap_or_default(),
            pull: self.boolean(build, "pull").unwrap_or_default(),
        }
    }

    /// An argument without a value is one of the `.env` files, or none at all.
    fn arguments(&self, build: &View<'_>) -> IndexMap<String, String> {
        let value =
            |name: &String, value: Option<String>| value.or_else(|| self.environment.get(name).cloned());
        pairs(build, "args")
            .into_iter()
            .filter_map(|(name, given)| Some((name.clone(), value(&name, given)?)))
            .collect()
    }

    /// One that the machine executes has to be among them.
    fn platforms(&mut self, build: &View<'_>) -> Vec<String> {
        let platforms = texts(build, "platforms");
        if let Some(machine) = self.options.platform.clone()
            && !platforms.is_empty()
            && !platforms.iter().any(|platform| executes(&machine, platform))
            && let Some(view) = build.get("platforms")
        {
            let message = format!(
                "the machine here executes {}, which is not among them; add it, or leave `platforms` out",
                quoted(&machine)
            );
            self.refuse(&view, "platform", message);
        }
        platforms
    }

    fn build_network(&mut self, build: &View<'_>) {
        let Some(view) = build.get("network") else { return };
        match view.text().unwrap_or_default() {
            "" | "none" => {}
            "host" => self.refuse(
                &view,
                "build-network",
                "it would give the build the network of the machine; leave it out",
            ),
            name if name.starts_with("container:") => self.refuse(
                &view,
                "build-network",
                "it would give the build the network of a container that is not part of this project; leave it out",
            ),
            _ => self.ignore(
                &view,
                "build-network",
                "it has no effect here; whether a build reaches the network is the exercise's matter",
            ),
        }
    }

    /// A folder of the submission.
    fn context(&mut self, view: &View<'_>) -> Option<String> {
        let written = view.text().unwrap_or_default();
        if is_remote(written) {
            let message = format!(
                "{} would be fetched from the network; put the files into the submission and name their folder",
                quoted(written)
            );
            self.refuse(view, "remote-context", message);
            return None;
        }
        if written.is_empty() {
            self.refuse(
                view,
                "no-context",
                "the folder of the build is not named; write `.` for that of the file",
            );
            return None;
        }
        if written.starts_with("service:") {
            let message = "a build cannot have a service's image as its context; use `additional_contexts`";
            self.refuse(view, "remote-context", message);
            return None;
        }
        self.path(view)
    }

    fn additional_contexts(&mut self, build: &View<'_>) -> IndexMap<String, BuildContext> {
        let mut contexts = IndexMap::new();
        let Some(view) = build.get("additional_contexts") else { return contexts };
        if !view.is_off() {
            // The engine's own route for builds has no place for them: `docker buildx` brings them itself.
            let message = "a build here has one context; copy the files into it, and begin with `FROM` the image that \
                           is meant (a stage of the same Dockerfile, where it is one of another service)";
            self.refuse(&view, "additional-contexts", message);
        }
        for (name, entry) in view.fields() {
            let written = entry.text().unwrap_or_default();
            let context = if let Some(image) = written.strip_prefix("docker-image://") {
                Some(BuildContext::Image(image.to_owned()))
            } else if let Some(service) = written.strip_prefix("service:") {
                Some(BuildContext::Service(service.to_owned()))
            } else {
                self.context(&entry).map(|path| BuildContext::Folder(shown_path(path)))
            };
            if let Some(context) = context {
                contexts.insert(name.to_owned(), context);
            }
        }
        contexts
    }
}
