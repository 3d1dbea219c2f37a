//! Paths inside a tree: which names are taken, and where a link leads.
//!
//! A path is raw bytes with `/` between its parts, no `/` at either end and no `.` or `..` in it;
//! the root is the empty path. Bytes stay as they came: which encoding a name is in is for whoever
//! shows it to guess.

use super::refusal::{Refusal, shown};

/// The longest path, in bytes, as Linux has it (`PATH_MAX` without its NUL).
pub(super) const PATH_BYTES: usize = 4095;
/// The longest part of a path, in bytes (`NAME_MAX`).
const NAME_BYTES: usize = 255;
/// Links that are followed in a row before it counts as a circle (`MAXSYMLINKS` of Linux).
const LINKS_IN_A_ROW: usize = 40;

/// The path of an entry, or why its name is not taken.
pub(super) fn clean(raw: &[u8]) -> Result<Vec<u8>, Refusal> {
    let refuse = |what: &str| Err(Refusal::UnsafeEntry(format!("{} {what}", shown(raw))));
    if raw.contains(&0) {
        return refuse("has a NUL byte in its name, which no file can have; rename it and pack again");
    }
    if raw.first() == Some(&b'/') || matches!(raw, [letter, b':', b'/', ..] if letter.is_ascii_alphabetic()) {
        return refuse(
            "is an absolute path; pack the folder with paths relative to it (from inside the folder, \
             for example `tar czf ../work.tar.gz .`)",
        );
    }
    let mut path = Vec::with_capacity(raw.len());
    for part in raw.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => continue,
            b".." => {
                return refuse(
                    "leads out of the folder with `..`; pack the folder from inside, without `..`",
                );
            }
            _ if part.len() > NAME_BYTES => {
                return refuse("has a name longer than 255 bytes, the most that Linux takes; shorten it");
            }
            _ => {}
        }
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(part);
    }
    if path.len() > PATH_BYTES {
        return refuse("has a path longer than 4,095 bytes, the most that Linux takes; shorten it");
    }
    Ok(path)
}

/// The folder that an entry lies in; the empty path for an entry at the top.
pub(super) fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|byte| *byte == b'/').map_or(b"", |slash| &path[..slash])
}

/// The last part of a path.
pub(super) fn name(path: &[u8]) -> &[u8] {
    path.iter().rposition(|byte| *byte == b'/').map_or(path, |slash| &path[slash + 1..])
}

/// `path` below `folder`; `None` where it is not below it. Everything is below the root.
pub(super) fn below<'a>(folder: &[u8], path: &'a [u8]) -> Option<&'a [u8]> {
    if folder.is_empty() {
        return Some(path);
    }
    path.strip_prefix(folder)?.strip_prefix(b"/")
}

/// Why a link does not lead to a place inside the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stray {
    Absolute,
    Outside,
    Circle,
    /// The caller's budget is used up.
    Tangled,
}

/// Where `path`, written from `folder`, leads when every link on the way is followed, the last one
/// too. Nothing is asked of a file system: `link` gives the target of the link at a path, if there is
/// one. A place where nothing is is a place. `budget` is taken down by each part looked at, so that a
/// tree of links that lead through each other cannot take our time.
pub(super) fn resolve<'t>(
    folder: &[u8],
    path: &'t [u8],
    budget: &mut usize,
    link: impl Fn(&[u8]) -> Option<&'t [u8]>,
) -> Result<Vec<u8>, Stray> {
    let mut at = folder.to_vec();
    let mut ahead: Vec<&[u8]> = path.split(|byte| *byte == b'/').rev().collect();
    if path.first() == Some(&b'/') {
        return Err(Stray::Absolute);
    }
    let mut followed = 0;
    while let Some(part) = ahead.pop() {
        *budget = budget.checked_sub(1).ok_or(Stray::Tangled)?;
        match part {
            b"" | b"." => {}
            b".." if at.is_empty() => return Err(Stray::Outside),
            b".." => at.truncate(parent(&at).len()),
            _ => {
                let before = at.len();
                if before > 0 {
                    at.push(b'/');
                }
                at.extend_from_slice(part);
                if at.len() > 2 * PATH_BYTES {
                    return Err(Stray::Tangled);
                }
                if let Some(target) = link(&at) {
                    followed += 1;
                    if followed > LINKS_IN_A_ROW {
                        return Err(Stray::Circle);
                    }
                    if target.first() == Some(&b'/') {
                        return Err(Stray::Absolute);
                    }
                    at.truncate(before);
                    ahead.extend(target.split(|byte| *byte == b'/').rev());
                }
            }
        }
    }
    Ok(at)
}
