//! The rooms depend on each other in one direction only, and each keeps to what it may know.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from the bottom up: a room may use the ones on lower floors, never its own floor's
/// others or higher ones.
const FLOORS: &[&[&str]] = &[
    &["addresses", "clock", "text", "tls"],
    &["tree", "units", "ulimits"],
    &["yaml"],
    &["config"],
    &["report", "sandbox", "submissions", "terms"],
    &["checks"],
    &["exercises", "accounts"],
    &["store"],
    &["live"],
    &["grading", "web"],
];

/// Libraries that only some rooms may name.
const RESERVED: &[(&str, &[&str])] = &[
    ("bollard", &["sandbox"]),
    ("sqlx", &["store"]),
    ("axum", &["web"]),
    ("askama", &["web"]),
    ("openidconnect", &["accounts"]),
    ("anyhow", &[]),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("src can be listed") {
        let path = entry.expect("src can be listed").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn room_of(path: &Path) -> String {
    let first = path.strip_prefix("src").expect("below src").components().next().expect("a name");
    first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// Every room with its files' code, without comments and unit tests.
fn rooms() -> BTreeMap<String, Vec<(PathBuf, String)>> {
    let mut rooms: BTreeMap<String, Vec<(PathBuf, String)>> = BTreeMap::new();
    for path in sources(Path::new("src")) {
        let room = room_of(&path);
        if matches!(room.as_str(), "main" | "lib" | "cli") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a source file is text");
        let text = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>();
        rooms.entry(room).or_default().push((path, code.join("\n")));
    }
    rooms
}

/// The rooms that a piece of code names as `crate::room`, also in `use crate::{a, b::c}`.
fn named_rooms(code: &str) -> Vec<String> {
    let mut named = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut name = String::new();
            for letter in group.chars() {
                match letter {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => named.push(std::mem::take(&mut name)),
                    letter if depth == 0 => name.push(letter),
                    _ => (),
                }
            }
            named.push(name);
        } else {
            named
                .push(rest.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect());
        }
    }
    named.iter().map(|name| name.trim().split("::").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn dependencies_go_down_only() {
    let floor = |room: &str| FLOORS.iter().position(|floor| floor.contains(&room));
    let mut wrong = Vec::new();
    for (room, files) in rooms() {
        let Some(own) = floor(&room) else {
            wrong.push(format!("src/{room} has no floor in this test"));
            continue;
        };
        for (path, code) in files {
            for other in named_rooms(&code) {
                if other != room && floor(&other).is_some_and(|other| other >= own) {
                    wrong.push(format!("{}: {room} must not know {other}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn libraries_stay_in_their_rooms() {
    let mut wrong = Vec::new();
    for (room, files) in rooms() {
        for (path, code) in files {
            for (library, may) in RESERVED {
                let names = [format!("use {library}"), format!("{library}::")];
                if !may.contains(&room.as_str()) && names.iter().any(|name| names_library(&code, name)) {
                    wrong.push(format!("{}: {room} must not use {library}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether `name` stands in the code as a word of its own (`sqlx::`, not `xsqlx::`).
fn names_library(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        !code[..at].ends_with(|letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':')
    })
}

#[test]
fn migrations_are_the_same_files_for_both_databases() {
    let names = |folder: &str| {
        let mut names: Vec<_> = fs::read_dir(folder)
            .expect("migrations can be listed")
            .map(|entry| entry.expect("migrations can be listed").file_name())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names("migrations/sqlite"), names("migrations/postgres"));
    assert!(!names("migrations/sqlite").is_empty());
    let listed = fs::read_to_string("src/store/database.rs").expect("it can be read");
    for name in names("migrations/sqlite") {
        let name = name.to_string_lossy().into_owned();
        assert!(listed.contains(&format!("\"{name}\"")), "src/store/database.rs does not list {name}");
    }
}
