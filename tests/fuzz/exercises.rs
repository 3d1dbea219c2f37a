//! Exercises: a definition that somebody got wrong is mistakes with places, whatever was done to it.

use std::sync::LazyLock;

use bytes::Bytes;
use drydock::exercises::Exercise;
use drydock::submissions::{Content, ContentLimits};
use proptest::prelude::*;

use super::seeds::{cases, each};

/// The shipped definitions.
static SHIPPED: LazyLock<Vec<String>> = LazyLock::new(|| {
    let folders = std::fs::read_dir("exercises").expect("exercises");
    let files = folders.map(|entry| entry.expect("a folder").path().join("exercise.yaml"));
    let mut texts: Vec<String> = files.filter_map(|file| std::fs::read_to_string(file).ok()).collect();
    texts.sort();
    texts
});

fn read(definition: &[u8]) {
    let files = vec![
        ("exercise.yaml".to_owned(), Bytes::copy_from_slice(definition)),
        ("README.md".to_owned(), Bytes::from_static(b"# It\n")),
        ("solution/Dockerfile".to_owned(), Bytes::from_static(b"FROM busybox:1.37\n")),
    ];
    let limits = ContentLimits { archive_bytes: 4 << 20, unpacked_bytes: 4 << 20, entries: 10 };
    let content = Content::from_files(files, &limits).expect("good files");
    if let Err(mistakes) = Exercise::from_content("it", &content) {
        assert!(!mistakes.is_empty(), "refused, and nobody knows why");
        for mistake in mistakes {
            assert!(!mistake.to_string().is_empty());
        }
    }
}

/// What people do to a file.
#[derive(Clone, Debug)]
enum Change {
    Remove,
    Double,
    Swap,
    Indent,
    Put(&'static str),
}

fn change() -> impl Strategy<Value = Change> {
    let texts = [
        "", "- ", "*a", "&a [*a]", "<<: *a", "{", "]", "'", "\"", "!!int x", "? ", "\t", "...", "---", "~",
        "1e999",
    ];
    prop_oneof![
        Just(Change::Remove),
        Just(Change::Double),
        Just(Change::Swap),
        Just(Change::Indent),
        prop::sample::select(texts.to_vec()).prop_map(Change::Put),
    ]
}

fn changed(text: &str, changes: &[(prop::sample::Index, Change)]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (at, change) in changes {
        if lines.len() < 2 {
            break;
        }
        let at = at.index(lines.len());
        match change {
            Change::Remove => drop(lines.remove(at)),
            Change::Double => lines.insert(at, lines[at].clone()),
            Change::Swap => lines.swap(at, 0),
            Change::Indent => lines[at].insert_str(0, "  "),
            Change::Put(text) => {
                // In the place of what follows the key.
                let end = lines[at].find(':').map_or(0, |colon| colon + 1);
                lines[at].truncate(end);
                lines[at].push(' ');
                lines[at].push_str(text);
            }
        }
    }
    lines.join("\n")
}

proptest! {
    #![proptest_config(cases(80))]

    #[test]
    fn a_definition_that_was_changed_is_read_or_told(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), change()), 1..5),
    ) {
        let shipped: &String = which.get(&SHIPPED);
        read(changed(shipped, &changes).as_bytes());
    }

    #[test]
    fn any_bytes_are_read_or_told(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read(&bytes);
    }

    #[test]
    fn a_document_comes_back_as_it_was(value in json(4)) {
        // JSON is YAML.
        let text = value.to_string();
        let read: serde_json::Value = drydock::yaml::parse(text.as_bytes()).expect("JSON").read().expect("any");
        prop_assert_eq!(read, value);
    }
}

fn json(depth: u32) -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i32>().prop_map(serde_json::Value::from),
        "[ -~é\n]{0,12}".prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(depth, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::from),
            prop::collection::btree_map("[a-z]{1,6}", inner, 0..5)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

#[test]
fn kept_inputs_are_read_or_told() {
    each("exercises", |_, bytes| read(bytes));
}
