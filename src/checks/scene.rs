//! What checks may look at, and what their definitions stand in.

use std::time::Duration;

use indexmap::IndexMap;

use super::file::listing;
use super::matcher::{Variables, shown};
use super::{Detail, Fault, Finding};
use crate::clock::Clock;
use crate::sandbox::{Image, Sandbox, Service, ServiceSpec, Stack, StackSpec};
use crate::submissions::remote::Platform;
use crate::submissions::{Answers, Content};
use crate::units::Span;

/// What a check may look at. An image is there from the phase `image` on, a stack from `run` on;
/// `grading` runs no check before its phase.
pub struct Scene<'a> {
    /// The check's id, by which answers are found.
    pub id: &'a str,
    /// The submitted files.
    pub content: &'a Content,
    /// The submitted answers.
    pub answers: &'a Answers,
    /// Folder of the content that is the build's context; `.` is all of it.
    pub context: &'a str,
    /// Path of the Dockerfile that is built, in the content, where something is built.
    pub dockerfile: Option<&'a str>,
    /// Build arguments that the exercise gives.
    pub build_args: &'a IndexMap<String, String>,
    /// The stage that the exercise builds, where it is not the last.
    pub target: Option<&'a str>,
    /// The image that was handed in by its reference.
    pub pulled: Option<Pulled<'a>>,
    /// The image under test.
    pub image: Option<&'a Image>,
    /// The running stack.
    pub stack: Option<&'a Stack>,
    /// Whether the submission itself says of what the stack consists.
    pub composed: bool,
    /// For `command` with `fresh: true`.
    pub sandbox: Option<&'a Sandbox>,
    /// Values made for this grading alone, by name (`random` among them); `${name}` in texts of a
    /// check stands for them.
    pub variables: &'a Variables,
    /// For measuring and waiting.
    pub clock: &'a Clock,
}

impl<'a> Scene<'a> {
    /// The service called `name`; without a name `app`, or the first.
    ///
    /// # Errors
    /// [`Fault::Exercise`] when the stack has none of that name.
    pub fn service(&self, name: Option<&str>) -> Result<&'a Service, Fault> {
        let stack = self.stack()?;
        let found = match name {
            Some(name) => stack.service(name),
            None => stack.main_service(),
        };
        let name = name.unwrap_or("app");
        found.ok_or_else(|| {
            if self.composed {
                Fault::NoService(name.to_owned(), stack.names().map(str::to_owned).collect())
            } else {
                Fault::Exercise(format!("the stack has no service `{name}`"))
            }
        })
    }

    /// A second service, where a check names one.
    ///
    /// # Errors
    /// [`Fault::Exercise`] when the stack has none of that name.
    pub(super) fn other(&self, name: Option<&str>) -> Result<Option<&'a Service>, Fault> {
        name.map(|name| self.service(Some(name))).transpose()
    }

    /// Who asks, and the service that is asked; without `from` it is asked from its own place.
    ///
    /// # Errors
    /// [`Fault::Exercise`] when the stack has none of these names.
    pub(super) fn ends(
        &self,
        service: Option<&str>,
        from: Option<&str>,
    ) -> Result<(&'a Service, &'a Service), Fault> {
        let target = self.service(service)?;
        Ok((self.other(from)?.unwrap_or(target), target))
    }

    /// Path and text of the Dockerfile that a check with this `path` looks at: the built one where
    /// nothing is said.
    ///
    /// # Errors
    /// What was found instead.
    pub(super) fn dockerfile<'p>(
        &'p self,
        path: Option<&'p str>,
    ) -> Result<(&'p str, &'p [u8]), Box<Finding>> {
        let path = path.or(self.dockerfile).unwrap_or("Dockerfile");
        let path = path.strip_prefix("./").unwrap_or(path);
        self.content.file(path).map(|text| (path, text.as_ref())).ok_or_else(|| {
            let detail = Detail::new(
                format!("a Dockerfile at {}", shown(path)),
                format!("there is no file {}", shown(path)),
            );
            Box::new(Finding::Failed(detail.proof("What was handed in", listing(self.content))))
        })
    }

    /// The running stack.
    ///
    /// # Errors
    /// [`Fault::Exercise`] when there is none.
    pub fn stack(&self) -> Result<&'a Stack, Fault> {
        self.stack.ok_or_else(|| Fault::Exercise("this check needs a running stack".into()))
    }

    /// All containers of the service called `name`.
    #[must_use]
    pub fn replicas(&self, name: &str) -> &'a [Service] {
        self.stack.map_or(&[], |stack| stack.replicas(name))
    }

    /// The image under test.
    ///
    /// # Errors
    /// [`Fault::Exercise`] when there is none.
    pub fn image(&self) -> Result<&'a Image, Fault> {
        self.image
            .ok_or_else(|| Fault::Exercise("this check needs an image, and the exercise makes none".into()))
    }
}

/// An image that was handed in by its reference, and pulled.
#[derive(Clone, Copy, Debug)]
pub struct Pulled<'a> {
    /// As it was handed in.
    pub reference: &'a str,
    /// What it stood for, `sha256:…`.
    pub digest: &'a str,
    /// What it is made for.
    pub platform: &'a Platform,
}

/// What a submission brings to be run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tested {
    /// Nothing.
    #[default]
    Nothing,
    /// An image that is built from its files.
    Built,
    /// A finished image.
    HandedIn,
    /// A compose file of its own.
    Composed,
}

/// What the definition around a check offers, so that a check can tell when it is read that it
/// could never work.
#[derive(Clone, Debug, Default)]
pub struct Surroundings<'a> {
    /// Whether the exercise builds an image, and from which Dockerfile.
    pub dockerfile: Option<&'a str>,
    /// What is run of the submission.
    pub tested: Tested,
    /// Names of the stack's services.
    pub services: Vec<&'a str>,
    /// The stack as the exercise describes it, where it does.
    pub stack: Option<&'a StackSpec>,
    /// Whether the submission's compose file says what runs.
    pub composed: bool,
    /// Whether files are handed in.
    pub takes_files: bool,
    /// Whether answers are handed in.
    pub takes_answers: bool,
    /// Wall clock of everything that runs after the build (`limits.run_time`).
    pub run_time: Duration,
}

impl Surroundings<'_> {
    /// The service that is meant where none is named.
    pub(super) fn main_service(&self) -> Option<&str> {
        self.services.iter().find(|name| **name == "app").or(self.services.first()).copied()
    }

    /// The service that a check is about; without a name the main one.
    pub(super) fn service(&self, field: &str, name: Option<&str>, mistakes: &mut Vec<String>) {
        self.running(mistakes);
        if self.composed && name.is_none() {
            mistakes.push(format!("`{field}` has to name a service of the submission's compose file"));
        }
        self.other(field, name, mistakes);
    }

    /// For a check of the stack as a whole.
    pub(super) fn running(&self, mistakes: &mut Vec<String>) {
        if !self.composed && self.services.is_empty() {
            mistakes.push(
                "this check needs something that runs; add a `stack` with services, or `compose`".into(),
            );
        }
    }

    /// The service that is asked, and the one that it is asked from.
    pub(super) fn ends(&self, service: Option<&str>, from: Option<&str>, mistakes: &mut Vec<String>) {
        self.service("service", service, mistakes);
        self.other("from", from, mistakes);
    }

    /// A further service, where one is named. That nothing runs is said of the first.
    pub(super) fn other(&self, field: &str, name: Option<&str>, mistakes: &mut Vec<String>) {
        // Which services a compose file has is for its author to say.
        if let Some(name) = name
            && !self.composed
            && !self.services.is_empty()
            && !self.services.contains(&name)
        {
            mistakes.push(format!(
                "`{field}: {name}` is not in the stack; its services are {}",
                self.services.join(", ")
            ));
        }
    }

    /// How the stack describes a service; without a name the main one.
    pub(super) fn spec(&self, name: Option<&str>) -> Option<&ServiceSpec> {
        let stack = self.stack?;
        stack.services.get(name.or_else(|| stack.main_service())?)
    }

    /// Whether two names are of the same service, where the first may be left out.
    pub(super) fn stands_for(&self, name: Option<&str>, other: &str) -> bool {
        name.or_else(|| self.stack?.main_service()) == Some(other)
    }

    pub(super) fn image(&self, mistakes: &mut Vec<String>) {
        // That `build` cannot stand beside `compose` is told of `build`.
        if self.tested == Tested::Nothing || (self.tested == Tested::Composed && self.dockerfile.is_none()) {
            mistakes.push(
                "this check needs an image; add `build` to the exercise, or `image` or `archive` to `submit`"
                    .into(),
            );
        }
    }

    /// For a check that builds once more.
    pub(super) fn built(&self, mistakes: &mut Vec<String>) {
        if self.tested != Tested::Built {
            mistakes.push("this check needs a built image; add `build` to the exercise".into());
        }
    }

    pub(super) fn files(&self, mistakes: &mut Vec<String>) {
        if !self.takes_files {
            mistakes.push("this check needs files, and the exercise takes none; see `submit`".into());
        }
    }

    /// For a check of the Dockerfile at `path`, or of the one that is built.
    pub(super) fn dockerfile(&self, path: Option<&str>, mistakes: &mut Vec<String>) {
        self.files(mistakes);
        if path.is_none() && self.dockerfile.is_none() {
            mistakes.push("nothing is built, so `path` has to say which Dockerfile is meant".into());
        }
    }

    pub(super) fn question(&self, question: &str, mistakes: &mut Vec<String>) {
        if !self.takes_answers {
            mistakes.push("this check needs answers; add `answers` to `submit`".into());
        }
        if question.trim().is_empty() {
            mistakes.push("`question` is empty".into());
        }
    }

    /// A time that a check waits at most.
    pub(super) fn time(&self, field: &str, time: Span, mistakes: &mut Vec<String>) {
        if time.0.is_zero() {
            mistakes.push(format!("`{field}` is no time at all; give it at least `100ms`"));
        } else if time.0 > self.run_time {
            mistakes.push(format!(
                "`{field}: {time}` is longer than everything may run together ({}); raise `limits.run_time`",
                Span(self.run_time)
            ));
        }
    }
}
