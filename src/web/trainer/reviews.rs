//! Answers that a trainer reads: the queue of a cohort, and scoring one submission by its rubrics.

use std::collections::HashMap;

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::State;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use uuid::Uuid;

use super::tabs::{Tab, Tabs, frame};
use crate::checks::Kind;
use crate::checks::essay::Essay;
use crate::exercises::{CheckSpec, Exercise};
use crate::report::{CheckReport, OutcomeKind, Points, Review, Score};
use crate::store::{self, Grading, Submission, WaitingReview};
use crate::submissions::{Answer, Answers};
use crate::text::visible;
use crate::web::page::Frame;
use crate::web::words::{Ago, count};
use crate::web::{AppState, Csrf, Error, Result, Scope, Viewer, body, markdown};

/// The longest comment, in bytes.
const COMMENT_BYTES: usize = 10_000;
/// Up to here points are chosen with one tap; beyond, a number is written.
const MOST_TAPS: u32 = 6;

/// The queue of a cohort.
#[derive(Template, WebTemplate)]
#[template(path = "trainer/reviews.html")]
pub struct ReviewsPage {
    pub(crate) frame: Frame,
    pub(crate) tabs: Tabs,
    pub(crate) about: String,
    pub(crate) rows: Vec<WaitingRow>,
}

pub(crate) struct WaitingRow {
    href: String,
    name: String,
    exercise: String,
    number: i64,
    since: Ago,
}

/// One submission with what there is to score.
#[derive(Template)]
#[template(path = "trainer/review.html")]
pub(crate) struct ReviewPage {
    pub(crate) frame: Frame,
    pub(crate) student: String,
    pub(crate) exercise: String,
    pub(crate) number: i64,
    pub(crate) submission_href: String,
    pub(crate) handed_in: Ago,
    pub(crate) queue_href: String,
    /// The next that waits, and how many do beside this one.
    pub(crate) next: Option<String>,
    pub(crate) others: usize,
    pub(crate) essays: Vec<EssayView>,
    pub(crate) refusal: Option<String>,
    pub(crate) comment_bytes: usize,
}

/// One answer with its rubric.
pub(crate) struct EssayView {
    id: String,
    title: String,
    question: String,
    answer: String,
    words: String,
    enough: String,
    lines: Vec<RubricLine>,
    comment: String,
    /// Who scored it before, and what they gave, newest first.
    before: Vec<String>,
}

struct RubricLine {
    criterion: String,
    name: String,
    most: u32,
    /// As it was given before, or just now.
    given: Option<u32>,
}

impl RubricLine {
    /// The points to choose from; none where a number is written.
    fn taps(&self) -> Vec<u32> {
        if self.most <= MOST_TAPS { (0..=self.most).collect() } else { Vec::new() }
    }
}

/// `GET /cohorts/{cohort}/reviews`
///
/// # Errors
/// Faults of ours.
pub async fn list(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    csrf: Csrf,
) -> Result<ReviewsPage> {
    let now = state.clock.now();
    let waiting = state.store.waiting_reviews(scope.cohort.id).await?;
    let titles: HashMap<String, String> =
        state.store.published_exercises().await?.into_iter().map(|one| (one.slug, one.title)).collect();
    let rows = waiting.into_iter().map(|one| WaitingRow {
        href: href(one.submission),
        name: visible(&one.name).into_owned(),
        exercise: titles.get(&one.exercise).cloned().unwrap_or(one.exercise),
        number: one.number,
        since: Ago { at: one.since, now },
    });
    let rows: Vec<WaitingRow> = rows.collect();
    Ok(ReviewsPage {
        frame: frame(&viewer, &scope, &csrf).at(queue_href(scope.cohort.id), "Reviews"),
        tabs: Tabs::at(scope.cohort.id, Tab::Reviews),
        about: match rows.len() {
            0 => scope.cohort.name.clone(),
            some => format!(
                "{} · {}, longest waiting first",
                scope.cohort.name,
                count(some.try_into().unwrap_or(i64::MAX), "submission")
            ),
        },
        rows,
    })
}

/// `GET /submissions/{submission}/review`
///
/// # Errors
/// Faults of ours.
pub async fn show(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    csrf: Csrf,
) -> Result<Response> {
    page(&state, &viewer, &scope, &csrf, &HashMap::new(), None).await
}

/// `POST /submissions/{submission}/review`
///
/// Scores every answer of the form that was scored or changed, and leads to the next that waits.
///
/// # Errors
/// What is no refusal; a refusal is told on the page, with what was filled in.
pub async fn score(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    csrf: Csrf,
    body::Form(fields): body::Form<Vec<(String, String)>>,
) -> Result<Response> {
    let fields: HashMap<String, String> = fields.into_iter().collect();
    let submission = scope.submission()?;
    match score_all(&state, &viewer, &scope, &fields).await {
        Ok(()) => {
            let waiting = state.store.waiting_reviews(submission.cohort).await?;
            let next = after(&waiting, submission.id).map_or_else(|| queue_href(submission.cohort), href);
            Ok(Redirect::to(&next).into_response())
        }
        Err(refused) if refused.status().is_client_error() => {
            let sentence = refused.to_string();
            let mut response = page(&state, &viewer, &scope, &csrf, &fields, Some(sentence)).await?;
            *response.status_mut() = refused.status();
            Ok(response)
        }
        Err(error) => Err(error),
    }
}

async fn score_all(
    state: &AppState,
    viewer: &Viewer,
    scope: &Scope,
    fields: &HashMap<String, String>,
) -> Result<()> {
    let grading = scope.grading()?;
    let exercise = state.shelf.version(&scope.submission()?.exercise, &grading.exercise_version).await?;
    let mut wanted = Vec::new();
    for (check, essay, report) in readable(&exercise, grading) {
        let comment = fields.get(&comment_name(&check.id)).map_or("", String::as_str).trim();
        let given: Vec<Option<&str>> = (0..essay.rubric.len())
            .map(|index| fields.get(&score_name(&check.id, index)).map(|text| text.trim()))
            .map(|text| text.filter(|text| !text.is_empty()))
            .collect();
        if given.iter().all(Option::is_none) && comment.is_empty() {
            continue;
        }
        let mut scores = Vec::new();
        for (text, item) in given.into_iter().zip(&essay.rubric) {
            let Some(text) = text else {
                return Err(Error::Refused(
                    format!("“{}” has no points yet for “{}”.", check.title, item.criterion.trim()).into(),
                ));
            };
            scores.push(text.parse().map_err(|_| {
                Error::Refused(
                    format!("“{text}” is no number of points for “{}”.", item.criterion.trim()).into(),
                )
            })?);
        }
        let unchanged = report.review.as_ref().is_some_and(|review| {
            review.comment == comment
                && review.scores.iter().map(|score| score.points.earned).eq(scores.iter().copied())
        });
        if !unchanged {
            wanted.push((check.id.as_str(), scores, comment));
        }
    }
    let scored_before = readable(&exercise, grading).any(|(_, _, report)| report.review.is_some());
    if wanted.is_empty() && !scored_before {
        return Err(Error::Refused("Nothing is scored yet. Choose points for each line of a rubric.".into()));
    }
    for (check, scores, comment) in wanted {
        give(state, viewer, scope, check, &scores, comment).await?;
    }
    Ok(())
}

/// Stores a score by the rubric of a check of the scope's submission.
///
/// # Errors
/// [`Error::Refused`] where the check is no essay, the scores do not fit its rubric or the comment is too
/// long; [`Error::Conflict`] where the submission was not judged, or was handed in for another version.
pub(crate) async fn give(
    state: &AppState,
    viewer: &Viewer,
    scope: &Scope,
    check: &str,
    scores: &[u32],
    comment: &str,
) -> Result<Grading> {
    let submission = scope.submission()?;
    let exercise = state.shelf.version(&submission.exercise, &scope.grading()?.exercise_version).await?;
    let found = exercise.checks.iter().find(|found| found.id == check);
    let Some(Kind::Essay(essay)) = found.map(|found| &found.kind) else {
        return Err(Error::Refused(format!("No answer to \"{check}\" is read by a trainer.").into()));
    };
    if scores.len() != essay.rubric.len() {
        let (lines, given) = (essay.rubric.len(), scores.len());
        return Err(Error::Refused(
            format!("The rubric of \"{check}\" has {lines} lines, and {given} scores were given.").into(),
        ));
    }
    for (score, item) in scores.iter().zip(&essay.rubric) {
        if *score > item.points {
            let line = item.criterion.trim();
            return Err(Error::Refused(
                format!("“{line}” is worth {} at most, not {score}.", count(item.points.into(), "point"))
                    .into(),
            ));
        }
    }
    if comment.len() > COMMENT_BYTES {
        return Err(Error::Refused(
            format!("A comment has at most {COMMENT_BYTES} bytes. Shorten it.").into(),
        ));
    }
    let line = |(given, item): (&u32, &crate::checks::essay::Criterion)| Score {
        criterion: item.criterion.trim().to_owned(),
        points: Points { earned: *given, possible: item.points },
    };
    let scores: Vec<Score> = scores.iter().zip(&essay.rubric).map(line).collect();
    let mut review =
        Review { scores, comment: comment.trim().to_owned(), by: viewer.person.name.clone(), passed: false };
    review.passed = review.points().earned >= essay.enough();
    let grading = state.store.review(submission.id, check, viewer.person.id, &review).await;
    let grading = grading.map_err(|error| match error {
        store::Error::NotFound { .. } => Error::Conflict(
            "This answer cannot be scored: the submission was not judged, or the exercise has another rubric by now."
                .into(),
        ),
        error => error.into(),
    })?;
    tracing::info!(submission = %submission.id, check, by = %viewer.person.id, "web.answer_scored");
    Ok(grading)
}

async fn page(
    state: &AppState,
    viewer: &Viewer,
    scope: &Scope,
    csrf: &Csrf,
    fields: &HashMap<String, String>,
    refusal: Option<String>,
) -> Result<Response> {
    let (submission, grading) = (scope.submission()?, scope.grading()?);
    let exercise = state.shelf.version(&submission.exercise, &grading.exercise_version).await?;
    let waiting = state.store.waiting_reviews(submission.cohort).await?;
    let history = state.store.reviews_of(submission.id).await?;
    let essays = readable(&exercise, grading).map(|(check, essay, report)| {
        let before = history.iter().rev().filter(|stored| stored.check == check.id).map(|stored| {
            let points = stored.review.points();
            let by = visible(&stored.review.by);
            format!(
                "{by}: {} of {}, {}",
                points.earned,
                points.possible,
                stored.reviewed_at.format("%-d %B %Y")
            )
        });
        essay_view(check, essay, report, &submission.answers, fields, before.collect())
    });
    let student = state.store.person(submission.person).await?;
    let queue = queue_href(submission.cohort);
    let page = ReviewPage {
        frame: frame(viewer, scope, csrf).to(&queue, "Reviews").at(href(submission.id), "Score"),
        student: visible(&student.name).into_owned(),
        exercise: exercise.title.clone(),
        number: submission.number,
        submission_href: format!("/submissions/{}", submission.id),
        handed_in: Ago { at: submission.created_at, now: state.clock.now() },
        queue_href: queue,
        next: after(&waiting, submission.id).map(href),
        others: waiting.iter().filter(|one| one.submission != submission.id).count(),
        essays: essays.collect(),
        refusal,
        comment_bytes: COMMENT_BYTES,
    };
    Ok(Html(page.render().map_err(Error::internal)?).into_response())
}

fn essay_view(
    check: &CheckSpec,
    essay: &Essay,
    report: &CheckReport,
    answers: &Answers,
    fields: &HashMap<String, String>,
    before: Vec<String>,
) -> EssayView {
    let answer = match answers.0.get(&check.id) {
        Some(Answer::Text(text)) => text.clone(),
        Some(Answer::Choices(texts)) => texts.join("\n"),
        None => String::new(),
    };
    let words = answer.split_whitespace().count();
    let lines = essay.rubric.iter().enumerate().map(|(index, item)| {
        let name = score_name(&check.id, index);
        let stored = report.review.as_ref().and_then(|review| review.scores.get(index));
        let given = match fields.get(&name) {
            Some(text) => text.trim().parse().ok(),
            None => stored.map(|score| score.points.earned),
        };
        RubricLine { criterion: item.criterion.trim().to_owned(), name, most: item.points, given }
    });
    let comment = fields.get(&comment_name(&check.id)).cloned();
    EssayView {
        id: check.id.clone(),
        title: check.title.clone(),
        question: markdown::document(&essay.question),
        answer: visible(&answer).into_owned(),
        words: count(words.try_into().unwrap_or(i64::MAX), "word"),
        enough: format!("{} of {}", essay.enough(), count(essay.points().into(), "point")),
        lines: lines.collect(),
        comment: comment
            .or_else(|| report.review.as_ref().map(|review| review.comment.clone()))
            .unwrap_or_default(),
        before,
    }
}

/// The checks of a grading whose answers a trainer reads, or has read.
fn readable<'e>(
    exercise: &'e Exercise,
    grading: &'e Grading,
) -> impl Iterator<Item = (&'e CheckSpec, &'e Essay, &'e CheckReport)> {
    exercise.checks.iter().filter_map(|check| {
        let Kind::Essay(essay) = &check.kind else { return None };
        let report = grading.report.as_ref()?.checks.iter().find(|report| report.id == check.id)?;
        is_readable(report).then_some((check, &**essay, report))
    })
}

/// Whether a trainer reads the answer to this, or has read it.
pub(crate) fn is_readable(report: &CheckReport) -> bool {
    report.outcome == OutcomeKind::Waiting || report.review.is_some()
}

/// The one that comes after `this` in the queue, from the beginning again after the last.
fn after(waiting: &[WaitingReview], this: Uuid) -> Option<Uuid> {
    let place = waiting.iter().position(|one| one.submission == this).map_or(0, |place| place + 1);
    let (before, behind) = waiting.split_at(place.min(waiting.len()));
    behind.iter().chain(before).map(|one| one.submission).find(|other| *other != this)
}

pub(crate) fn href(submission: Uuid) -> String {
    format!("/submissions/{submission}/review")
}

pub(crate) fn queue_href(cohort: Uuid) -> String {
    format!("/cohorts/{cohort}/reviews")
}

fn score_name(check: &str, line: usize) -> String {
    format!("score:{check}:{line}")
}

fn comment_name(check: &str) -> String {
    format!("comment:{check}")
}

/// The submission's page leads here where there is something to read.
pub(crate) fn way_to_score(submission: &Submission, grading: &Grading) -> Option<(String, &'static str)> {
    let report = grading.report.as_ref()?;
    let reading = report.checks.iter().filter(|check| is_readable(check));
    let unread = reading.map(|check| check.review.is_none()).reduce(|a, b| a || b)?;
    let label = if unread { "Score the answers" } else { "Change the score" };
    Some((href(submission.id), label))
}
