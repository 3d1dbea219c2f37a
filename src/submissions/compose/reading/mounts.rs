//! What is mounted: `volumes`, `tmpfs`, `configs` and `secrets`, of services and of the project.

use indexmap::IndexMap;

use super::super::files::PathKind;
use super::super::finding::{Kind, quoted};
use super::super::item::{Item, Value};
use super::super::model::{Bind, FileMount, FileSource, Mount, MountKind, SharedFile, Tmpfs, Volume};
use super::super::scalars::{self, boolean};
use super::super::short::clean_target;
use super::{Reader, View, shown_path, text};

/// Sockets through which an engine is controlled.
const SOCKETS: &[&str] = &["docker.sock", "containerd.sock", "podman.sock", "crio.sock", "buildkitd.sock"];

const EXTERNAL: &str = "it would be one that exists before this project and belongs to somebody else; leave `external` \
                        out, and the stack gets one of its own";

/// A volume of the project.
pub(in super::super) fn read_volume(reader: &mut Reader<'_, '_>, volume: &View<'_>) -> Volume {
    if let Some(view) = volume.get("external")
        && reader.external(&view)
    {
        reader.refuse(&view, "external", EXTERNAL);
    }
    if let Some(view) = volume.get("driver")
        && !matches!(view.text(), Some("" | "local"))
    {
        let message = "volumes here are folders of this server's own (`local`); leave `driver` out";
        reader.refuse(&view, "volume-driver", message);
    }
    if let Some(view) = volume.get("driver_opts")
        && !view.is_off()
    {
        reader.refuse(
            &view,
            "driver_opts",
            "with options a volume can be any folder of the machine or of the network; leave `driver_opts` out",
        );
    }
    reader.own_name(volume, "volumes");
    Volume { origin: volume.key.clone(), labels: reader.labels(volume) }
}

/// A config or secret of the project; `None` where nothing of it can be used.
pub(in super::super) fn read_shared_file(
    reader: &mut Reader<'_, '_>,
    section: &str,
    view: &View<'_>,
) -> Option<SharedFile> {
    let sources: &[&str] =
        if section == "configs" { &["file", "content", "environment"] } else { &["file", "environment"] };
    let given: Vec<&str> = sources.iter().copied().filter(|key| view.get(key).is_some()).collect();
    if let Some(external) = view.get("external")
        && reader.external(&external)
    {
        reader.refuse(&external, "external", EXTERNAL);
        return None;
    }
    for key in ["driver", "driver_opts", "template_driver"] {
        if let Some(view) = view.get(key)
            && !view.is_off()
        {
            reader.refuse(&view, "secret-driver", "it works only in a swarm; leave it out and name a `file`");
        }
    }
    reader.own_name(view, section);
    if let Some(view) = view.get("labels")
        && !view.is_off()
    {
        reader.ignore(
            &view,
            "labels",
            "it has no effect here; what is mounted is a file, and files have no labels",
        );
    }
    let source = match given.as_slice() {
        [] => {
            if view.get("driver").is_none() {
                let message = format!(
                    "it says nothing of where its content is; one of {} is needed",
                    super::super::finding::listed(sources.iter().copied())
                );
                reader.mistake(view, "missing-key", message);
            }
            return None;
        }
        ["file"] => FileSource::File(reader.file(&view.get("file")?)?),
        ["content"] => FileSource::Content(view.get("content")?.text()?.to_owned()),
        [_] => {
            let view = view.get("environment")?;
            let message = "its content would come from the environment of the server, which is not the student's; put \
                           it into a file of the submission and name that with `file`";
            reader.refuse(&view, "environment", message);
            return None;
        }
        [one, two, ..] => {
            reader.mistake(view, "both", format!("`{one}` and `{two}` exclude each other; keep one of them"));
            return None;
        }
    };
    Some(SharedFile { origin: view.key.clone(), source })
}

impl Reader<'_, '_> {
    /// Whether something exists outside of the project, in its old form and in the new one.
    pub(super) fn external(&mut self, view: &View<'_>) -> bool {
        if view.item.map().is_some() {
            return true;
        }
        match boolean(view.item) {
            Ok(value) => value,
            Err(message) => {
                self.mistake(view, "wrong-value", message);
                false
            }
        }
    }

    /// `name`: what we make is named by us.
    pub(super) fn own_name(&mut self, view: &View<'_>, what: &str) {
        if let Some(view) = view.get("name")
            && !view.is_off()
        {
            let message = format!(
                "{what} are named by this server, since two students may choose the same name; nothing else changes"
            );
            self.tell(Kind::Rewritten, &view, "name", message);
        }
    }

    pub(super) fn mounts(&mut self, service: &View<'_>) -> Vec<Mount> {
        let Some(view) = service.get("volumes") else { return Vec::new() };
        view.entries().filter_map(|entry| self.mount(&entry)).collect()
    }

    fn mount(&mut self, entry: &View<'_>) -> Option<Mount> {
        let read_only = self.boolean(entry, "read_only").unwrap_or_default();
        let target = self.target(entry)?;
        if let Some(view) = entry.get("consistency") {
            self.ignore(&view, "mount-options", "it has no effect on Linux");
        }
        let kind = match text(entry, "type").as_deref() {
            Some("volume") => self.volume_mount(entry)?,
            Some("bind") => MountKind::Bind(self.bind(entry)?),
            Some("tmpfs") => {
                let tmpfs = entry.get("tmpfs");
                MountKind::Tmpfs(tmpfs.map_or_else(Tmpfs::default, |tmpfs| self.long_tmpfs(&tmpfs)))
            }
            None => return None,
            Some(kind) => {
                let message = format!(
                    "mounts of the type {} do not exist here; there are `volume`, `bind` and `tmpfs`",
                    quoted(kind)
                );
                self.refuse(entry, "mount-type", message);
                return None;
            }
        };
        Some(Mount { origin: entry.key.clone(), kind, target, read_only })
    }

    fn long_tmpfs(&mut self, tmpfs: &View<'_>) -> Tmpfs {
        if let Some(view) = tmpfs.get("size")
            && matches!(view.item.value, Value::Int(size) if size < 0)
        {
            self.mistake(
                &view,
                "wrong-value",
                format!("a size cannot be negative: {}", view.item.described()),
            );
        }
        Tmpfs { size_bytes: self.size(tmpfs, "size"), mode: self.mode(tmpfs) }
    }

    /// Where in the container.
    fn target(&mut self, entry: &View<'_>) -> Option<String> {
        let target = clean_target(&text(entry, "target")?);
        if target == "/" || !target.starts_with('/') {
            let message = format!(
                "{} is no place for a mount: the path in the container begins with `/` and is not `/` itself",
                quoted(&target)
            );
            self.refuse(entry, "mount-target", message);
            return None;
        }
        Some(target)
    }

    fn volume_mount(&mut self, entry: &View<'_>) -> Option<MountKind> {
        let options = entry.get("volume");
        let subpath = options.as_ref().and_then(|view| view.get("subpath"));
        let path = subpath.as_ref().and_then(View::text).map(str::to_owned);
        if let (Some(view), Some(path)) = (&subpath, &path)
            && (path.starts_with('/') || path.split('/').any(|part| part == ".."))
        {
            let message = format!(
                "{} is no folder inside of the volume; write it without `/` in front and `..`",
                quoted(path)
            );
            self.tell(Kind::Confined, view, "outside", message);
            return None;
        }
        let nocopy = options.is_some_and(|view| self.boolean(&view, "nocopy").unwrap_or_default());
        Some(MountKind::Volume { source: text(entry, "source"), subpath: path, nocopy })
    }

    /// A folder or file of the submission, with the engine's sockets told by their name.
    fn bind(&mut self, entry: &View<'_>) -> Option<Bind> {
        let Some(source) = entry.get("source") else {
            self.mistake(entry, "missing-key", "the mount has no `source`, the path in the submission");
            return None;
        };
        let written = source.text().unwrap_or_default();
        if SOCKETS.iter().any(|socket| written.ends_with(socket)) {
            let message = format!(
                "{} is the engine's own control socket: who has it controls the machine, so no container here gets it; \
                 leave it out",
                quoted(written)
            );
            self.refuse(&source, "engine-socket", message);
            return None;
        }
        let path = self.path(&source)?;
        let options = entry.get("bind");
        let create =
            options.as_ref().is_some_and(|view| self.boolean(view, "create_host_path").unwrap_or_default());
        for key in ["propagation", "selinux", "recursive"] {
            if let Some(view) = options.as_ref().and_then(|view| view.get(key)) {
                self.ignore(
                    &view,
                    "mount-options",
                    "it has no effect here; what is mounted is a copy of its own",
                );
            }
        }
        let found = self.files.kind(&path);
        if found == PathKind::Missing {
            let what = format!("there is no file or folder {} in the submission", quoted(&path));
            if create {
                let message = format!("{what}, so an empty folder is mounted, as docker makes one");
                self.findings.add(Kind::Note, "missing-file", &source.item.at, &source.path, message);
            } else {
                self.refuse(&source, "missing-file", format!("{what}; add it, or correct the path"));
            }
        }
        Some(Bind { source: shown_path(path), found })
    }

    /// `tmpfs`: paths, perhaps with options after a colon.
    pub(super) fn tmpfs(&mut self, service: &View<'_>) -> IndexMap<String, Tmpfs> {
        let mut out = IndexMap::new();
        let Some(view) = service.get("tmpfs") else { return out };
        let entries: Vec<View<'_>> =
            if view.text().is_some() { vec![view.clone()] } else { view.entries().collect() };
        for entry in entries {
            let written = entry.text().unwrap_or_default();
            let (target, options) = written.split_once(':').unwrap_or((written, ""));
            let target = clean_target(target);
            if target == "/" || !target.starts_with('/') {
                let message = format!("{} is no path in the container; it begins with `/`", quoted(written));
                self.refuse(&entry, "mount-target", message);
                continue;
            }
            let mut tmpfs = Tmpfs::default();
            for option in options.split(',').filter(|option| !option.is_empty()) {
                let read = match option.split_once('=') {
                    Some(("size", size)) => scalars::bytes(size).map(|size| tmpfs.size_bytes = Some(size)),
                    Some(("mode", mode)) => {
                        u32::from_str_radix(mode, 8).map(|mode| tmpfs.mode = Some(mode)).map_err(|_| {
                            format!("{} is no mode; write it in octal, such as `1777`", quoted(mode))
                        })
                    }
                    None if matches!(option, "rw" | "noexec" | "nosuid" | "nodev") => Ok(()),
                    _ => {
                        let message = format!(
                            "the option {} has no effect here; `size` and `mode` have",
                            quoted(option)
                        );
                        self.ignore(&entry, "mount-options", message);
                        Ok(())
                    }
                };
                if let Err(message) = read {
                    self.refuse(&entry, "wrong-value", message);
                }
            }
            out.insert(target, tmpfs);
        }
        out
    }

    /// Configs or secrets of a service. `folder` is where those lie whose target is no absolute path; for
    /// builds, where the target is an id, it is empty.
    pub(super) fn file_mounts(&mut self, service: &View<'_>, key: &str, folder: &str) -> Vec<FileMount> {
        let Some(view) = service.get(key) else { return Vec::new() };
        let mut mounts = Vec::new();
        for entry in view.entries() {
            let Some(source) = text(&entry, "source") else {
                self.mistake(
                    &entry,
                    "missing-key",
                    "the key `source` is missing: the name under which it is declared",
                );
                continue;
            };
            let target = text(&entry, "target").unwrap_or_else(|| source.clone());
            let target = if target.starts_with('/') || folder.is_empty() {
                target
            } else {
                format!("{folder}{target}")
            };
            let target = if folder.is_empty() { target } else { clean_target(&target) };
            let mode = self.mode(&entry);
            for key in ["uid", "gid"] {
                if let Some(view) = entry.get(key)
                    && view.text().is_none_or(|id| id.parse::<u32>().is_err())
                {
                    self.refuse(&view, "wrong-value", "a file's owner is a number here, such as \"1000\"");
                }
            }
            let (uid, gid) = (text(&entry, "uid"), text(&entry, "gid"));
            mounts.push(FileMount { origin: entry.key.clone(), source, target, uid, gid, mode });
        }
        mounts
    }

    /// Permissions: a number (`0440` is octal in YAML as docker reads it), or a text in octal.
    fn mode(&mut self, view: &View<'_>) -> Option<u32> {
        self.value(view, "mode", |item: &Item| {
            let mode = match &item.value {
                Value::Text(text) => {
                    u32::from_str_radix(text.strip_prefix("0o").unwrap_or(text), 8).ok().map(i64::from)
                }
                _ => Some(scalars::whole(item)?),
            };
            mode.and_then(|mode| u32::try_from(mode).ok()).filter(|mode| *mode <= 0o7777).ok_or_else(|| {
                format!("{} is no file mode; write it in octal, such as `0440`", item.described())
            })
        })
    }
}
