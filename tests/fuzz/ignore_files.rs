//! Ignore files: the last line that fits decides, and how paths are asked for changes nothing.

use drydock::submissions::dockerignore::{Dockerignore, Walk};
use proptest::prelude::*;

use super::seeds::{cases, each};

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec("[ab.]{1,3}".prop_filter("a name", |name| name != "." && name != ".."), 1..4)
        .prop_map(|parts| parts.join("/"))
}

fn line() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        3 => "[ab.]{1,2}", 1 => Just("*".to_owned()), 1 => Just("**".to_owned()), 1 => Just("a*".to_owned()),
        1 => Just("?".to_owned()), 1 => Just("[ab]".to_owned()),
    ];
    (any::<bool>(), prop::collection::vec(part, 1..4))
        .prop_map(|(lets_in, parts)| format!("{}{}", if lets_in { "!" } else { "" }, parts.join("/")))
}

fn read(lines: &[String]) -> Dockerignore {
    Dockerignore::read(lines.join("\n").as_bytes())
}

proptest! {
    #![proptest_config(cases(120))]

    #[test]
    fn the_last_line_decides(lines in prop::collection::vec(line(), 0..8), path in path()) {
        let with = |last: &str| read(&[lines.as_slice(), &[last.to_owned()]].concat()).ignores(&path);
        prop_assert!(with("**"));
        prop_assert!(!with("!**"));
        prop_assert!(with(&path));
        let back = format!("!{path}");
        prop_assert!(!with(&back));
    }

    #[test]
    fn what_says_nothing_changes_nothing(lines in prop::collection::vec(line(), 1..8), paths in prop::collection::vec(path(), 1..6)) {
        let plain = read(&lines);
        let spelled: Vec<String> = lines
            .iter()
            .flat_map(|line| {
                let (sign, path) = line.strip_prefix('!').map_or(("", line.as_str()), |path| ("!", path));
                ["# **".to_owned(), String::new(), format!("  {sign} ./{path}/ \r")]
            })
            .collect();
        let spelled = read(&spelled);
        let twice = read(&lines.iter().flat_map(|line| [line.clone(), line.clone()]).collect::<Vec<_>>());
        for path in &paths {
            prop_assert_eq!(plain.ignores(path), spelled.ignores(path), "{}", path);
            prop_assert_eq!(plain.ignores(path), twice.ignores(path), "{}", path);
        }
    }

    #[test]
    fn a_walk_says_what_a_single_look_says(lines in prop::collection::vec(line(), 0..8), paths in prop::collection::vec(path(), 1..20), sorted in any::<bool>()) {
        let ignore = read(&lines);
        let mut paths = paths;
        if sorted {
            paths.sort();
        }
        let mut walk = Walk::new(&ignore);
        for path in &paths {
            let (walked, alone) = (walk.look(path), ignore.verdict(path));
            prop_assert_eq!(walked.ignored, alone.ignored, "{}", path);
            prop_assert_eq!(walked.line.map(|line| line.number), alone.line.map(|line| line.number), "{}", path);
            prop_assert!(!alone.ignored || alone.line.is_some());
        }
    }

    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..300), path in path()) {
        let _ = Dockerignore::read(&bytes).ignores(&path);
    }

    #[test]
    fn any_signs_are_read(file in "[a!*?\\[\\]\\\\^./\n# -]{0,40}", path in path()) {
        let ignore = Dockerignore::read(file.as_bytes());
        if let Some(mistake) = ignore.mistake() {
            prop_assert!(mistake.line <= file.split('\n').count());
        }
        let _ = ignore.ignores(&path);
    }
}

#[test]
fn kept_inputs_are_read() {
    each("ignore_files", |_, bytes| {
        let ignore = Dockerignore::read(bytes);
        for path in ["a", "a/b", ".git", "node_modules/x/y.js"] {
            let _ = ignore.ignores(path);
        }
        let _ = ignore.ignores(&"a/".repeat(2_000));
    });
}
