//! Branches and tags: files below `refs`, and `packed-refs` for those that have none.

use std::collections::BTreeMap;

use super::Unreadable;
use super::objects::Id;
use crate::submissions::Content;

/// The most branches and tags.
const MOST: usize = 10_000;
/// How many names may stand for each other in a row, as git has it.
const LINKS: usize = 5;

pub(super) struct Refs {
    /// The branch that is checked out.
    pub current: Option<String>,
    /// The commit that is checked out without a branch.
    pub head: Option<Id>,
    /// By whole name, such as `refs/heads/main`.
    pub all: BTreeMap<String, Id>,
}

enum Target {
    Id(Id),
    Name(String),
}

fn target(bytes: &[u8]) -> Option<Target> {
    let text = bytes.trim_ascii();
    match text.strip_prefix(b"ref:") {
        Some(name) => String::from_utf8(name.trim_ascii().to_vec()).ok().map(Target::Name),
        None => Id::from_hex(text.get(..40)?).map(Target::Id),
    }
}

pub(super) fn read(content: &Content, place: &str) -> Result<Refs, Unreadable> {
    let damaged = |what: &str| Unreadable::Damaged(what.to_owned());
    let mut targets: BTreeMap<String, Target> = BTreeMap::new();
    if let Some(packed) = content.file(&format!("{place}packed-refs")) {
        for line in packed.split(|byte| *byte == b'\n') {
            // `^…` is what the tag above stands for, which the tag says itself.
            if line.is_empty() || matches!(line[0], b'#' | b'^') {
                continue;
            }
            let (id, name) =
                line.split_at_checked(40).ok_or_else(|| damaged("`packed-refs` has no names"))?;
            let id = Id::from_hex(id).ok_or_else(|| damaged("`packed-refs` has no names"))?;
            targets.insert(String::from_utf8_lossy(name.trim_ascii()).into_owned(), Target::Id(id));
        }
    }
    let folder = format!("{place}refs/");
    for path in content.entries().range(folder.clone().into_bytes()..).map(|(path, _)| path) {
        let Some(path) = std::str::from_utf8(path).ok().filter(|path| path.starts_with(&folder)) else {
            break;
        };
        // Lock files and such are none.
        if let Some(target) = content.file(path).and_then(|bytes| target(bytes)) {
            targets.insert(path[place.len()..].to_owned(), target);
        }
    }
    if targets.len() > MOST {
        return Err(Unreadable::TooLarge("it has more than 10,000 branches and tags"));
    }
    let resolve = |name: &str| {
        let mut name = name;
        for _ in 0..LINKS {
            match targets.get(name)? {
                Target::Id(id) => return Some(*id),
                Target::Name(other) => name = other,
            }
        }
        None
    };
    let all = targets.keys().filter_map(|name| Some((name.clone(), resolve(name)?))).collect();
    let head = content.file(&format!("{place}HEAD")).and_then(|bytes| target(bytes));
    let (current, head) = match head.ok_or_else(|| damaged("`HEAD` names no branch and no commit"))? {
        Target::Id(id) => (None, Some(id)),
        Target::Name(name) => (name.strip_prefix("refs/heads/").map(str::to_owned), resolve(&name)),
    };
    Ok(Refs { current, head, all })
}
