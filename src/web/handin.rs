//! Handing in: what a browser or a script sends becomes a submission and a queued grading.
//!
//! One way for pages and API. A body may be
//! - `multipart/form-data` with `csrf` first (pages only), then `archive` (one file), or several
//!   `files` parts whose file names are relative paths (a folder), or `repository` with `revision`,
//!   `username` and `token`, or `image`; and `answer:<check id>` fields, one for each chosen option, and a
//!   random `nonce`, so that a form sent twice counts once;
//! - an archive by itself (`application/zip`, `application/gzip`, `application/x-tar`);
//! - `application/json`: [`HandInBody`].
//!
//! What is handed in by its address is only read here, not fetched: that is the worker's, see
//! `grading::fetch`.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts as _, Multipart, Request};
use axum::http::header;
use http_body_util::Limited;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use utoipa::ToSchema;
use uuid::Uuid;

use super::access::{self, Scope, Viewer};
use super::csrf::CSRF_FIELD;
use super::error::{Error, Result};
use super::{AppState, body};
use crate::checks::Question;
use crate::config::UploadSettings;
use crate::exercises::{Exercise, SubmitKind};
use crate::store::{self, Grading, NewSubmission, Submission};
use crate::submissions::reference::Reference;
use crate::submissions::remote::{Credentials, GitAddress, Revision};
use crate::submissions::{Answer, Answers, Content, ContentLimits, Source};
use crate::units::ByteSize;

/// The longest answer, in bytes.
pub const ANSWER_BYTES: usize = 50 << 10;
/// Uploads of one person at a time.
const UPLOADS_PER_PERSON: usize = 2;
/// Archives unpacked at a time: each needs the memory of its unpacked content.
const UNPACKING: usize = 2;

/// Bounds on what is being received. Clones share them.
#[derive(Clone)]
pub struct Desk {
    unpacking: Arc<Semaphore>,
    receiving: Arc<Mutex<HashMap<Uuid, usize>>>,
}

impl Default for Desk {
    fn default() -> Self {
        Self { unpacking: Arc::new(Semaphore::new(UNPACKING)), receiving: Arc::default() }
    }
}

impl Desk {
    fn receive(&self, person: Uuid) -> Result<Receiving> {
        let mut all = self.receiving.lock().unwrap_or_else(PoisonError::into_inner);
        let now = all.entry(person).or_default();
        if *now >= UPLOADS_PER_PERSON {
            return Err(Error::TooMany {
                sentence: "Two of your uploads are still on their way. Wait until one has arrived.".into(),
                retry_after: std::time::Duration::from_secs(10),
            });
        }
        *now += 1;
        Ok(Receiving { desk: self.clone(), person })
    }
}

/// One upload on its way; counted until it is dropped.
struct Receiving {
    desk: Desk,
    person: Uuid,
}

impl Drop for Receiving {
    fn drop(&mut self) {
        let mut all = self.desk.receiving.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.person) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.person);
            }
        }
    }
}

/// What was handed in, frozen, but not yet stored.
#[derive(Clone, Debug)]
pub struct HandIn {
    /// How it came.
    pub source: Source,
    /// The files, if there are any.
    pub content: Option<Content>,
    /// With which it is fetched, where it was given.
    pub login: Option<Credentials>,
    /// What was answered, by check id: the text, or the options that were chosen.
    pub answers: BTreeMap<String, Vec<String>>,
    /// Names this one sending: the same again gives the submission that is already there.
    pub key: Option<String>,
}

/// What is handed in as JSON: a repository or an image by its address, and answers.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HandInBody {
    /// By check id: a text, or the ids of the chosen options.
    pub answers: Answers,
    /// A Git repository.
    pub repository: Option<RepositoryBody>,
    /// The reference of an image in a registry, such as `registry.example.org/team/app:1.2`.
    pub image: Option<String>,
}

/// A Git repository, by its address.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RepositoryBody {
    /// What `git clone` takes, over HTTPS.
    pub url: String,
    /// A branch, a tag or the full name of a commit; the default branch if not given.
    #[serde(default)]
    pub revision: String,
    /// For a private repository; most servers take any beside a token.
    #[serde(default)]
    pub username: String,
    /// The token or password of a private repository. Stored sealed until the repository was fetched.
    #[serde(default)]
    pub token: String,
}

/// What has arrived, before it is unpacked.
#[derive(Default)]
struct Received {
    content: Arrived,
    answers: BTreeMap<String, Vec<String>>,
    key: Option<String>,
}

/// Bytes and names, or an address.
#[derive(Default)]
enum Arrived {
    #[default]
    Nothing,
    Archive {
        name: String,
        bytes: Bytes,
    },
    Folder(Vec<(String, Bytes)>),
    Repository(RepositoryBody),
    Image(String),
}

impl FromRequest<AppState> for HandIn {
    type Rejection = Error;

    async fn from_request(request: Request, state: &AppState) -> Result<Self> {
        let person = request.extensions().get::<Viewer>().ok_or(Error::SignInNeeded)?.person.id;
        let receiving = state.desk.receive(person)?;
        let (request, kinds, limits) = bounded(request, state).await?;
        let kind = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .map(|value| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
            .unwrap_or_default();
        let key = match request.headers().get("idempotency-key") {
            Some(value) => Some(checked_key(value.to_str().unwrap_or_default())?),
            None => None,
        };
        let mut received = match kind.as_str() {
            "multipart/form-data" => multipart(request, state).await?,
            "application/zip"
            | "application/x-zip-compressed"
            | "application/gzip"
            | "application/x-gzip"
            | "application/x-tar"
            | "application/octet-stream" => {
                let (parts, stream) = request.into_parts();
                let failed = body::failed(&parts);
                let bytes = axum::body::to_bytes(stream, usize::MAX).await.map_err(failed)?;
                let content = Arrived::Archive { name: "archive".to_owned(), bytes };
                Received { content, ..Received::default() }
            }
            "application/json" => {
                let body::Json(HandInBody { answers, repository, image }) =
                    body::Json::from_request(request, state).await?;
                let fields = answers.0.into_iter().map(|(id, answer)| match answer {
                    Answer::Choices(options) => (id, options),
                    Answer::Text(text) => (id, vec![text]),
                });
                let content = match (repository, image) {
                    (None, None) => Arrived::Nothing,
                    (Some(repository), None) => Arrived::Repository(repository),
                    (None, Some(image)) => Arrived::Image(image),
                    (Some(_), Some(_)) => return Err(one_thing()),
                };
                Received { content, answers: fields.collect(), ..Received::default() }
            }
            "application/x-www-form-urlencoded" => {
                let body::Form(fields) =
                    body::Form::<Vec<(String, String)>>::from_request(request, state).await?;
                let mut received = Received::default();
                for (name, value) in fields {
                    received.field(&name, value)?;
                }
                received
            }
            _ => {
                return Err(Error::UnsupportedMediaType(
                    "Send a form (multipart/form-data), an archive (application/zip, application/gzip, \
                     application/x-tar) or addresses and answers (application/json)."
                        .into(),
                ));
            }
        };
        // What was left empty was not answered.
        received.answers.retain(|_, values| {
            values.retain(|value| !value.trim().is_empty());
            !values.is_empty()
        });
        received.key = key.or(received.key);
        let hand_in = freeze(state, received, &kinds, limits).await;
        drop(receiving);
        hand_in
    }
}

impl Received {
    /// A field that is no file.
    fn field(&mut self, name: &str, value: String) -> Result<()> {
        if let Some(id) = name.strip_prefix("answer:") {
            self.answers.entry(id.to_owned()).or_default().push(value);
        } else if name == "nonce" {
            self.key = Some(checked_key(&value)?);
        } else if !value.trim().is_empty() {
            // A form sends the fields that were left empty as well.
            match name {
                "repository" => self.repository()?.url = value,
                "revision" => self.repository()?.revision = value,
                "username" => self.repository()?.username = value,
                "token" => self.repository()?.token = value,
                "image" => match self.content {
                    Arrived::Nothing => self.content = Arrived::Image(value),
                    _ => return Err(one_thing()),
                },
                _ => {}
            }
        }
        Ok(())
    }
}

fn one_thing() -> Error {
    Error::Refused(
        "Hand in one thing: an archive, a folder, a repository or an image. Take the others out of the form."
            .into(),
    )
}

fn checked_key(key: &str) -> Result<String> {
    if (1..=100).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(key.to_owned())
    } else {
        Err(Error::BadRequest("An Idempotency-Key has 1 to 100 visible ASCII characters.".into()))
    }
}

async fn multipart(request: Request, state: &AppState) -> Result<Received> {
    let too_large = request.extensions().get::<super::access::TooLarge>().cloned();
    let explain =
        |error: axum::extract::multipart::MultipartError| match (&too_large, error.status().as_u16()) {
            (Some(sentence), 413) => sentence.error(),
            _ => Error::from(error),
        };
    let mut form = Multipart::from_request(request, state).await?;
    let mut received = Received::default();
    let mut parts = 0_usize;
    while let Some(field) = form.next_field().await.map_err(explain)? {
        parts += 1;
        if parts > state.settings.uploads.entries + 1000 {
            return Err(Error::Refused(
                format!("A folder may have at most {} files. Hand in fewer.", state.settings.uploads.entries)
                    .into(),
            ));
        }
        let name = field.name().unwrap_or_default().to_owned();
        let file_name = field.file_name().map(str::to_owned);
        match (name.as_str(), file_name) {
            (CSRF_FIELD, _) => drop(field.bytes().await.map_err(explain)?),
            // A form whose file input was left empty sends a part with an empty name.
            ("archive" | "files", Some(file)) if file.is_empty() => {}
            ("archive", Some(file)) => {
                let bytes = field.bytes().await.map_err(explain)?;
                if !matches!(received.content, Arrived::Nothing) {
                    return Err(one_thing());
                }
                received.content = Arrived::Archive { name: file, bytes };
            }
            ("files", Some(path)) => {
                let bytes = field.bytes().await.map_err(explain)?;
                match &mut received.content {
                    Arrived::Folder(files) => files.push((path, bytes)),
                    Arrived::Nothing => received.content = Arrived::Folder(vec![(path, bytes)]),
                    _ => return Err(one_thing()),
                }
            }
            _ => {
                let value = field.text().await.map_err(explain)?;
                received.field(&name, value)?;
            }
        }
    }
    Ok(received)
}

/// How much may be uploaded for an exercise.
#[must_use]
pub fn limits(uploads: &UploadSettings, submit: &[SubmitKind]) -> ContentLimits {
    let limits = ContentLimits::from(uploads);
    if submit.contains(&SubmitKind::Archive) {
        let bytes = uploads.saved_image_bytes;
        ContentLimits { archive_bytes: bytes, unpacked_bytes: bytes, ..limits }
    } else {
        limits
    }
}

/// The request with its body bounded by what its exercise takes, which is told with it.
async fn bounded(request: Request, state: &AppState) -> Result<(Request, Vec<SubmitKind>, ContentLimits)> {
    let (mut parts, body) = request.into_parts();
    let scope = parts.extensions.get::<Scope>().cloned();
    let scope = scope.ok_or_else(|| Error::internal("the route has no cohort in its path"))?;
    let body::Path(path) =
        body::Path::<HashMap<String, String>>::from_request_parts(&mut parts, state).await?;
    let slug = path.get("slug").map(String::as_str).unwrap_or_default();
    let exercise = state.shelf.of_cohort(&scope.cohort, slug).await?;
    let limits = limits(&state.settings.uploads, &exercise.submit);
    let too_large = access::upload_too_large(limits.archive_bytes);
    parts.extensions.insert(too_large.clone());
    let bytes = usize::try_from(limits.archive_bytes + access::UPLOAD_OVERHEAD_BYTES).unwrap_or(usize::MAX);
    let request = Request::from_parts(parts, Body::new(Limited::new(body, bytes)));
    let request = access::announced(request, bytes, state.patience, &too_large).await?;
    Ok((request, exercise.submit.clone(), limits))
}

impl Received {
    /// The repository that the form's fields tell of.
    fn repository(&mut self) -> Result<&mut RepositoryBody> {
        if matches!(self.content, Arrived::Nothing) {
            self.content = Arrived::Repository(RepositoryBody::default());
        }
        match &mut self.content {
            Arrived::Repository(repository) => Ok(repository),
            _ => Err(one_thing()),
        }
    }
}

impl RepositoryBody {
    /// What it says, read but not fetched.
    fn source(self) -> Result<(Source, Option<Credentials>)> {
        let refuse = |sentence: String| Error::Refused(sentence.into());
        let (address, within) = GitAddress::read(&self.url).map_err(refuse)?;
        let revision = Some(self.revision.trim()).filter(|name| !name.is_empty());
        if let Some(name) = revision {
            Revision::read(name).map_err(refuse)?;
        }
        let given =
            (!self.token.is_empty()).then(|| Credentials::new(self.username.trim(), self.token.trim()));
        let source = Source::Repository {
            url: address.as_str().to_owned(),
            revision: revision.map(str::to_owned),
            commit: None,
        };
        Ok((source, given.or(within)))
    }
}

async fn freeze(
    state: &AppState,
    received: Received,
    kinds: &[SubmitKind],
    limits: ContentLimits,
) -> Result<HandIn> {
    let Received { content, answers, key } = received;
    let saved = kinds.contains(&SubmitKind::Archive);
    let upload = match content {
        Arrived::Repository(repository) => {
            let (source, login) = repository.source()?;
            return Ok(HandIn { source, content: None, login, answers, key });
        }
        Arrived::Image(reference) => {
            let reference = reference.trim().to_owned();
            reference.parse::<Reference>().map_err(|why| {
                let shown = crate::text::visible(&reference);
                Error::Refused(format!("\"{shown}\" is no image reference: {why}.").into())
            })?;
            let source = Source::Image { reference, digest: None };
            return Ok(HandIn { source, content: None, login: None, answers, key });
        }
        upload => upload,
    };
    let _permit = state.desk.unpacking.acquire().await.map_err(Error::internal)?;
    let frozen = tokio::task::spawn_blocking(move || match upload {
        Arrived::Nothing | Arrived::Repository(_) | Arrived::Image(_) => Ok((Source::Answers, None)),
        Arrived::Archive { name, bytes } => {
            let content = Content::from_archive(&bytes, &limits)?;
            let source = if saved {
                Source::SavedImage { file_name: name }
            } else {
                Source::Upload { file_name: name }
            };
            Ok((source, Some(content)))
        }
        Arrived::Folder(files) => {
            let first = files.first().map(|(path, _)| path.as_str()).unwrap_or_default();
            let name = first.split_once('/').map_or(first, |(folder, _)| folder).to_owned();
            Ok((Source::Folder { name }, Some(Content::from_files(files, &limits)?)))
        }
    });
    let (source, content) = frozen
        .await
        .map_err(Error::internal)?
        .map_err(|refusal: crate::submissions::Refusal| Error::from(refusal))?;
    Ok(HandIn { source, content, login: None, answers, key })
}

/// Stores what was handed in. When this returns, submission and queued grading are safe.
///
/// # Errors
/// A sentence for the student when the cohort is closed, its terms do not let this be handed in now, or the
/// exercise does not take this.
pub async fn submit(
    state: &AppState,
    viewer: &Viewer,
    scope: &Scope,
    exercise: &Exercise,
    hand_in: HandIn,
) -> Result<(Submission, Grading)> {
    if scope.cohort.closed_at.is_some_and(|closed| closed <= state.clock.now()) {
        return Err(Error::Conflict("This cohort is closed; nothing more can be handed in.".into()));
    }
    let answers = fits(exercise, &hand_in)?;
    if viewer.cohorts.iter().all(|(cohort, _)| cohort.id != scope.cohort.id) {
        return Err(Error::NotAllowed("Only members of this cohort can hand in. Join it first.".into()));
    }
    let new = NewSubmission {
        person: viewer.person.id,
        cohort: scope.cohort.id,
        exercise: exercise.slug.clone(),
        exercise_version: exercise.version.clone(),
        source: hand_in.source,
        content: hand_in.content,
        answers,
        login: hand_in.login,
    };
    let stored = state.store.submit_once(new, hand_in.key.as_deref()).await.map_err(|error| match error {
        store::Error::NotTaken(refusal) => super::terms::refused(refusal, state.clock.now()),
        error => error.into(),
    })?;
    tracing::info!(submission = %stored.0.id, grading = %stored.1.id, exercise = exercise.slug, "web.submitted");
    Ok(stored)
}

/// Whether the exercise takes what was handed in; the answers as its questions want them.
fn fits(exercise: &Exercise, hand_in: &HandIn) -> Result<Answers> {
    let takes = |kind| exercise.submit.contains(&kind);
    let (kind, what) = match &hand_in.source {
        Source::Upload { .. } | Source::Folder { .. } => (Some(SubmitKind::Upload), "files"),
        Source::Repository { .. } => (Some(SubmitKind::Repository), "repository"),
        Source::Image { .. } => (Some(SubmitKind::Image), "image of a registry"),
        Source::SavedImage { .. } => (Some(SubmitKind::Archive), "saved image"),
        Source::Answers => (None, "answers"),
    };
    if kind.is_some_and(|kind| !takes(kind)) {
        return Err(Error::Refused(format!("This exercise takes {}, no {what}.", taken(exercise)).into()));
    }
    if !hand_in.answers.is_empty() && !takes(SubmitKind::Answers) {
        return Err(Error::Refused(format!("This exercise takes {}, no answers.", taken(exercise)).into()));
    }
    if kind.is_none() && hand_in.answers.is_empty() {
        return Err(Error::Refused(
            format!("Nothing was handed in. This exercise takes {}.", taken(exercise)).into(),
        ));
    }
    let mut answers = Answers::default();
    for (id, values) in &hand_in.answers {
        let check = exercise.checks.iter().find(|check| check.id == *id);
        let Some((check, question)) = check.and_then(|check| Some((check, check.kind.question()?))) else {
            let id = crate::text::visible(id);
            return Err(Error::Refused(format!("This exercise has no question \"{id}\".").into()));
        };
        let answer = match question {
            Question::Choice { .. } => Answer::Choices(values.clone()),
            Question::Short { .. } | Question::Essay { .. } => Answer::Text(values.join("\n")),
        };
        if values.iter().map(String::len).sum::<usize>() > ANSWER_BYTES {
            let most = ByteSize(ANSWER_BYTES as u64);
            return Err(Error::TooLarge(
                format!("The answer to \"{}\" is longer than {most}. Shorten it.", check.title).into(),
            ));
        }
        answers.0.insert(id.clone(), answer);
    }
    Ok(answers.capped()?)
}

/// The ways to hand in that an exercise takes, in words.
fn taken(exercise: &Exercise) -> String {
    let ways = exercise.submit.iter().map(|kind| match kind {
        SubmitKind::Upload => "a folder or an archive (.zip, .tar, .tar.gz)",
        SubmitKind::Repository => "the address of a Git repository",
        SubmitKind::Image => "the reference of an image in a registry",
        SubmitKind::Archive => "an image as `docker save` writes it (.tar, .tar.gz)",
        SubmitKind::Answers => "answers to its questions",
        SubmitKind::Command => "a command line",
    });
    ways.collect::<Vec<_>>().join(", or ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exercises::Catalogue;

    #[test]
    fn whatever_the_shipped_exercises_ask_can_be_answered() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("exercises");
        let catalogue = Catalogue::read(&folder).unwrap();
        for exercise in catalogue.exercises.values() {
            let asked = exercise.checks.iter().filter(|check| check.kind.question().is_some());
            let answers: BTreeMap<_, _> =
                asked.map(|check| (check.id.clone(), vec!["an answer".to_owned()])).collect();
            if answers.is_empty() {
                continue;
            }
            let asked: Vec<String> = answers.keys().cloned().collect();
            let hand_in = HandIn { source: Source::Answers, content: None, login: None, answers, key: None };
            let taken =
                fits(exercise, &hand_in).unwrap_or_else(|error| panic!("{}: {error:?}", exercise.slug));
            assert_eq!(taken.0.into_keys().collect::<Vec<_>>(), asked, "{}", exercise.slug);
        }
    }
}
