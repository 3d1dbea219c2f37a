//! A frozen submission: what everybody after this room works with.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::dockerignore::{Dockerignore, Walk};
use super::freeze::{Frozen, freeze, hex};
use super::limits::ContentLimits;
use super::path::{PATH_BYTES, below, clean, parent, resolve};
use super::refusal::Refusal;
use super::tree::{Node, Nodes, Tree};
use super::{archive, folder, untar};

/// What is at a path of a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A regular file.
    File {
        /// Its bytes: a slice of the canonical tar.
        content: Bytes,
        /// Whether its owner may execute it (0755; else 0644).
        executable: bool,
    },
    /// A folder; every folder on the way to an entry is there.
    Directory,
    /// A symbolic link whose target stays inside the tree.
    Symlink {
        /// The target as it is written.
        target: Vec<u8>,
    },
}

/// A frozen submission: a tree of entries and the one canonical tar of it (sorted, no owners, no
/// times, modes 0644/0755), whose SHA-256 is its name. Cheap to clone.
#[derive(Clone)]
pub struct Content {
    frozen: Arc<Frozen>,
}

impl Content {
    /// Reads a .zip, .tar or .tar.gz, told apart by its first bytes, not by its name. A single
    /// top-level folder around everything is taken off; `__MACOSX`, `.DS_Store` are left out.
    /// Hard links become copies, a later entry of the same path takes the place of an earlier one.
    ///
    /// # Errors
    /// A [`Refusal`] for the student; nothing is kept then.
    pub fn from_archive(archive: &[u8], limits: &ContentLimits) -> Result<Self, Refusal> {
        archive::read(archive, limits).map(Self::new)
    }

    /// From files with their relative paths, as a browser sends a folder (`folder/sub/file`); a
    /// single top-level folder around everything is taken off. A file that begins with `#!` counts
    /// as executable, since browsers do not tell.
    ///
    /// # Errors
    /// A [`Refusal`] for the student; nothing is kept then.
    pub fn from_files(files: Vec<(String, Bytes)>, limits: &ContentLimits) -> Result<Self, Refusal> {
        let mut tree = Tree::new(limits);
        for (name, content) in files {
            if let Some(path) = tree.entry(name.as_bytes())? {
                tree.admit(name.as_bytes(), content.len() as u64)?;
                let executable = content.starts_with(b"#!");
                // No copy where nobody else holds the bytes.
                tree.file(path, Vec::from(content).into(), executable)?;
            }
        }
        tree.finish(true).map(Self::new)
    }

    /// From a folder on this machine. Links are kept as links and refused if they leave the folder.
    /// Reads files, so it blocks.
    ///
    /// # Errors
    /// A [`Refusal`]; [`Refusal::Damaged`] names a path that cannot be read.
    pub fn from_folder(folder: &Path, limits: &ContentLimits) -> Result<Self, Refusal> {
        folder::read(folder, limits).map(Self::new)
    }

    /// From a canonical tar made by this room earlier (trusted: checked against `sha256`, lower-case
    /// hex).
    ///
    /// # Errors
    /// [`Refusal::Damaged`] where it is another tar than the one of that name.
    pub fn from_frozen(tar: Bytes, sha256: &str) -> Result<Self, Refusal> {
        let found = hex(&Sha256::digest(&tar));
        if found != sha256 {
            return Err(Refusal::Damaged(format!(
                "The stored content {sha256} is damaged: its SHA-256 is {found}"
            )));
        }
        let mut tree = Tree::new(&ContentLimits::NONE);
        untar::read(&mut tar.as_ref(), &mut tree)?;
        let entries = tree
            .into_nodes()
            .into_iter()
            .map(|(path, node)| {
                let entry = match node {
                    Node::File { content, executable } => {
                        Entry::File { content: tar.slice_ref(&content), executable }
                    }
                    Node::Directory => Entry::Directory,
                    Node::Symlink { target } => Entry::Symlink { target },
                };
                (path, entry)
            })
            .collect();
        Ok(Self { frozen: Arc::new(Frozen { tar, sha256: found, entries }) })
    }

    /// From a tree that another part of this room filled; nothing is taken off.
    pub(super) fn of(tree: Tree<'_>) -> Result<Self, Refusal> {
        tree.finish(false).map(Self::new)
    }

    fn new(nodes: Nodes<'_>) -> Self {
        Self { frozen: Arc::new(freeze(nodes)) }
    }

    /// No entries at all, for exercises that are only answered.
    #[must_use]
    pub fn empty() -> Self {
        static EMPTY: OnceLock<Content> = OnceLock::new();
        EMPTY.get_or_init(|| Self::new(Nodes::new())).clone()
    }

    /// This tree with the files of `over` laid over it (a mutant over a solution). A file named
    /// `<name>.absent` in `over` removes `<name>`, a folder with all that is in it.
    #[must_use]
    pub fn overlaid(&self, over: &Self) -> Self {
        /// What a note such as `Dockerfile.absent` asks to be removed.
        fn absent<'p>(path: &'p [u8], entry: &Entry) -> Option<&'p [u8]> {
            let gone = path.strip_suffix(b".absent")?;
            (matches!(entry, Entry::File { .. }) && !gone.is_empty() && !gone.ends_with(b"/")).then_some(gone)
        }
        let mut nodes = self.nodes();
        let mut laid = over.nodes();
        for (path, entry) in over.entries() {
            let gone = match absent(path, entry) {
                Some(gone) => {
                    laid.remove(path);
                    gone
                }
                // What was there goes, unless a folder lies on a folder.
                None if *entry == Entry::Directory && self.entries().get(path) == Some(entry) => continue,
                None => path,
            };
            nodes.retain(|kept, _| kept != gone && below(gone, kept).is_none());
        }
        nodes.extend(laid);
        Self::new(nodes)
    }

    /// The tree below a folder of this one, frozen by itself; `None` where there is no folder at
    /// `path`. Links that lead out of the folder are left out. `""` and `.` are this tree.
    #[must_use]
    pub fn subtree(&self, path: &str) -> Option<Self> {
        let folder = clean(path.as_bytes()).ok()?;
        if folder.is_empty() {
            return Some(self.clone());
        }
        if self.entries().get(&folder) != Some(&Entry::Directory) {
            return None;
        }
        let mut nodes: Nodes<'_> = self
            .nodes()
            .into_iter()
            .filter_map(|(path, node)| Some((below(&folder, &path)?.to_vec(), node)))
            .collect();
        super::tree::drop_stray_links(&mut nodes);
        Some(Self::new(nodes))
    }

    /// Path of the ignore file that a build of this tree with `dockerfile` keeps to:
    /// `<dockerfile>.dockerignore`, which is for that Dockerfile alone, else `.dockerignore`.
    #[must_use]
    pub fn ignore_file(&self, dockerfile: &str) -> Option<String> {
        let own = format!("{dockerfile}.dockerignore");
        [own, ".dockerignore".to_owned()].into_iter().find(|path| self.file(path).is_some())
    }

    /// What `docker build` would send of this tree: without what the ignore file keeps out. The
    /// Dockerfile and a `.dockerignore` that is in force always stay: the builder reads them, and takes
    /// them away from `COPY` itself where they are ignored.
    #[must_use]
    pub fn build_context(&self, dockerfile: &str) -> Self {
        let path = self.ignore_file(dockerfile);
        let Some((path, file)) = path.and_then(|path| self.file(&path).cloned().map(|file| (path, file)))
        else {
            return self.clone();
        };
        let ignore = Dockerignore::read(&file);
        if ignore.is_empty() {
            return self.clone();
        }
        let always = [dockerfile, ".dockerignore"];
        let always = if path == always[1] { &always[..] } else { &always[..1] };
        let all = self.nodes();
        let mut walk = Walk::new(&ignore);
        let kept: BTreeSet<&[u8]> = all
            .keys()
            .filter(|path| {
                let path = String::from_utf8_lossy(path);
                !walk.look(&path).ignored || always.contains(&path.as_ref())
            })
            .flat_map(|path| {
                std::iter::successors(Some(path.as_slice()), |path| Some(parent(path)))
                    .take_while(|path| !path.is_empty())
            })
            .collect();
        Self::new(
            all.iter()
                .filter(|(path, _)| kept.contains(path.as_slice()))
                .map(|(path, node)| (path.clone(), node.clone()))
                .collect(),
        )
    }

    /// The same tree inside a folder; with an empty name, the same tree.
    pub(super) fn inside(&self, folder: &str) -> Self {
        let Some(folder) = clean(folder.as_bytes()).ok().filter(|folder| !folder.is_empty()) else {
            return self.clone();
        };
        let nodes = self.nodes().into_iter().map(|(path, node)| ([&folder, &b"/"[..], &path].concat(), node));
        let mut nodes: Nodes<'_> = nodes.collect();
        let mut above = folder.as_slice();
        while !above.is_empty() {
            nodes.insert(above.to_vec(), Node::Directory);
            above = parent(above);
        }
        Self::new(nodes)
    }

    pub(super) fn nodes(&self) -> Nodes<'_> {
        let mut nodes = Nodes::new();
        for (path, entry) in self.entries() {
            let node = match entry {
                Entry::File { content, executable } => {
                    Node::File { content: content.as_ref().into(), executable: *executable }
                }
                Entry::Directory => Node::Directory,
                Entry::Symlink { target } => Node::Symlink { target: target.clone() },
            };
            nodes.insert(path.clone(), node);
        }
        nodes
    }

    /// Lower-case hex SHA-256 of [`Content::tar`].
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.frozen.sha256
    }

    /// The canonical tar. Sorted by the bytes of the paths, a folder before what is in it.
    #[must_use]
    pub fn tar(&self) -> Bytes {
        self.frozen.tar.clone()
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frozen.entries.is_empty()
    }

    /// The entry at a path written with `/`, no leading `./`; links are not followed.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.frozen.entries.get(path.as_bytes())
    }

    /// Content of the regular file at `path`, links inside the tree followed (at most 40). A `./` in
    /// front does no harm.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&Bytes> {
        let link = |path: &[u8]| match self.entries().get(path) {
            Some(Entry::Symlink { target }) => Some(target.as_slice()),
            _ => None,
        };
        let mut budget = 100 * PATH_BYTES;
        match self.entries().get(&resolve(b"", path.as_bytes(), &mut budget, link).ok()?) {
            Some(Entry::File { content, .. }) => Some(content),
            _ => None,
        }
    }

    /// All entries by path (raw bytes), sorted.
    #[must_use]
    pub fn entries(&self) -> &BTreeMap<Vec<u8>, Entry> {
        &self.frozen.entries
    }

    /// Number of files and bytes in them, for people.
    #[must_use]
    pub fn summary(&self) -> (usize, u64) {
        self.entries().values().fold((0, 0), |(files, bytes), entry| match entry {
            Entry::File { content, .. } => (files + 1, bytes + content.len() as u64),
            Entry::Directory | Entry::Symlink { .. } => (files, bytes),
        })
    }
}

/// Equal trees have equal names.
impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        self.sha256() == other.sha256()
    }
}

impl Eq for Content {}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (files, bytes) = self.summary();
        write!(f, "Content({}, {files} files, {bytes} bytes)", self.sha256())
    }
}
