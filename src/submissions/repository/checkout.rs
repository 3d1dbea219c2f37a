//! The files of one commit of a received pack, as a tree like any other that is handed in.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::history::{Commit, DEPTH, wrong};
use super::objects::{Bounds, Id, Objects};
use super::pack::Pack;
use super::received::Received;
use super::{Repository, Unreadable};
use crate::submissions::refusal::{Refusal, shown};
use crate::submissions::tree::Tree;
use crate::submissions::{Content, ContentLimits};

/// How a pointer of Git LFS begins (git-lfs, `docs/spec.md`), and what none is larger than.
const POINTER: (&[u8], u64) = (b"version https://git-lfs.github.com/spec/v1\n", 1024);

/// The paths and modes that each object has as a file.
type Files = HashMap<Id, Vec<(Vec<u8>, u32)>>;

/// A pack that was received whole.
pub struct Reception {
    received: Received,
    repository: Repository,
}

/// The files of a commit.
pub struct CheckedOut {
    /// With the `.git` that was asked for.
    pub content: Content,
    /// Folders that are commits of other repositories; they are empty.
    pub submodules: Vec<Vec<u8>>,
    /// Files that only say where Git LFS keeps their content.
    pub pointers: Vec<Vec<u8>>,
}

/// Why there is no tree of a commit.
#[derive(Debug, thiserror::Error)]
pub enum Uncheckable {
    /// The pack is to blame.
    #[error(transparent)]
    Pack(#[from] Unreadable),
    /// A name, link or limit.
    #[error(transparent)]
    Tree(#[from] Refusal),
}

impl Reception {
    /// Names and checks all objects of a pack.
    ///
    /// # Errors
    /// [`Unreadable`]
    pub fn open(pack: Bytes, bounds: Bounds) -> Result<Self, Unreadable> {
        let received = Received::read(pack, bounds)?;
        let objects = Objects::of_pack(Pack::open(received.index(), received.data())?, bounds);
        Ok(Self { received, repository: Repository::of(objects) })
    }

    /// The commit that a name stands for, which may be that of a tag; `None` where it is neither.
    ///
    /// # Errors
    /// [`Unreadable`]
    pub fn commit(&self, id: Id) -> Result<Option<Commit>, Unreadable> {
        self.repository.tag(id)?.commit.map(|id| self.repository.commit(id)).transpose()
    }

    /// Whether the pack has such an object.
    #[must_use]
    pub fn has(&self, id: Id) -> bool {
        self.repository.objects.has(id)
    }

    /// What a `.git` folder has with this pack in it, by path inside it (a folder ends with `/`): `head` is the content of `HEAD`,
    /// `refs` are whole names, `shallow` the commits whose parents were not sent.
    #[must_use]
    pub fn folder(&self, head: &str, refs: &[(String, Id)], shallow: &[Id]) -> Vec<(String, Bytes)> {
        use std::fmt::Write as _;
        let mut packed = String::from("# pack-refs with: sorted \n");
        let mut sorted: Vec<_> = refs.iter().collect();
        sorted.sort();
        for (name, id) in sorted {
            // Writing to a String cannot fail.
            let _ = writeln!(packed, "{id} {name}");
        }
        let name: String = self.received.checksum().iter().fold(String::new(), |mut name, byte| {
            let _ = write!(name, "{byte:02x}");
            name
        });
        let config = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n";
        let mut files = vec![
            ("HEAD".to_owned(), Bytes::from(format!("{head}\n"))),
            ("config".to_owned(), config.into()),
            ("packed-refs".to_owned(), packed.into()),
            // Without it git takes the folder for no repository.
            ("refs/".to_owned(), Bytes::new()),
            (format!("objects/pack/pack-{name}.idx"), self.received.index()),
            (format!("objects/pack/pack-{name}.pack"), self.received.data()),
        ];
        if !shallow.is_empty() {
            let mut lines = String::new();
            for id in shallow {
                let _ = writeln!(lines, "{id}");
            }
            files.push(("shallow".to_owned(), lines.into()));
        }
        files
    }

    /// The files of a commit, with those of `git` below `.git`.
    ///
    /// # Errors
    /// [`Uncheckable`]
    pub fn check_out(
        &self,
        commit: &Commit,
        git: &[(String, Bytes)],
        limits: &ContentLimits,
    ) -> Result<CheckedOut, Uncheckable> {
        let mut tree = Tree::new(limits);
        let mut submodules = Vec::new();
        let files = self.listed(commit, &mut tree, &mut submodules)?;
        let wanted: HashSet<Id> = files.keys().copied().collect();
        let mut pointers = Vec::new();
        let mut refused = None;
        self.received.contents(&wanted, |id, data| {
            for (path, mode) in &files[&id] {
                if data.starts_with(POINTER.0) && data.len() as u64 <= POINTER.1 {
                    pointers.push(path.clone());
                }
                let kept = match mode & 0o170_000 {
                    0o120_000 => tree.symlink(path.clone(), data),
                    _ => tree.file(path.clone(), data.to_vec().into(), mode & 0o100 != 0),
                };
                refused = refused.take().or(kept.err());
            }
            Ok(())
        })?;
        if let Some(refused) = refused {
            return Err(refused.into());
        }
        for (name, content) in git {
            let raw = format!(".git/{name}");
            if let Some(path) = tree.entry(raw.as_bytes())? {
                tree.admit(raw.as_bytes(), content.len() as u64)?;
                if name.ends_with('/') {
                    tree.directory(path)?;
                } else {
                    tree.file(path, content.to_vec().into(), false)?;
                }
            }
        }
        pointers.sort();
        Ok(CheckedOut { content: Content::of(tree)?, submodules, pointers })
    }

    /// Walks the folders of a commit: keeps them, counts everything, and gives the files by the object that
    /// they are.
    fn listed(
        &self,
        commit: &Commit,
        tree: &mut Tree<'_>,
        submodules: &mut Vec<Vec<u8>>,
    ) -> Result<Files, Uncheckable> {
        let sizes = self.received.sizes();
        let mut files = Files::new();
        let mut ahead = vec![(Vec::new(), commit.tree, 0)];
        while let Some((folder, id, depth)) = ahead.pop() {
            if depth > DEPTH {
                return Err(Unreadable::TooLarge("its folders lie too deep in each other").into());
            }
            for entry in self.repository.tree(id)? {
                check_name(&entry.name)?;
                let raw = [&folder[..], &entry.name].concat();
                let Some(path) = tree.entry(&raw)? else { continue };
                match entry.mode & 0o170_000 {
                    0o040_000 => {
                        tree.directory(path)?;
                        ahead.push(([&raw[..], b"/"].concat(), entry.id, depth + 1));
                    }
                    0o160_000 => {
                        tree.directory(path.clone())?;
                        submodules.push(path);
                    }
                    0o100_000 | 0o120_000 => {
                        let size = sizes.get(&entry.id).copied();
                        let missing = || Unreadable::Damaged(format!("{} is missing in it", shown(&raw)));
                        tree.admit(&raw, size.ok_or_else(missing)?)?;
                        files.entry(entry.id).or_default().push((path, entry.mode));
                    }
                    _ => return Err(wrong(id).into()),
                }
            }
        }
        submodules.sort();
        Ok(files)
    }
}

/// Refuses names that git makes no commit with, in which ways somebody else does (git's `fsck`,
/// `fullPathname`, `hasDot`, `hasDotdot`, `hasDotgit`).
fn check_name(name: &[u8]) -> Result<(), Refusal> {
    let is_git = name.eq_ignore_ascii_case(b".git") || name.eq_ignore_ascii_case(b"git~1");
    if matches!(name, b"" | b"." | b"..") || name.contains(&b'/') || is_git {
        return Err(Refusal::UnsafeEntry(format!(
            "{} is the name of an entry in it, which git itself never commits; make the commit with git and \
             push again",
            shown(name)
        )));
    }
    Ok(())
}
