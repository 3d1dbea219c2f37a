//! `image_file`: what is at a path of the built image, without running it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::file::EntryKind;
use super::matcher::{Mode, Size, Text, fill, shown};
use super::shell::line;
use super::tally::Tally;
use super::{Check, Detail, Fault, Finding, Manual, Scene, Surroundings};
use crate::report::Phase;
use crate::sandbox::{FileKind, Image};

mod access;

use self::access::{KindName as _, Names};

/// A path exists in the image's file system, or does not, and what is there.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageFile {
    /// Absolute path in the image.
    pub path: String,
    /// `true`: nothing is there.
    #[serde(default)]
    pub absent: bool,
    /// What is there.
    pub kind: Option<EntryKind>,
    /// The file's content, links followed.
    pub content: Option<Text>,
    /// Permission bits.
    pub mode: Option<Mode>,
    /// The owner: a user name of the image's `/etc/passwd`, or an id.
    pub owner: Option<Text>,
    /// The group: a name of the image's `/etc/group`, or an id.
    pub group: Option<Text>,
    /// Where a symbolic link points to, as it is written.
    pub link_target: Option<Text>,
    /// Who can execute it, links followed.
    pub executable_by: Option<Who>,
    /// Who cannot execute it.
    pub not_executable_by: Option<Who>,
    /// The file's size.
    pub size: Option<Size>,
}

/// A user of the image: `everyone`, `image_user` (the one it runs as), a name or an id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Who(pub super::matcher::Literal);

impl Check for ImageFile {
    const NAME: &'static str = "image_file";
    const PHASE: Phase = Phase::Image;
    const MANUAL: Manual = Manual {
        examples: include_str!("image_file.yaml"),
        evidence: &[
            ("Listing", "owner, group, mode, size and link target, as `ls -l` has them"),
            ("Nearest folder that is there", "what is in it, where the path does not exist"),
            ("Content", "the file's, where content is asked"),
        ],
        fails: &[
            "nothing is at the path of the image, or something is and should not",
            "kind, owner, mode, size or link target is not as asked",
            "a user can execute it who should not, or cannot who should",
            "the content does not fit",
        ],
    };

    fn mistakes(&self, around: &Surroundings<'_>) -> Vec<String> {
        let mut mistakes = Vec::new();
        around.image(&mut mistakes);
        if !self.path.starts_with('/') || self.path.split('/').any(|part| part == "..") {
            mistakes.push(format!("`path: {}` has to be absolute, as in `/srv/app.py`", self.path));
        }
        let texts = [
            ("content", &self.content),
            ("owner", &self.owner),
            ("group", &self.group),
            ("link_target", &self.link_target),
        ];
        let asks = self.kind.is_some()
            || self.mode.is_some()
            || self.size.is_some()
            || self.executable_by.is_some()
            || self.not_executable_by.is_some()
            || texts.iter().any(|(_, text)| text.is_some());
        if self.absent && asks {
            mistakes.push("`absent: true` cannot stand beside conditions on what is there".into());
        }
        for (field, text) in texts {
            if let Some(text) = text {
                text.mistakes(field, false, &mut mistakes);
            }
        }
        if let Some(mode) = &self.mode {
            mode.mistakes("mode", &mut mistakes);
        }
        if let Some(size) = &self.size {
            size.mistakes("size", &mut mistakes);
        }
        if self.link_target.is_some() && self.kind.is_some_and(|kind| kind != EntryKind::Link) {
            mistakes.push("`link_target` is of a link, and `kind` wants something else".into());
        }
        if self.content.is_some() && self.kind == Some(EntryKind::Directory) {
            mistakes.push("`content` is of a file, and `kind` wants a directory".into());
        }
        if self.executable_by.is_some() && self.executable_by == self.not_executable_by {
            mistakes.push("`executable_by` and `not_executable_by` contradict each other".into());
        }
        mistakes
    }

    async fn look(&self, scene: &Scene<'_>) -> Result<Finding, Fault> {
        let image = scene.image()?;
        let path = fill(&self.path, scene.variables).into_owned();
        let place = shown(&path);
        let reproduce = line(["docker", "run", "--rm", "--entrypoint", "ls", "my-image", "-ld", &path]);
        // Each look into an image takes the engine a while; none waits for another.
        let (stat, names) =
            tokio::try_join!(async { Ok::<_, Fault>(image.stat(&path).await?) }, Names::read(image))?;
        let Some(stat) = stat else {
            return self.missing(image, &path, reproduce).await;
        };
        let listing = names.listing(&path, &stat);
        let what = stat.kind_name();
        if self.absent {
            let detail = Detail::new(
                format!("nothing at {place} in the image"),
                format!("there is {what} at {place}"),
            );
            return Ok(Finding::Failed(detail.proof("Listing", listing).reproduce(reproduce)));
        }
        let mut tally = Tally::default();
        let kind_fits = match self.kind {
            None => true,
            Some(EntryKind::File) => stat.kind == FileKind::File,
            Some(EntryKind::Directory) => stat.kind == FileKind::Directory,
            Some(EntryKind::Link) => stat.kind == FileKind::Symlink,
        };
        tally.note(
            kind_fits,
            format!("{} at {place} in the image", self.wanted()),
            format!("there is {what} at {place}"),
        );
        let resolved = |text: &Text| text.resolved(scene.variables).map_err(Fault::Exercise);
        let mut content = None;
        if let Some(wanted) = &self.content {
            let wanted = resolved(wanted)?;
            content = image.read(&path, CONTENT_BYTES).await?;
            tally.content(&wanted, content.as_deref());
        }
        if let Some(wanted) = &self.mode {
            tally.mode(wanted, stat.mode);
        }
        for (what, wanted, id, table) in
            [("owner", &self.owner, stat.uid, &names.users), ("group", &self.group, stat.gid, &names.groups)]
        {
            if let Some(wanted) = wanted {
                let wanted = resolved(wanted)?;
                let name = table.name(id);
                let holds = wanted.spelled(&|wanted| table.spelled(wanted)).accepts(&name);
                tally.note(
                    holds,
                    format!("{what} {}", wanted.describe()),
                    format!("its {what} is {}", table.both(id)),
                );
            }
        }
        if let Some(wanted) = &self.link_target {
            let wanted = resolved(wanted)?;
            let target = stat.link_target.as_deref();
            tally.note(
                target.is_some_and(|target| wanted.accepts(target)),
                format!("a link whose target {}", wanted.describe()),
                target.map_or_else(
                    || format!("it is {what}, not a link"),
                    |target| format!("it links to {}", shown(target)),
                ),
            );
        }
        if let Some(wanted) = &self.size {
            tally.size(wanted, stat.size_bytes);
        }
        self.executables(image, &path, &names, &mut tally).await?;
        let mut detail = tally.detail().proof("Listing", listing).reproduce(reproduce);
        if let Some(content) = content {
            detail = detail.proof("Content", String::from_utf8_lossy(&content));
        }
        Ok(tally.finding(detail))
    }
}

/// How much of a file is read to be matched.
const CONTENT_BYTES: u64 = 1 << 20;

impl ImageFile {
    fn wanted(&self) -> &'static str {
        self.kind.map_or("something", EntryKind::name)
    }

    /// What there is to say about a path where nothing is.
    async fn missing(&self, image: &Image, path: &str, reproduce: String) -> Result<Finding, Fault> {
        let place = shown(path);
        let wanted = if self.absent { "nothing" } else { self.wanted() };
        let mut detail =
            Detail::new(format!("{wanted} at {place} in the image"), format!("there is nothing at {place}"))
                .reproduce(reproduce);
        if let Some(parent) = nearest_parent(image, path).await? {
            detail = detail.proof("Nearest folder that is there", parent);
        }
        Ok(Finding::of(self.absent, detail))
    }

    async fn executables(
        &self,
        image: &Image,
        path: &str,
        names: &Names,
        tally: &mut Tally,
    ) -> Result<(), Fault> {
        for (who, wanted) in [(&self.executable_by, true), (&self.not_executable_by, false)] {
            let Some(who) = who else { continue };
            let (holds, observed) = match access::executable(image, path, &who.0.0, names).await? {
                Ok(()) => (wanted, format!("{} can execute it", who.describe())),
                Err(why) => (!wanted, format!("{} cannot execute it: {why}", who.describe())),
            };
            let not = if wanted { "" } else { "not " };
            tally.note(holds, format!("{not}executable by {}", who.describe()), observed);
        }
        Ok(())
    }
}

impl Who {
    fn describe(&self) -> String {
        match self.0.0.as_str() {
            "everyone" => "everyone".into(),
            "image_user" => "the image's user".into(),
            user => format!("user {}", shown(user)),
        }
    }
}

/// The nearest folder above `path` that the image has.
async fn nearest_parent(image: &Image, path: &str) -> Result<Option<String>, Fault> {
    let mut path = path.trim_end_matches('/');
    while let Some((parent, _)) = path.rsplit_once('/') {
        if parent.is_empty() {
            return Ok(Some("/".into()));
        }
        if image.stat(parent).await?.is_some() {
            return Ok(Some(parent.to_owned()));
        }
        path = parent;
    }
    Ok(None)
}
