//! The images that services of a compose file build, one after another.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use indexmap::IndexMap;

use super::super::course::Course;
use super::super::grade::{Halt, Walk};
use super::plan::{self, Plan};
use crate::exercises::Build;
use crate::sandbox::Sandbox;
use crate::submissions::compose::model::{self, SharedFile};
use crate::submissions::{Content, ContentLimits};

/// Name of the file that a Dockerfile written in the compose file gets.
const INLINE: &str = ".drydock-inline.Dockerfile";

impl Walk<'_> {
    /// Builds the images of all services; their ids.
    pub(super) async fn build_all(
        &self,
        course: &mut Course<'_>,
        plan: &Plan,
        content: &Content,
        sandbox: &Sandbox,
    ) -> Result<HashMap<String, String>, Halt> {
        let mut images = HashMap::new();
        for (service, build) in &plan.builds {
            let image =
                self.build_service(course, build, &plan.secrets, content, sandbox).await.map_err(|halt| {
                    match halt {
                        Halt::Student(sentence, proof) => {
                            Halt::Student(format!("The image of the service `{service}`: {sentence}"), proof)
                        }
                        halt @ Halt::Fault(_) => halt,
                    }
                })?;
            images.insert(service.clone(), image);
        }
        Ok(images)
    }

    async fn build_service(
        &self,
        course: &mut Course<'_>,
        build: &model::Build,
        shared: &IndexMap<String, SharedFile>,
        content: &Content,
        sandbox: &Sandbox,
    ) -> Result<String, Halt> {
        let dockerfile = match &build.dockerfile_inline {
            Some(_) => INLINE.to_owned(),
            None => build.dockerfile.clone().unwrap_or_else(|| "Dockerfile".into()),
        };
        let content = match &build.dockerfile_inline {
            Some(text) => with_file(content, &build.context, text)?,
            None => content.clone(),
        };
        let wanted = Build {
            context: build.context.clone(),
            dockerfile,
            target: build.target.clone(),
            args: build.args.clone(),
            internet: false,
            secrets: Vec::new(),
        };
        let (mut request, only_buildkit) = self.build_request(&wanted, &build.args, &content)?;
        request.labels.clone_from(&build.labels);
        request.own_secrets = secrets(build, shared, &content)?;
        self.build_image(course, sandbox, request, only_buildkit).await
    }
}

/// The submission with a Dockerfile in the folder of a build.
fn with_file(content: &Content, folder: &str, text: &str) -> Result<Content, Halt> {
    let path = if folder == "." { INLINE.to_owned() } else { format!("{folder}/{INLINE}") };
    let limits = ContentLimits { archive_bytes: 1 << 24, unpacked_bytes: 1 << 24, entries: 8 };
    // A second file keeps the folder from being taken for a wrapper.
    let files = vec![(path, Bytes::copy_from_slice(text.as_bytes())), (".drydock-keep".into(), Bytes::new())];
    let file = Content::from_files(files, &limits).map_err(|refusal| {
        Halt::Student(format!("its `dockerfile_inline` cannot be used: {refusal}"), None)
    })?;
    Ok(content.overlaid(&file))
}

/// The secrets that steps of a build may mount, by their ids.
fn secrets(
    build: &model::Build,
    shared: &IndexMap<String, SharedFile>,
    content: &Content,
) -> Result<BTreeMap<String, String>, Halt> {
    let text = |mount: &model::FileMount| {
        let bytes = plan::bytes(shared, &mount.source, content)?;
        let text = String::from_utf8(bytes.to_vec()).map_err(|_| {
            let sentence =
                format!("its secret `{}` is not UTF-8 text, which a build's has to be.", mount.source);
            Halt::Student(sentence, None)
        })?;
        let id = if mount.target.is_empty() { &mount.source } else { &mount.target };
        Ok((id.clone(), text))
    };
    build.secrets.iter().map(text).collect()
}
