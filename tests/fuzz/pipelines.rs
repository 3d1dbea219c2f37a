//! CI definitions: any YAML, and any script in one.

use drydock::submissions::pipeline::{Pipeline, Step};
use proptest::prelude::*;

use super::seeds::{cases, each};

const ALL: [Step; 3] = [Step::Build, Step::Push, Step::Deploy];

fn look(bytes: &[u8]) {
    let Ok(pipeline) = Pipeline::read(bytes) else { return };
    let lines = bytes.split(|byte| *byte == b'\n').count();
    for (index, action) in pipeline.actions.iter().enumerate() {
        assert!(action.unit < pipeline.units.len());
        assert!((1..=lines + 1).contains(&action.line), "line {} of {lines}", action.line);
        assert!(!pipeline.is_before(index, index));
        let _ = pipeline.starts_on(action.unit, "main");
    }
    for same_image in [false, true] {
        if let Some(chain) = pipeline.chain(&ALL, same_image) {
            assert_eq!(chain.len(), ALL.len());
            assert!(chain.windows(2).all(|pair| pipeline.is_before(pair[0], pair[1])));
        }
    }
}

fn word() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "docker",
        "build",
        "push",
        "-t",
        "a",
        "a:1",
        "$TAG",
        "${{ env.TAG }}",
        "${TAG:-a}",
        "gcloud",
        "run",
        "deploy",
        "--image",
        "kubectl",
        "apply",
        "&&",
        ";",
        "|",
        "\"",
        "'",
        "$(",
        ")",
        "`",
        "\\",
        "<<E",
        "E",
        "TAG=1",
        "if",
        "fi",
        "bash",
        "-c",
        "ssh",
        "host",
        "sudo",
        ">> $GITHUB_ENV",
        "echo",
        "#",
        "é",
        "{",
        "}",
        "case",
        "esac",
    ])
}

fn key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "jobs",
        "steps",
        "run",
        "uses",
        "with",
        "needs",
        "on",
        "push",
        "branches",
        "env",
        "if",
        "script",
        "stages",
        "stage",
        "extends",
        "rules",
        "only",
        "variables",
        "args",
        "name",
        "entrypoint",
        "waitFor",
        "id",
        "images",
        "a",
        "b",
        ".c",
        "docker/build-push-action@v6",
        "before_script",
        "default",
        "workflow",
        "tags",
    ])
}

fn node() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        key().prop_map(serde_json::Value::from),
        prop::collection::vec(word(), 1..8).prop_map(|words| serde_json::Value::from(words.join(" "))),
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
            prop::collection::vec((key(), inner), 0..6).prop_map(|entries| {
                serde_json::Value::Object(
                    entries.into_iter().map(|(key, node)| (key.to_owned(), node)).collect(),
                )
            }),
        ]
    })
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn any_tree_is_read_or_refused(root in node(), jobs in prop::collection::vec(node(), 0..4)) {
        look(root.to_string().as_bytes());
        let jobs: serde_json::Map<_, _> =
            jobs.into_iter().enumerate().map(|(index, steps)| (format!("j{index}"), serde_json::json!({"steps": [steps], "needs": format!("j{}", index / 2)}))).collect();
        look(serde_json::json!({"on": "push", "jobs": jobs}).to_string().as_bytes());
    }

    #[test]
    fn any_script_is_read(words in prop::collection::vec(word(), 0..30), block in any::<bool>()) {
        let script = words.join(" ");
        let text = if block {
            format!("on: push\njobs:\n  a:\n    steps:\n      - run: |\n          {}\n", script.replace(';', "\n          "))
        } else {
            format!("a:\n  script:\n    - {}\n", serde_json::json!(script))
        };
        look(text.as_bytes());
    }
}

#[test]
fn kept_inputs_are_read_or_refused() {
    each("pipelines", |_, bytes| look(bytes));
}
