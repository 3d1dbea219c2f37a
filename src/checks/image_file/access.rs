//! Who a file of an image belongs to, and who may execute it, as the kernel would decide.

use std::collections::BTreeMap;

use crate::checks::Fault;
use crate::checks::matcher::shown;
use crate::sandbox::{FileKind, FileStat, Image};

/// How much of `/etc/passwd` and `/etc/group` is read.
const TABLE_BYTES: u64 = 1 << 20;

/// Users and groups of an image.
pub(super) struct Names {
    pub(super) users: Table,
    pub(super) groups: Table,
    /// Primary group by user id.
    primary: BTreeMap<u64, u64>,
    /// Names of a group's members, by group id.
    members: BTreeMap<u64, Vec<String>>,
}

/// Names by id.
#[derive(Default)]
pub(super) struct Table(BTreeMap<u64, String>);

impl Table {
    /// The name of an id, or the id.
    pub(super) fn name(&self, id: u64) -> String {
        match self.0.get(&id) {
            Some(name) => name.clone(),
            // Images from scratch have no table, and yet everybody calls user 0 root.
            None if id == 0 => "root".into(),
            None => id.to_string(),
        }
    }

    /// "`app` (1000)"
    pub(super) fn both(&self, id: u64) -> String {
        let name = self.name(id);
        if name == id.to_string() { format!("`{id}`") } else { format!("{} ({id})", shown(&name)) }
    }

    /// A name as it is compared: an id is its name where it has one.
    pub(super) fn spelled(&self, written: &str) -> String {
        written.parse().map_or_else(|_| written.to_owned(), |id| self.name(id))
    }

    fn id(&self, written: &str) -> Option<u64> {
        let named = self.0.iter().find(|(_, name)| *name == written).map(|(id, _)| *id);
        named.or_else(|| written.parse().ok()).or((written == "root").then_some(0))
    }
}

impl Names {
    pub(super) async fn read(image: &Image) -> Result<Self, Fault> {
        let (passwd, group) =
            tokio::try_join!(image.read("/etc/passwd", TABLE_BYTES), image.read("/etc/group", TABLE_BYTES))?;
        let (passwd, group) = (passwd.unwrap_or_default(), group.unwrap_or_default());
        Ok(Self::parse(&String::from_utf8_lossy(&passwd), &String::from_utf8_lossy(&group)))
    }

    /// `passwd(5)` and `group(5)`; lines that are none are passed over, as the C library does. Of two
    /// lines with one id the first counts.
    fn parse(passwd: &str, group: &str) -> Self {
        let mut names = Self {
            users: Table::default(),
            groups: Table::default(),
            primary: BTreeMap::new(),
            members: BTreeMap::new(),
        };
        for line in passwd.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            if let [name, _, uid, gid, ..] = fields[..]
                && let (Ok(uid), Ok(gid)) = (uid.parse(), gid.parse())
            {
                names.users.0.entry(uid).or_insert_with(|| name.to_owned());
                names.primary.entry(uid).or_insert(gid);
            }
        }
        for line in group.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            if let [name, _, gid, ..] = fields[..]
                && let Ok(gid) = gid.parse()
            {
                names.groups.0.entry(gid).or_insert_with(|| name.to_owned());
                let members = fields.get(3).into_iter().flat_map(|list| list.split(','));
                names.members.entry(gid).or_default().extend(members.map(str::to_owned));
            }
        }
        names
    }

    /// The line that `ls -l` would print, about.
    pub(super) fn listing(&self, path: &str, stat: &FileStat) -> String {
        let kind = match stat.kind {
            FileKind::File => '-',
            FileKind::Directory => 'd',
            FileKind::Symlink => 'l',
            FileKind::Other => '?',
        };
        let bit = |mask: u32, letter: char| if stat.mode & mask == 0 { '-' } else { letter };
        let special =
            |mask: u32, execute: u32, letter: char| match (stat.mode & mask != 0, stat.mode & execute != 0) {
                (false, false) => '-',
                (false, true) => 'x',
                (true, true) => letter,
                (true, false) => letter.to_ascii_uppercase(),
            };
        let bits: String = [
            kind,
            bit(0o400, 'r'),
            bit(0o200, 'w'),
            special(0o4000, 0o100, 's'),
            bit(0o040, 'r'),
            bit(0o020, 'w'),
            special(0o2000, 0o010, 's'),
            bit(0o004, 'r'),
            bit(0o002, 'w'),
            special(0o1000, 0o001, 't'),
        ]
        .iter()
        .collect();
        let target = stat.link_target.as_ref().map(|target| format!(" -> {target}")).unwrap_or_default();
        format!(
            "{bits} {} {} {} {path}{target}",
            self.users.name(stat.uid),
            self.groups.name(stat.gid),
            stat.size_bytes
        )
    }
}

/// What is there, for a phrase.
pub(super) trait KindName {
    fn kind_name(&self) -> &'static str;
}

impl KindName for FileStat {
    fn kind_name(&self) -> &'static str {
        match self.kind {
            FileKind::File => "a file",
            FileKind::Directory => "a directory",
            FileKind::Symlink => "a link",
            FileKind::Other => "something that is neither file, directory nor link",
        }
    }
}

/// As whom a file is executed.
enum Somebody {
    /// Whoever it is.
    Everyone,
    User {
        uid: u64,
        groups: Vec<u64>,
    },
}

impl Somebody {
    /// `Err`: a sentence part for the student or author about a user that there is not.
    fn find(written: &str, names: &Names, image_user: &str) -> Result<Self, String> {
        if written == "everyone" {
            return Ok(Self::Everyone);
        }
        let written = if written == "image_user" { image_user } else { written };
        let (user, group) = match written.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (written, None),
        };
        let user = if user.is_empty() { "0" } else { user };
        let uid = names.users.id(user).ok_or_else(|| format!("the image has no user {}", shown(user)))?;
        let mut groups = match group {
            Some(group) => {
                vec![
                    names
                        .groups
                        .id(group)
                        .ok_or_else(|| format!("the image has no group {}", shown(group)))?,
                ]
            }
            // Docker gives a user without an entry the group 0.
            None => vec![names.primary.get(&uid).copied().unwrap_or(0)],
        };
        if let Some(name) = names.users.0.get(&uid) {
            groups.extend(names.members.iter().filter(|(_, list)| list.contains(name)).map(|(gid, _)| *gid));
        }
        Ok(Self::User { uid, groups })
    }

    /// Whether the execute (or search) bit counts for them. User 0 may execute what anybody may, and
    /// may search every folder (`CAP_DAC_OVERRIDE` or not, root owns what matters here).
    fn may(&self, stat: &FileStat) -> bool {
        match self {
            Self::Everyone => stat.mode & 0o111 == 0o111,
            Self::User { uid: 0, .. } => stat.mode & 0o111 != 0 || stat.kind == FileKind::Directory,
            Self::User { uid, .. } if *uid == stat.uid => stat.mode & 0o100 != 0,
            Self::User { groups, .. } if groups.contains(&stat.gid) => stat.mode & 0o010 != 0,
            Self::User { .. } => stat.mode & 0o001 != 0,
        }
    }
}

/// Links that are followed at most, as in the kernel.
const LINKS: usize = 40;

/// Whether somebody may execute the file at `path`, links followed; `Ok(Err(why not))`.
pub(super) async fn executable(
    image: &Image,
    path: &str,
    who: &str,
    names: &Names,
) -> Result<Result<(), String>, Fault> {
    let somebody = match Somebody::find(who, names, &image.config().user) {
        Ok(somebody) => somebody,
        Err(why) => return Ok(Err(why)),
    };
    let mut done: Vec<String> = Vec::new();
    let mut todo: Vec<String> = parts(path);
    todo.reverse();
    let mut links = 0;
    while let Some(part) = todo.pop() {
        if part == ".." {
            done.pop();
            continue;
        }
        done.push(part);
        let here = format!("/{}", done.join("/"));
        let Some(stat) = image.stat(&here).await? else {
            return Ok(Err(format!("there is nothing at {}", shown(&here))));
        };
        match (stat.kind, &stat.link_target) {
            (FileKind::Symlink, Some(target)) => {
                links += 1;
                if links > LINKS {
                    return Ok(Err("its links never end".into()));
                }
                if target.starts_with('/') {
                    done.clear();
                } else {
                    done.pop();
                }
                todo.extend(parts(target).into_iter().rev());
            }
            (FileKind::Directory, _) if todo.is_empty() => return Ok(Err("it is a directory".into())),
            _ if !somebody.may(&stat) => {
                let mode = stat.mode & 0o7777;
                return Ok(Err(if todo.is_empty() {
                    format!("its mode is {mode:04o}, its owner {}", names.users.both(stat.uid))
                } else {
                    format!("the folder {} has mode {mode:04o}", shown(&here))
                }));
            }
            _ => {}
        }
    }
    Ok(Ok(()))
}

fn parts(path: &str) -> Vec<String> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect()
}
