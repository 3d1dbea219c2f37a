//! One check before a real engine: read from its definition, carried out, its finding looked at.

use std::collections::BTreeMap;

use bytes::Bytes;
use drydock::checks::{Detail, Finding, Kind, Scene};
use drydock::clock::Clock;
use drydock::sandbox::{BuildRequest, Image, Sandbox, Stack};
use drydock::submissions::{Answers, Content, ContentLimits};
use indexmap::IndexMap;
use serde_json::Value;

use crate::common::silent;

/// What a check may look at.
pub struct Stage<'a> {
    pub sandbox: &'a Sandbox,
    pub content: Content,
    pub image: Option<Image>,
    pub stack: Option<&'a Stack>,
}

impl<'a> Stage<'a> {
    /// Nothing was handed in, nothing was built, nothing runs.
    pub fn empty(sandbox: &'a Sandbox) -> Self {
        Self { sandbox, content: Content::empty(), image: None, stack: None }
    }

    /// What was handed in, and the image built from it.
    pub async fn build(sandbox: &'a Sandbox, files: &[(&str, &str)], args: &[(&str, &str)]) -> Self {
        let limits = ContentLimits { archive_bytes: 1 << 24, unpacked_bytes: 1 << 24, entries: 1000 };
        let files = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), Bytes::copy_from_slice(text.as_bytes())))
            .collect();
        let content = Content::from_files(files, &limits).expect("good");
        let request = BuildRequest {
            context: content.build_context("Dockerfile").tar(),
            dockerfile: "Dockerfile".into(),
            args: args.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            ..BuildRequest::default()
        };
        let built = sandbox.build(request, silent()).await.expect("an image");
        let image = sandbox.image(&built.image).await.expect("the image");
        Self { sandbox, content, image: Some(image), stack: None }
    }

    pub async fn look(&self, name: &str, fields: &Value) -> Finding {
        let kind = Kind::read(name, &mut serde_json::Deserializer::from_str(&fields.to_string()))
            .unwrap_or_else(|error| panic!("{name} {fields}: {error}"));
        let scene = Scene {
            id: "it",
            content: &self.content,
            answers: &Answers::default(),
            context: ".",
            dockerfile: Some("Dockerfile"),
            build_args: &IndexMap::new(),
            target: None,
            pulled: None,
            image: self.image.as_ref(),
            stack: self.stack,
            composed: false,
            sandbox: Some(self.sandbox),
            variables: &BTreeMap::from([("random".to_owned(), "r4nd0m".to_owned())]),
            clock: &Clock::system(),
        };
        let found = tokio::time::timeout(kind.deadline(), kind.look(&scene)).await;
        found
            .unwrap_or_else(|_| panic!("{name} {fields} took too long"))
            .unwrap_or_else(|fault| panic!("{name} {fields}: {fault}"))
    }

    pub async fn passes(&self, name: &str, fields: Value) -> Detail {
        match self.look(name, &fields).await {
            Finding::Passed(detail) => detail,
            other => panic!("{name} {fields} should pass: {other:#?}"),
        }
    }

    /// Fails, and the observation has this in it.
    pub async fn fails(&self, name: &str, fields: Value, observed: &str) -> Detail {
        match self.look(name, &fields).await {
            Finding::Failed(detail) => {
                assert!(detail.observed.contains(observed), "{name} {fields}: {detail:#?}");
                assert!(!detail.expected.is_empty(), "{name} {fields}: {detail:#?}");
                detail
            }
            other => panic!("{name} {fields} should fail: {other:#?}"),
        }
    }
}

/// The text of a piece of evidence.
#[track_caller]
pub fn proof<'a>(detail: &'a Detail, title: &str) -> &'a str {
    let found = detail.evidence.iter().find(|evidence| evidence.title == title);
    &found.unwrap_or_else(|| panic!("no evidence {title:?} in {detail:#?}")).text
}
