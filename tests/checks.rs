//! Check kinds that need no engine: definitions as they are read, matchers, and what is found in
//! files, Dockerfiles, image configurations and answers. A good and a bad case for each part.

#[path = "checks/answers.rs"]
mod answers;
#[path = "checks/composes.rs"]
mod composes;
#[path = "checks/definitions.rs"]
mod definitions;
#[path = "checks/dockerfiles.rs"]
mod dockerfiles;
#[path = "checks/dockerignores.rs"]
mod dockerignores;
#[path = "checks/files.rs"]
mod files;
#[path = "checks/giveaway.rs"]
mod giveaway;
#[path = "checks/images.rs"]
mod images;
#[path = "checks/lint.rs"]
mod lint;
#[path = "checks/manual.rs"]
mod manual;
#[path = "checks/matchers.rs"]
mod matchers;
#[path = "checks/pipelines.rs"]
mod pipelines;
#[path = "checks/references.rs"]
mod references;
#[path = "checks/repositories.rs"]
mod repositories;
#[path = "checks/saved_images.rs"]
mod saved_images;

use std::collections::BTreeMap;

use bytes::Bytes;
use drydock::checks::matcher::Variables;
use drydock::checks::{Detail, Fault, Finding, Kind, Scene};
use drydock::clock::Clock;
use drydock::submissions::{Answer, Answers, Content, ContentLimits};
use indexmap::IndexMap;
use serde_json::Value;

/// A definition as an author writes it.
fn kind(name: &str, fields: &Value) -> Kind {
    read(name, fields).unwrap_or_else(|error| panic!("{name} {fields}: {error}"))
}

fn read(name: &str, fields: &Value) -> Result<Kind, String> {
    // By way of text, as a document is read: numbers and maps then arrive as they do from a file.
    let text = fields.to_string();
    Kind::read(name, &mut serde_json::Deserializer::from_str(&text)).map_err(|error| error.to_string())
}

fn variables() -> Variables {
    BTreeMap::from([("random".to_owned(), "r4nd0m".to_owned())])
}

fn content(files: &[(&str, &[u8])]) -> Content {
    let limits = ContentLimits { archive_bytes: 1 << 24, unpacked_bytes: 1 << 24, entries: 1000 };
    let files =
        files.iter().map(|(path, bytes)| ((*path).to_owned(), Bytes::copy_from_slice(bytes))).collect();
    Content::from_files(files, &limits).expect("good files")
}

/// What a check finds in files and answers.
async fn look(kind: &Kind, content: &Content, answers: &[(&str, Answer)]) -> Result<Finding, Fault> {
    let answers = Answers(answers.iter().map(|(id, answer)| ((*id).to_owned(), answer.clone())).collect());
    let scene = Scene {
        id: "it",
        content,
        answers: &answers,
        context: ".",
        dockerfile: Some("Dockerfile"),
        build_args: &IndexMap::new(),
        target: None,
        pulled: None,
        image: None,
        stack: None,
        composed: false,
        sandbox: None,
        variables: &variables(),
        clock: &Clock::system(),
    };
    kind.look(&scene).await
}

#[track_caller]
fn passed(finding: &Finding) -> &Detail {
    match finding {
        Finding::Passed(detail) => detail,
        other => panic!("should have passed: {other:#?}"),
    }
}

#[track_caller]
fn failed(finding: &Finding) -> &Detail {
    match finding {
        Finding::Failed(detail) => detail,
        other => panic!("should have failed: {other:#?}"),
    }
}
