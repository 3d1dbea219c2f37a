//! Which images an exercise stands on.

use indexmap::IndexSet;

use super::exercise::Exercise;
use crate::submissions::compose::{self, Options};
use crate::submissions::dockerfile::Dockerfile;
use crate::submissions::{Content, compose::model};

impl Exercise {
    /// The images that have to be on the engine for a right solution to be graded: those of the exercise's own
    /// services, and those that the solution's Dockerfiles and compose file name. In that order, each once.
    #[must_use]
    pub fn images(&self) -> IndexSet<String> {
        let mut images = IndexSet::new();
        if let Some(stack) = &self.stack {
            images.extend(stack.services.values().filter_map(|service| service.image.clone()));
        }
        let Some(solution) = self.solution() else { return images };
        if let Some(build) = &self.build
            && let Some(dockerfile) = dockerfile(&solution, &build.path())
        {
            images.extend(dockerfile.images(&build.args));
        }
        if let Some(run) = &self.compose {
            let options = Options {
                file: run.file.clone(),
                name: self.slug.clone(),
                profiles: run.profiles.clone(),
                ..Options::default()
            };
            for service in compose::read(&solution, &options).project.services.values() {
                match &service.build {
                    Some(build) => images.extend(bases(&solution, build)),
                    None => images.extend(service.image.clone()),
                }
            }
        }
        images
    }
}

fn bases(solution: &Content, build: &model::Build) -> IndexSet<String> {
    let read = if let Some(text) = &build.dockerfile_inline {
        Dockerfile::read(text.as_bytes()).ok()
    } else {
        let name = build.dockerfile.as_deref().unwrap_or("Dockerfile");
        let folder = if build.context == "." { String::new() } else { format!("{}/", build.context) };
        dockerfile(solution, &format!("{folder}{name}"))
    };
    read.map(|dockerfile| dockerfile.images(&build.args)).unwrap_or_default().into_iter().collect()
}

fn dockerfile(solution: &Content, path: &str) -> Option<Dockerfile> {
    Dockerfile::read(solution.file(path)?).ok()
}
