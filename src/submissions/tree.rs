//! A tree of entries on its way to being frozen: the rules about names, links, conflicts and limits.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::limits::ContentLimits;
use super::path::{PATH_BYTES, Stray, below, clean, name, parent, resolve};
use super::refusal::{Refusal, counted, shown};
use crate::units::ByteSize;

/// One entry; its content still belongs to the archive where it was not packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node<'a> {
    File { content: Cow<'a, [u8]>, executable: bool },
    Directory,
    Symlink { target: Vec<u8> },
}

/// Entries by path. Every folder on the way to an entry is in it.
pub(super) type Nodes<'a> = BTreeMap<Vec<u8>, Node<'a>>;

/// Parts of paths that are looked at, over all links of a tree, to see where the links lead.
const LINK_BUDGET: usize = 200_000;

/// Collects entries from an archive or folder. An entry is counted before it is kept, and bytes are
/// counted before they are read, duplicates and left-out ones too: what is counted never gets less.
pub(super) struct Tree<'a> {
    nodes: Nodes<'a>,
    limits: ContentLimits,
    /// Entries seen, and folders that had no entry of their own.
    entries: usize,
    /// What an archive has beside entries of the student's: headers for long names, a Mac's notes.
    extras: usize,
    bytes: u64,
}

impl<'a> Tree<'a> {
    pub(super) fn new(limits: &ContentLimits) -> Self {
        Self { nodes: Nodes::new(), limits: limits.clone(), entries: 0, extras: 0, bytes: 0 }
    }

    /// Begins an entry: its path, or `None` where there is nothing to keep (the root itself, or what
    /// a Mac puts beside the files).
    pub(super) fn entry(&mut self, raw: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
        let path = clean(raw)?;
        let left_out = path.is_empty()
            || name(&path) == b".DS_Store"
            || path == b"__MACOSX"
            || path.starts_with(b"__MACOSX/");
        if left_out {
            self.extra()?;
            return Ok(None);
        }
        self.count()?;
        Ok(Some(path))
    }

    /// Counts something that belongs to the archive and not to the student. It costs no memory, but
    /// an archive of nothing else would cost time.
    pub(super) fn extra(&mut self) -> Result<(), Refusal> {
        self.extras += 1;
        if self.extras > self.limits.entries.saturating_mul(4).saturating_add(1000) {
            return Err(self.too_many());
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), Refusal> {
        self.entries += 1;
        if self.entries > self.limits.entries { Err(self.too_many()) } else { Ok(()) }
    }

    fn too_many(&self) -> Refusal {
        Refusal::TooManyEntries(format!(
            "There are more than {} files, folders and links in it, and that is the limit; leave out what \
             tools make and can make again (`node_modules`, `target`, virtual environments) and pack it again",
            counted(self.limits.entries)
        ))
    }

    /// Counts the bytes of an entry before they are read.
    pub(super) fn admit(&mut self, raw: &[u8], bytes: u64) -> Result<(), Refusal> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.limits.unpacked_bytes {
            return Err(Refusal::TooLarge(format!(
                "Unpacked, the files are larger than {} together, which is the limit; {}, of {}, goes beyond \
                 it. Leave out what the exercise does not need and pack it again",
                ByteSize(self.limits.unpacked_bytes),
                shown(raw),
                ByteSize(bytes)
            )));
        }
        Ok(())
    }

    /// Keeps a file. A later one of the same path takes its place, as in tar.
    pub(super) fn file(
        &mut self,
        path: Vec<u8>,
        content: Cow<'a, [u8]>,
        executable: bool,
    ) -> Result<(), Refusal> {
        // What a Mac's tar writes for a file's attributes (RFC 1740, AppleDouble).
        if name(&path).starts_with(b"._") && content.starts_with(&[0x00, 0x05, 0x16, 0x07]) {
            return Ok(());
        }
        self.leaf(path, Node::File { content, executable })
    }

    /// Keeps a symbolic link; where it leads is judged when the whole tree is there.
    pub(super) fn symlink(&mut self, path: Vec<u8>, target: &[u8]) -> Result<(), Refusal> {
        if target.is_empty() || target.contains(&0) || target.len() > PATH_BYTES {
            return Err(Refusal::UnsafeEntry(format!(
                "{} is a link with a target that no link can have (empty, with a NUL byte, or longer than \
                 4,095 bytes); remove the link and pack again",
                shown(&path)
            )));
        }
        self.leaf(path, Node::Symlink { target: target.to_vec() })
    }

    /// Keeps a hard link as a copy of the file it names, which must have come earlier.
    pub(super) fn hard_link(&mut self, path: Vec<u8>, raw_target: &[u8]) -> Result<(), Refusal> {
        let target = clean(raw_target)?;
        let Some(Node::File { content, executable }) = self.nodes.get(&target) else {
            return Err(Refusal::UnsafeEntry(format!(
                "{} is a hard link to {}, which is no file that comes before it in the archive; replace the \
                 link by a copy of the file and pack again",
                shown(&path),
                shown(raw_target)
            )));
        };
        let (content, executable) = (content.clone(), *executable);
        self.admit(&path, content.len() as u64)?;
        self.leaf(path, Node::File { content, executable })
    }

    /// Keeps a folder.
    pub(super) fn directory(&mut self, path: Vec<u8>) -> Result<(), Refusal> {
        match self.nodes.get(&path) {
            Some(Node::Directory) => Ok(()),
            Some(_) => Err(conflict(&path)),
            None => {
                self.folders_above(&path)?;
                self.nodes.insert(path, Node::Directory);
                Ok(())
            }
        }
    }

    fn leaf(&mut self, path: Vec<u8>, node: Node<'a>) -> Result<(), Refusal> {
        if matches!(self.nodes.get(&path), Some(Node::Directory)) {
            return Err(conflict(&path));
        }
        self.folders_above(&path)?;
        self.nodes.insert(path, node);
        Ok(())
    }

    fn folders_above(&mut self, path: &[u8]) -> Result<(), Refusal> {
        let mut missing = Vec::new();
        let mut folder = parent(path);
        // A folder is only ever kept together with those above it.
        while !folder.is_empty() {
            match self.nodes.get(folder) {
                Some(Node::Directory) => break,
                Some(_) => return Err(conflict(folder)),
                None => missing.push(folder),
            }
            folder = parent(folder);
        }
        for folder in missing {
            self.count()?;
            self.nodes.insert(folder.to_vec(), Node::Directory);
        }
        Ok(())
    }

    /// The finished tree. With `unwrap`, a single folder around everything is taken off.
    pub(super) fn finish(mut self, unwrap: bool) -> Result<Nodes<'a>, Refusal> {
        if unwrap && let Some(wrapper) = self.wrapper() {
            self.nodes = self
                .nodes
                .into_iter()
                .filter_map(|(path, node)| Some((below(&wrapper, &path)?.to_vec(), node)))
                .collect();
        }
        if !self.nodes.values().any(|node| matches!(node, Node::File { .. })) {
            return Err(Refusal::Empty(
                "There is no file in it; pack the folder with your work and hand it in again".into(),
            ));
        }
        judge_links(&self.nodes)?;
        Ok(self.nodes)
    }

    /// The tree as it is, for what was judged when it was frozen.
    pub(super) fn into_nodes(self) -> Nodes<'a> {
        self.nodes
    }

    /// The one folder at the top, where nothing else is. One like `.github` is no wrapper but the work itself.
    fn wrapper(&self) -> Option<Vec<u8>> {
        let (first, node) = self.nodes.first_key_value()?;
        let alone = || self.nodes.keys().skip(1).all(|path| below(first, path).is_some());
        (*node == Node::Directory && !first.starts_with(b".") && alone()).then(|| first.clone())
    }
}

fn conflict(path: &[u8]) -> Refusal {
    Refusal::UnsafeEntry(format!(
        "{} is in it twice, as a folder and as a file or link; remove one of them and pack again",
        shown(path)
    ))
}

/// Refuses links that lead out of the tree, in whichever way.
fn judge_links(nodes: &Nodes<'_>) -> Result<(), Refusal> {
    let Some((path, target, stray)) = stray_links(nodes).next() else { return Ok(()) };
    let what = match stray {
        Stray::Absolute => "an absolute path",
        Stray::Outside => "outside of the folder",
        Stray::Circle => "a circle of links",
        Stray::Tangled => "a path through too many other links",
    };
    Err(Refusal::UnsafeEntry(format!(
        "{} is a link to {}, which is {what}; put a copy of the file in its place, or a relative link that stays \
         inside, and pack again",
        shown(path),
        shown(target)
    )))
}

/// Leaves out the links that lead out of the tree.
pub(super) fn drop_stray_links(nodes: &mut Nodes<'_>) {
    let strays: Vec<Vec<u8>> = stray_links(nodes).map(|(path, ..)| path.to_vec()).collect();
    for path in strays {
        nodes.remove(&path);
    }
}

fn stray_links<'t>(nodes: &'t Nodes<'_>) -> impl Iterator<Item = (&'t [u8], &'t [u8], Stray)> {
    let link = |path: &[u8]| match nodes.get(path) {
        Some(Node::Symlink { target }) => Some(target.as_slice()),
        _ => None,
    };
    let mut budget = LINK_BUDGET;
    nodes.iter().filter_map(move |(path, node)| {
        let Node::Symlink { target } = node else { return None };
        let stray = resolve(parent(path), target, &mut budget, link).err()?;
        Some((path.as_slice(), target.as_slice(), stray))
    })
}
