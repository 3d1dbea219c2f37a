//! An exercise: what it is about, what is checked, and handing in.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::board::{frame, href};
use super::question::QuestionPiece;
use crate::accounts::Role;
use crate::exercises::{Exercise, SubmitKind};
use crate::store::{Grading, GradingState, Submission};
use crate::submissions::{Answer, Answers, Source};
use crate::units::Span;
use crate::web::error::wants_json;
use crate::web::handin::{self, HandIn};
use crate::web::page::Frame;
use crate::web::shape::{self, Shape};
use crate::web::terms::{self, Told};
use crate::web::words::{Ago, bytes, count};
use crate::web::{AppState, Csrf, Error, Result, Scope, Viewer, body, markdown};

#[derive(Template)]
#[template(path = "student/exercise.html")]
#[expect(clippy::struct_excessive_bools, reason = "which parts of the form there are")]
pub(crate) struct ExercisePage {
    pub(crate) frame: Frame,
    pub(crate) title: String,
    pub(crate) about: String,
    pub(crate) objectives: Vec<String>,
    pub(crate) statement: String,
    pub(crate) starter: Option<Starter>,
    pub(crate) checks: Vec<Checked>,
    pub(crate) limits: Vec<Fact>,
    pub(crate) questions: Vec<QuestionPiece>,
    pub(crate) files: bool,
    /// The file is an image as `docker save` writes it.
    pub(crate) saved: bool,
    pub(crate) repository: bool,
    pub(crate) image: bool,
    /// What was handed in by its address the last time.
    pub(crate) last: Address,
    pub(crate) action: String,
    pub(crate) nonce: String,
    pub(crate) max_bytes: u64,
    pub(crate) max_entries: usize,
    pub(crate) upload_limits: String,
    /// Whether `.git` has to be in what is handed in.
    pub(crate) history_needed: bool,
    pub(crate) refusal: Option<String>,
    pub(crate) history: Vec<Row>,
    /// When and how often it may be handed in.
    pub(crate) terms: Vec<Told>,
    /// Why nothing is taken now.
    pub(crate) not_now: Option<String>,
    pub(crate) limited: bool,
}

pub(crate) struct Starter {
    href: String,
    about: String,
}

/// What is handed in by its address, for the form. Tokens are never shown again.
#[derive(Default)]
pub(crate) struct Address {
    pub(crate) repository: String,
    pub(crate) revision: String,
    pub(crate) image: String,
}

impl Address {
    fn of(source: &Source) -> Self {
        match source {
            Source::Repository { url, revision, .. } => Self {
                repository: url.clone(),
                revision: revision.clone().unwrap_or_default(),
                ..Self::default()
            },
            Source::Image { reference, .. } => Self { image: reference.clone(), ..Self::default() },
            _ => Self::default(),
        }
    }
}

pub(crate) struct Checked {
    title: String,
    points: String,
}

pub(crate) struct Fact {
    name: &'static str,
    value: String,
}

/// One submission in the history.
pub(crate) struct Row {
    href: String,
    shape: Shape,
    number: i64,
    said: String,
    at: Ago,
}

impl Row {
    pub(crate) fn new(submission: &Submission, grading: &Grading, now: DateTime<Utc>) -> Self {
        let (shape, said) = match (grading.state, grading.verdict) {
            (GradingState::Queued, _) => (Shape::Waiting, "In the queue".into()),
            (GradingState::Running, _) => (Shape::Running, "Being graded".into()),
            (GradingState::Done, None) => (Shape::Fault, "Our fault".into()),
            (GradingState::Done, Some(verdict)) => {
                let shape = shape::of_verdict(verdict, grading.waiting);
                let points = format!("{} of {}", grading.points.earned, grading.points.possible);
                let said = match shape {
                    Shape::Passed => format!("Passed: {points}"),
                    Shape::Waiting if grading.points.possible == 0 => "For review".into(),
                    Shape::Waiting => format!("For review: {points} so far"),
                    Shape::Failed => format!("Not yet: {points}"),
                    _ => "Our fault; did not count".into(),
                };
                (shape, said)
            }
        };
        Self {
            href: format!("/submissions/{}", submission.id),
            shape,
            number: submission.number,
            said,
            at: Ago { at: submission.created_at, now },
        }
    }
}

/// `GET /cohorts/{cohort}/exercises/{slug}`
///
/// # Errors
/// [`Error::NotFound`] when the workshop does not have the exercise.
pub async fn show(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    csrf: Csrf,
    body::Path((_, slug)): body::Path<(Uuid, String)>,
) -> Result<Response> {
    let exercise = state.shelf.of_cohort(&scope.cohort, &slug).await?;
    page(&state, &viewer, &scope, &csrf, &exercise, None, None).await
}

/// `GET /cohorts/{cohort}/exercises/{slug}/starter.zip`
///
/// # Errors
/// [`Error::NotFound`] when there is no such exercise, or it hands nothing out.
pub async fn starter(
    State(state): State<AppState>,
    scope: Scope,
    body::Path((_, slug)): body::Path<(Uuid, String)>,
) -> Result<Response> {
    let exercise = state.shelf.of_cohort(&scope.cohort, &slug).await?;
    let zip =
        tokio::task::spawn_blocking(move || exercise.starter().map(|content| content.zip(&exercise.slug)))
            .await
            .map_err(Error::internal)?
            .ok_or_else(|| Error::NotFound("This exercise has no starter files.".into()))?;
    // A slug has letters, digits and dashes, so it needs no escapes in the header.
    let disposition =
        HeaderValue::from_str(&format!("attachment; filename=\"{slug}.zip\"")).map_err(Error::internal)?;
    Ok((
        [
            (header::CONTENT_TYPE, HeaderValue::from_static("application/zip")),
            (header::CONTENT_DISPOSITION, disposition),
        ],
        zip,
    )
        .into_response())
}

/// `POST /cohorts/{cohort}/exercises/{slug}/submissions`
///
/// Answers with the submission's page; for scripts with its address as JSON. What is refused is told
/// on the exercise's page, beside the form, with the answers still in it.
///
/// # Errors
/// For scripts every refusal; else what is no refusal.
pub async fn hand_in(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    csrf: Csrf,
    body::Path((_, slug)): body::Path<(Uuid, String)>,
    parts: Parts,
    hand_in: Result<HandIn>,
) -> Result<Response> {
    let exercise = state.shelf.of_cohort(&scope.cohort, &slug).await?;
    let script = wants_json(&parts.uri, &parts.headers);
    let mut answered = BTreeMap::new();
    let stored = match hand_in {
        Ok(hand_in) => {
            answered.clone_from(&hand_in.answers);
            handin::submit(&state, &viewer, &scope, &exercise, hand_in).await
        }
        Err(refused) => Err(refused),
    };
    match stored {
        Ok((submission, _)) => {
            let location = format!("/submissions/{}", submission.id);
            if script {
                let body = Json(serde_json::json!({ "location": location }));
                return Ok((StatusCode::CREATED, [(header::LOCATION, location)], body).into_response());
            }
            Ok(Redirect::to(&location).into_response())
        }
        Err(refused) if !script && refused.status().is_client_error() => {
            let answers =
                Answers(answered.into_iter().map(|(id, values)| (id, Answer::Choices(values))).collect());
            let sentence = refused.to_string();
            let mut response =
                page(&state, &viewer, &scope, &csrf, &exercise, Some(sentence), Some(answers)).await?;
            *response.status_mut() = refused.status();
            Ok(response)
        }
        Err(error) => Err(error),
    }
}

async fn page(
    state: &AppState,
    viewer: &Viewer,
    scope: &Scope,
    csrf: &Csrf,
    exercise: &Arc<Exercise>,
    refusal: Option<String>,
    answers: Option<Answers>,
) -> Result<Response> {
    let cohort = scope.cohort.id;
    let submissions = state.store.submissions_of(cohort, viewer.person.id, &exercise.slug).await?;
    let now = state.clock.now();
    let terms = state.store.terms(cohort).await?.of(&exercise.slug);
    let tried = state.store.tried(cohort, viewer.person.id, &exercise.slug).await?;
    // Trainers try things out whenever they like.
    let held = scope.role == Role::Student;
    let mut history: Vec<Row> =
        submissions.iter().map(|(submission, grading)| Row::new(submission, grading, now)).collect();
    history.sort_by_key(|row| std::cmp::Reverse(row.number));
    let newest = submissions.iter().max_by_key(|(submission, _)| submission.number);
    let last = newest.map(|(submission, _)| Address::of(&submission.source)).unwrap_or_default();
    // What was answered last time is a better start than an empty form.
    let answers = answers.or_else(|| newest.map(|(submission, _)| submission.answers.clone()));
    let whose = (viewer.person.id, exercise.slug.as_str());
    let takes = |kind| exercise.submit.contains(&kind);
    let uploads = handin::limits(&state.settings.uploads, &exercise.submit);
    let page = ExercisePage {
        frame: frame(viewer, scope, csrf).at(href(cohort, &exercise.slug), exercise.title.clone()),
        title: exercise.title.clone(),
        about: format!("{} · about {} min", count(exercise.points().into(), "point"), exercise.minutes),
        objectives: exercise.objectives.iter().map(|aim| markdown::phrase(aim)).collect(),
        statement: markdown::document(&exercise.statement),
        starter: exercise.starter().map(|content| {
            let (files, size) = content.summary();
            Starter {
                href: format!("{}/starter.zip", href(cohort, &exercise.slug)),
                about: format!("{}, {}", count(files.try_into().unwrap_or(i64::MAX), "file"), bytes(size)),
            }
        }),
        checks: exercise
            .checks
            .iter()
            .map(|check| Checked { title: check.title.clone(), points: count(check.points.into(), "point") })
            .collect(),
        limits: limits(state, exercise),
        questions: exercise
            .checks
            .iter()
            .filter_map(|check| {
                QuestionPiece::new(check, answers.as_ref().unwrap_or(&Answers::default()), whose)
            })
            .collect(),
        files: takes(SubmitKind::Upload) || takes(SubmitKind::Archive),
        saved: takes(SubmitKind::Archive),
        repository: takes(SubmitKind::Repository),
        image: takes(SubmitKind::Image),
        last,
        action: format!("{}/submissions", href(cohort, &exercise.slug)),
        nonce: crate::accounts::new_token(),
        max_bytes: uploads.archive_bytes,
        max_entries: uploads.entries,
        upload_limits: format!(
            "{} as an archive, {} unpacked, {} files and folders",
            bytes(uploads.archive_bytes),
            bytes(uploads.unpacked_bytes),
            uploads.entries
        ),
        history_needed: exercise.needs_history(),
        not_now: terms
            .admit(tried, now)
            .err()
            .filter(|_| held && refusal.is_none())
            .map(|refusal| terms::refused(refusal, now).to_string()),
        refusal,
        history,
        limited: terms.attempt_limit().is_some(),
        terms: terms::on_exercise(&terms, tried, now),
    };
    Ok(Html(page.render().map_err(Error::internal)?).into_response())
}

/// What is allowed while it is built and runs: the exercise's limits under the settings' caps.
fn limits(state: &AppState, exercise: &Exercise) -> Vec<Fact> {
    if !exercise.needs_engine() {
        return Vec::new();
    }
    let (asked, caps) = (&exercise.limits, &state.settings.sandbox);
    let cpus = f64::from(asked.cpu_millis.min(caps.max_cpu_millis)) / 1000.0;
    let mut facts = vec![
        Fact { name: "Memory", value: bytes(asked.memory_bytes.min(caps.max_memory_bytes)) },
        Fact { name: "Processors", value: format!("{cpus}") },
        Fact { name: "Processes", value: asked.pids.min(caps.max_pids).to_string() },
        Fact { name: "Disk", value: bytes(asked.disk_bytes.min(caps.max_disk_bytes)) },
    ];
    if let Some(build) = &exercise.build {
        let time = Span(asked.build_time.min(caps.max_build_time));
        facts.push(Fact { name: "Build", value: format!("{time}, {}", network(build.internet)) });
    }
    facts.push(Fact {
        name: "Run",
        value: format!("{}, {}", Span(asked.run_time.min(caps.max_run_time)), network(false)),
    });
    facts
}

fn network(internet: bool) -> &'static str {
    if internet { "with internet" } else { "no internet" }
}
