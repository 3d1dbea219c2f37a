//! Commits and what they changed.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::objects::{Id, Kind};
use super::{Repository, Tag, Unreadable};

/// How deep folders lie in each other at most.
pub(super) const DEPTH: usize = 200;
/// How many tags may stand for each other.
const TAGS: usize = 10;

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its name.
    pub id: Id,
    pub(super) tree: Id,
    /// The commits it was made on: none for the first, several for a merge.
    pub parents: Vec<Id>,
    /// `Name <address>`.
    pub author: String,
    /// When its author made it, in seconds since 1970.
    pub authored: i64,
    /// When it was committed, in seconds since 1970.
    pub seconds: i64,
    /// The whole message.
    pub message: String,
}

impl Commit {
    /// The first line of its message.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.message.lines().next().unwrap_or_default()
    }
}

/// A file that some commit has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its path.
    pub path: String,
    /// Its bytes; `None` where the repository does not have them.
    pub bytes: Option<u64>,
    /// The newest commit that has it.
    pub commit: Id,
}

pub(super) struct TreeEntry {
    pub(super) name: Vec<u8>,
    pub(super) mode: u32,
    pub(super) id: Id,
}

impl TreeEntry {
    fn is_folder(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }

    /// A file or link, not the commit of a submodule.
    fn is_file(&self) -> bool {
        matches!(self.mode & 0o170_000, 0o100_000 | 0o120_000)
    }
}

impl Repository {
    /// What a tag stands for.
    pub(super) fn tag(&self, id: Id) -> Result<Tag, Unreadable> {
        let mut at = id;
        for round in 0..TAGS {
            let (kind, data) = self.objects.read(at)?;
            match kind {
                Kind::Commit => return Ok(Tag { commit: Some(at), annotated: round > 0 }),
                Kind::Tag => at = header(&data, b"object").ok_or_else(|| wrong(at))?,
                Kind::Tree | Kind::Blob => break,
            }
        }
        Ok(Tag { commit: None, annotated: at != id })
    }

    pub(super) fn commit(&self, id: Id) -> Result<Commit, Unreadable> {
        let (kind, data) = self.objects.read(id)?;
        if kind != Kind::Commit {
            return Err(wrong(id));
        }
        let (head, message) = match data.windows(2).position(|pair| pair == b"\n\n") {
            Some(end) => (&data[..end], &data[end + 2..]),
            None => (data.as_slice(), &b""[..]),
        };
        let lines = || head.split(|byte| *byte == b'\n');
        let field = |name: &[u8]| lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(b" "));
        let tree = header(&data, b"tree").ok_or_else(|| wrong(id))?;
        let parents = lines().take_while(|line| !line.starts_with(b"author "));
        let parents = parents.filter_map(|line| Id::from_hex(line.strip_prefix(b"parent ")?)).collect();
        // `Name <address> seconds zone`
        let seconds = |line: &[u8]| -> i64 {
            let line = String::from_utf8_lossy(line);
            let time =
                line.rsplit_once('>').and_then(|(_, time)| time.split_whitespace().next()?.parse().ok());
            time.unwrap_or_default()
        };
        let author = field(b"author").unwrap_or_default();
        let authored = seconds(author);
        let author = author.iter().rposition(|byte| *byte == b'>').map_or(author, |end| &author[..=end]);
        Ok(Commit {
            id,
            tree,
            parents,
            author: String::from_utf8_lossy(author).into_owned(),
            authored,
            seconds: seconds(field(b"committer").unwrap_or_default()),
            message: String::from_utf8_lossy(message).into_owned(),
        })
    }

    /// All commits that lead to `tip`, itself first, each before those it was made on, the newer of two
    /// first.
    ///
    /// # Errors
    /// [`Unreadable`]
    pub fn commits(&self, tip: Id) -> Result<Vec<Commit>, Unreadable> {
        self.walk(&[tip])
    }

    /// All commits that any branch, tag or stash keeps.
    ///
    /// # Errors
    /// [`Unreadable`]
    pub fn all_commits(&self) -> Result<Vec<Commit>, Unreadable> {
        let mut tips = Vec::new();
        for root in &self.roots {
            tips.extend(self.tag(*root)?.commit);
        }
        self.walk(&tips)
    }

    fn walk(&self, tips: &[Id]) -> Result<Vec<Commit>, Unreadable> {
        let mut found: HashMap<Id, Commit> = HashMap::new();
        let mut children: HashMap<Id, usize> = HashMap::new();
        let mut ahead: Vec<Id> = tips.to_vec();
        while let Some(id) = ahead.pop() {
            if found.contains_key(&id) {
                continue;
            }
            if found.len() >= self.objects.bounds.commits {
                return Err(Unreadable::TooLarge("it has more commits than are walked"));
            }
            let commit = self.commit(id)?;
            for parent in &commit.parents {
                *children.entry(*parent).or_default() += 1;
            }
            ahead.extend(&commit.parents);
            found.insert(id, commit);
        }
        // Those whose children are all told, the newest first. Names are hashes, so there is no circle.
        let mut ready: BTreeSet<(i64, Id)> = found
            .values()
            .filter(|commit| !children.contains_key(&commit.id))
            .map(|commit| (commit.seconds, commit.id))
            .collect();
        let mut sorted = Vec::with_capacity(found.len());
        while let Some((_, id)) = ready.pop_last() {
            let Some(commit) = found.remove(&id) else { continue };
            for parent in &commit.parents {
                let left = children.entry(*parent).or_default();
                *left = left.saturating_sub(1);
                if *left == 0
                    && let Some(parent) = found.get(parent)
                {
                    ready.insert((parent.seconds, parent.id));
                }
            }
            sorted.push(commit);
        }
        Ok(sorted)
    }

    pub(super) fn tree(&self, id: Id) -> Result<Vec<TreeEntry>, Unreadable> {
        let (kind, data) = self.objects.read(id)?;
        let mut entries = Vec::new();
        let mut rest = data.as_slice();
        while kind == Kind::Tree && !rest.is_empty() {
            // `mode name` NUL, and 20 bytes.
            let nul = rest.iter().position(|byte| *byte == 0).ok_or_else(|| wrong(id))?;
            let blank = rest[..nul].iter().position(|byte| *byte == b' ').ok_or_else(|| wrong(id))?;
            let mode =
                std::str::from_utf8(&rest[..blank]).ok().and_then(|mode| u32::from_str_radix(mode, 8).ok());
            let entry = rest.get(nul + 1..nul + 21).and_then(Id::from_bytes).ok_or_else(|| wrong(id))?;
            entries.push(TreeEntry {
                name: rest[blank + 1..nul].to_vec(),
                mode: mode.ok_or_else(|| wrong(id))?,
                id: entry,
            });
            rest = &rest[nul + 21..];
        }
        if kind == Kind::Tree { Ok(entries) } else { Err(wrong(id)) }
    }

    /// The object at a path of a commit, with its mode.
    fn at(&self, commit: &Commit, path: &str) -> Result<Option<(u32, Id)>, Unreadable> {
        let mut at = (0o040_000, commit.tree);
        for part in path.split('/').take(DEPTH) {
            if at.0 & 0o170_000 != 0o040_000 {
                return Ok(None);
            }
            let entry = self.tree(at.1)?.into_iter().find(|entry| entry.name == part.as_bytes());
            let Some(entry) = entry else { return Ok(None) };
            at = (entry.mode, entry.id);
        }
        Ok(Some(at))
    }

    /// Whether there is something at a path of a commit.
    ///
    /// # Errors
    /// [`Unreadable`]
    pub fn has(&self, commit: &Commit, path: &str) -> Result<bool, Unreadable> {
        Ok(self.at(commit, path)?.is_some())
    }

    /// Which of `commits` changed a file or folder: it is other than in every commit they were made on.
    ///
    /// # Errors
    /// [`Unreadable`]
    pub fn changes_of<'c>(&self, path: &str, commits: &'c [Commit]) -> Result<Vec<&'c Commit>, Unreadable> {
        let mut seen = HashMap::new();
        let mut by_tree = HashMap::new();
        for commit in commits {
            let now = match by_tree.get(&commit.tree) {
                Some(known) => *known,
                None => self.at(commit, path)?,
            };
            by_tree.insert(commit.tree, now);
            seen.insert(commit.id, now);
        }
        let before = |parent: &Id| seen.get(parent).copied().flatten();
        Ok(commits
            .iter()
            .filter(|commit| {
                let now = seen[&commit.id];
                if commit.parents.is_empty() {
                    now.is_some()
                } else {
                    commit.parents.iter().all(|p| before(p) != now)
                }
            })
            .collect())
    }

    /// Every file that any of `commits` has, each once, with the first of them that has it.
    ///
    /// # Errors
    /// [`Unreadable`]
    pub fn files(&self, commits: &[Commit]) -> Result<Vec<Committed>, Unreadable> {
        let mut files = Vec::new();
        // A folder that is as it was, at the path where it was, holds nothing new.
        let mut seen: HashSet<(String, Id)> = HashSet::new();
        let mut entries = 0;
        for commit in commits {
            let mut ahead = vec![(String::new(), commit.tree, 0)];
            while let Some((folder, id, depth)) = ahead.pop() {
                if depth > DEPTH {
                    return Err(Unreadable::TooLarge("its folders lie too deep in each other"));
                }
                if !seen.insert((folder.clone(), id)) {
                    continue;
                }
                for entry in self.tree(id)? {
                    entries += 1;
                    if entries > self.objects.bounds.entries {
                        return Err(Unreadable::TooLarge("it has more files than are walked"));
                    }
                    let path = format!("{folder}{}", String::from_utf8_lossy(&entry.name));
                    if entry.is_folder() {
                        ahead.push((format!("{path}/"), entry.id, depth + 1));
                    } else if entry.is_file() && seen.insert((path.clone(), entry.id)) {
                        files.push(Committed {
                            path,
                            bytes: self.objects.size(entry.id)?,
                            commit: commit.id,
                        });
                    }
                }
            }
        }
        Ok(files)
    }
}

/// The name behind a word at the start of an object.
fn header(data: &[u8], name: &[u8]) -> Option<Id> {
    let line = data.split(|byte| *byte == b'\n').next()?;
    Id::from_hex(line.strip_prefix(name)?.strip_prefix(b" ")?)
}

pub(super) fn wrong(id: Id) -> Unreadable {
    Unreadable::Damaged(format!("the object {} is not what it is used as", id.short()))
}
