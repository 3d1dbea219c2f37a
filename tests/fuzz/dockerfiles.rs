//! Dockerfiles: how a file is written does not change what it says.

use drydock::submissions::dockerfile::Dockerfile;
use drydock::submissions::dockerfile::lint::lint;
use proptest::prelude::*;

use super::seeds::{cases, each};

/// One instruction on a line of its own.
fn instruction() -> impl Strategy<Value = String> {
    let word = "[a-z0-9./_][a-z0-9./_-]{0,11}";
    prop_oneof![
        3 => prop::collection::vec(word, 1..6).prop_map(|words| format!("RUN {}", words.join(" "))),
        2 => (word, word).prop_map(|(from, to)| format!("COPY --chown=app {from} {to}")),
        1 => ("[A-Z]{1,6}", word).prop_map(|(name, value)| format!("ENV {name}={value}")),
        1 => word.prop_map(|folder| format!("WORKDIR /{folder}")),
        1 => prop::collection::vec(word, 1..4).prop_map(|words| format!("CMD {}", serde_json::json!(words))),
        1 => (1_u16..).prop_map(|port| format!("EXPOSE {port}")),
        1 => ("[a-z]{1,8}", "[a-z]{1,8}").prop_map(|(image, stage)| format!("FROM {image}:1 AS {stage}x")),
        1 => word.prop_map(|user| format!("onbuild user {user}")),
    ]
}

fn lines() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(instruction(), 0..12).prop_map(|mut lines| {
        lines.insert(0, "FROM base:1".into());
        lines
    })
}

/// What a file says, without the lines it says it on.
fn said(text: &str) -> Vec<String> {
    let source = Dockerfile::read(text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"));
    source.instructions.iter().map(ToString::to_string).collect()
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn line_ends_marks_and_comments_say_nothing(lines in lines(), comment in "[ -~]{0,20}", at in any::<prop::sample::Index>()) {
        let plain = lines.join("\n") + "\n";
        let expected = said(&plain);
        prop_assert_eq!(expected.len(), lines.len());
        prop_assert_eq!(&said(&lines.join("\r\n")), &expected);
        prop_assert_eq!(&said(&format!("\u{feff}{plain}")), &expected);
        let mut commented = lines.clone();
        // Not in front, where it could be a directive.
        commented.insert(at.index(lines.len()) + 1, format!("# {comment}"));
        commented.push(String::new());
        prop_assert_eq!(&said(&commented.join("\n")), &expected);
    }

    #[test]
    fn what_is_read_is_read_again_as_the_same(lines in lines()) {
        let once = said(&lines.join("\n"));
        prop_assert_eq!(&said(&once.join("\n")), &once);
    }

    #[test]
    fn every_instruction_is_in_one_stage_and_on_its_line(lines in lines()) {
        let source = Dockerfile::read(lines.join("\n").as_bytes()).expect("good");
        let numbers: Vec<usize> = source.instructions.iter().map(|step| step.line).collect();
        prop_assert_eq!(numbers, (1..=lines.len()).collect::<Vec<_>>());
        let mut next = 0;
        for stage in &source.stages {
            prop_assert_eq!(stage.range.start, next);
            next = stage.range.end;
        }
        prop_assert_eq!(next, lines.len());
    }

    #[test]
    fn a_spoilt_file_is_read_or_refused(lines in lines(), spoil in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = lines.join("\n").into_bytes();
        for (at, byte) in spoil {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Err(error) = Dockerfile::read(&bytes) {
            prop_assert!(!error.to_string().is_empty());
        }
        let _ = lint(&bytes, None);
    }
}

#[test]
fn kept_inputs_are_read_or_refused() {
    each("dockerfiles", |_, bytes| {
        let _ = Dockerfile::read(bytes);
        let _ = lint(bytes, None);
    });
}
