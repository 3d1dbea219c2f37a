//! Handing in: what a browser or a script sends becomes a submission and a queued grading.
//!
//! One way for pages and API. A body may be
//! - `multipart/form-data` with `csrf` first (pages only), then `archive` (one file), or several
//!   `files` parts whose file names are relative paths (a folder), and `answer:<check id>` fields,
//!   one for each chosen option, and a random `nonce`, so that a form sent twice counts once;
//! - an archive by itself (`application/zip`, `application/gzip`, `application/x-tar`);
//! - `application/json`: `{"answers": {"<check id>": "text" or ["option", …]}}`.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::header;
use serde::Deserialize;
use tokio::sync::Semaphore;
use utoipa::ToSchema;
use uuid::Uuid;

use super::access::{Scope, Viewer};
use super::csrf::CSRF_FIELD;
use super::error::{Error, Result};
use super::{AppState, body};
use crate::checks::Kind;
use crate::exercises::{Exercise, SubmitKind};
use crate::store::{Grading, NewSubmission, Submission};
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
    /// What was answered, by check id: the text, or the options that were chosen.
    pub answers: BTreeMap<String, Vec<String>>,
    /// Names this one sending: the same again gives the submission that is already there.
    pub key: Option<String>,
}

/// Answers as JSON.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswersBody {
    /// By check id: a text, or the ids of the chosen options.
    pub answers: Answers,
}

/// What has arrived, before it is unpacked.
#[derive(Default)]
struct Received {
    content: Arrived,
    answers: BTreeMap<String, Vec<String>>,
    key: Option<String>,
}

/// Bytes and names.
#[derive(Default)]
enum Arrived {
    #[default]
    Nothing,
    Archive {
        name: String,
        bytes: Bytes,
    },
    Folder(Vec<(String, Bytes)>),
}

impl FromRequest<AppState> for HandIn {
    type Rejection = Error;

    async fn from_request(request: Request, state: &AppState) -> Result<Self> {
        let person = request.extensions().get::<Viewer>().ok_or(Error::SignInNeeded)?.person.id;
        let receiving = state.desk.receive(person)?;
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
                let body::Json(AnswersBody { answers }) = body::Json::from_request(request, state).await?;
                let fields = answers.0.into_iter().map(|(id, answer)| match answer {
                    Answer::Choices(options) => (id, options),
                    Answer::Text(text) => (id, vec![text]),
                });
                Received { answers: fields.collect(), ..Received::default() }
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
                     application/x-tar) or answers (application/json)."
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
        let hand_in = freeze(state, received).await;
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
        }
        Ok(())
    }
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
                    return Err(Error::Refused("Hand in one archive, or one folder, not several.".into()));
                }
                received.content = Arrived::Archive { name: file, bytes };
            }
            ("files", Some(path)) => {
                let bytes = field.bytes().await.map_err(explain)?;
                match &mut received.content {
                    Arrived::Folder(files) => files.push((path, bytes)),
                    Arrived::Nothing => received.content = Arrived::Folder(vec![(path, bytes)]),
                    Arrived::Archive { .. } => {
                        return Err(Error::Refused("Hand in one archive, or one folder, not both.".into()));
                    }
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

async fn freeze(state: &AppState, received: Received) -> Result<HandIn> {
    let uploads = &state.settings.uploads;
    let limits = ContentLimits {
        archive_bytes: uploads.archive_bytes,
        unpacked_bytes: uploads.unpacked_bytes,
        entries: uploads.entries,
    };
    let _permit = state.desk.unpacking.acquire().await.map_err(Error::internal)?;
    let frozen = tokio::task::spawn_blocking(move || match received.content {
        Arrived::Nothing => Ok((Source::Answers, None)),
        Arrived::Archive { name, bytes } => {
            let content = Content::from_archive(&bytes, &limits)?;
            Ok((Source::Upload { file_name: name }, Some(content)))
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
    Ok(HandIn { source, content, answers: received.answers, key: received.key })
}

/// Stores what was handed in. When this returns, submission and queued grading are safe.
///
/// # Errors
/// A sentence for the student when the cohort is closed or the exercise does not take this.
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
    };
    let stored = state.store.submit_once(new, hand_in.key.as_deref()).await?;
    tracing::info!(submission = %stored.0.id, grading = %stored.1.id, exercise = exercise.slug, "web.submitted");
    Ok(stored)
}

/// Whether the exercise takes what was handed in; the answers as its questions want them.
fn fits(exercise: &Exercise, hand_in: &HandIn) -> Result<Answers> {
    let takes = |kind| exercise.submit.contains(&kind);
    let takes_files = takes(SubmitKind::Upload) || takes(SubmitKind::Repository);
    if hand_in.content.is_some() && !takes_files {
        return Err(Error::Refused("This exercise takes answers only, no files.".into()));
    }
    if !hand_in.answers.is_empty() && !takes(SubmitKind::Answers) {
        return Err(Error::Refused("This exercise takes files only, no answers.".into()));
    }
    if hand_in.content.is_none() && hand_in.answers.is_empty() {
        return Err(Error::Refused(
            if takes_files {
                "Nothing was handed in. Choose a folder or an archive (.zip, .tar, .tar.gz)."
            } else {
                "Nothing was handed in. Answer at least one question."
            }
            .into(),
        ));
    }
    let mut answers = Answers::default();
    for (id, values) in &hand_in.answers {
        let check = exercise.checks.iter().find(|check| check.id == *id);
        let kind = check.map(|check| (check, &check.kind));
        let (check, answer) = match kind {
            Some((check, Kind::Choice(_))) => (check, Answer::Choices(values.clone())),
            Some((check, Kind::Short(_) | Kind::Essay(_))) => (check, Answer::Text(values.join("\n"))),
            _ => {
                let id = crate::text::visible(id);
                return Err(Error::Refused(format!("This exercise has no question \"{id}\".").into()));
            }
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
