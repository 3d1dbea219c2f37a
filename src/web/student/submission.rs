//! A submission: its verdict and evidence, live while it is graded. The same page serves its trainer,
//! who also sees hidden expectations and causes of faults.

use std::fmt::Write as _;

use askama::Template;
use askama_web::WebTemplate;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use uuid::Uuid;

use super::board::{frame, href};
use super::notes::NotesPiece;
use super::picture::{Audience, Before, Outline, Picture, Stage};
use super::pieces::{ChecksPiece, LogPiece, outcome_word};
use crate::checks::Question;
use crate::clock::Clock;
use crate::exercises::Exercise;
use crate::live::Event;
use crate::report::{OutcomeKind, Verdict};
use crate::store::{Grading, GradingState, Note, StoredEvent, Submission};
use crate::submissions::{Answer, Source};
use crate::terms::Terms;
use crate::text;
use crate::web::page::Frame;
use crate::web::shape::Shape;
use crate::web::sse::{self, Message, Teller};
use crate::web::terms;
use crate::web::trainer::judging::{JudgingPiece, Typed};
use crate::web::trainer::reviews::way_to_score;
use crate::web::update::{Patch, Update};
use crate::web::words::{Moment, bytes, count, escaped};
use crate::web::{AppState, Csrf, Error, Result, Scope, Viewer, body, markdown};

/// More events than any grading has: its log is capped long before.
const EVENTS: i64 = 100_000;

/// A submission, as it stands.
#[derive(Template, WebTemplate)]
#[template(path = "student/submission.html")]
pub struct SubmissionPage {
    pub(crate) frame: Frame,
    pub(crate) exercise: String,
    pub(crate) exercise_href: String,
    /// Whose it is, where somebody else looks.
    pub(crate) student: Option<String>,
    pub(crate) number: i64,
    pub(crate) handed_in: String,
    pub(crate) at: Moment,
    /// How late it came, and what that leaves of its points.
    pub(crate) late: Option<String>,
    pub(crate) picture: Picture,
    pub(crate) stream: Option<String>,
    pub(crate) cause: Option<String>,
    /// Where a trainer scores its answers, and what leads there.
    pub(crate) scoring: Option<(String, &'static str)>,
    pub(crate) answers: Vec<AnswerView>,
    pub(crate) previous: Option<String>,
    pub(crate) newer: Option<String>,
    pub(crate) log_href: String,
    pub(crate) hints_href: String,
    pub(crate) notes: NotesPiece,
    /// What a trainer does with it.
    pub(crate) judging: Option<JudgingPiece>,
}

pub(crate) struct AnswerView {
    pub(crate) title: String,
    pub(crate) html: String,
}

impl SubmissionPage {
    fn checks(&self) -> ChecksPiece<'_> {
        ChecksPiece { checks: self.picture.checks() }
    }

    fn log(&self) -> LogPiece {
        let (log, cut) = self.picture.log();
        LogPiece { log, cut }
    }
}

/// `GET /submissions/{submission}`
///
/// # Errors
/// Faults of ours.
pub async fn show(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    csrf: Csrf,
) -> Result<SubmissionPage> {
    page(&state, &viewer, &scope, &csrf, Typed::default()).await
}

/// The page, with what a trainer typed and was not taken.
///
/// # Errors
/// Faults of ours.
pub(crate) async fn page(
    state: &AppState,
    viewer: &Viewer,
    scope: &Scope,
    csrf: &Csrf,
    typed: Typed,
) -> Result<SubmissionPage> {
    let submission = scope.submission()?;
    // Counted before anything is read: what comes between is told by the stream.
    let judged = state.store.judgements_of(submission.id).await?;
    let grading = &state.store.latest_grading(submission.id).await?;
    let exercise = state.shelf.version(&submission.exercise, &grading.exercise_version).await?;
    let (picture, seq) = picture(state, scope, &exercise, grading, None).await?;
    let notes = state.store.notes_of(submission.id).await?;
    let now = state.clock.now();
    let student = if submission.person == viewer.person.id {
        None
    } else {
        Some(text::visible(&state.store.person(submission.person).await?.name).into_owned())
    };
    let siblings =
        state.store.submissions_of(submission.cohort, submission.person, &submission.exercise).await?;
    let sibling = |number: i64| {
        let found = siblings.iter().find(|(other, _)| other.number == number);
        found.map(|(other, _)| format!("/submissions/{}", other.id))
    };
    let here = format!("/submissions/{}", submission.id);
    let exercise_href = href(submission.cohort, &submission.exercise);
    let frame = frame(viewer, scope, csrf)
        .to(&exercise_href, &exercise.title)
        .at(&here, format!("Submission {}", submission.number));
    Ok(SubmissionPage {
        exercise: exercise.title.clone(),
        exercise_href,
        student,
        number: submission.number,
        handed_in: handed_in(submission),
        at: Moment(submission.created_at),
        late: late(&scope.terms(state).await?, submission, grading),
        stream: (!picture.is_done() || picture.awaits_review() || stays(submission, now))
            .then(|| format!("{here}/events?grading={}&after={seq}&judged={judged}", grading.id)),
        notes: NotesPiece::new(notes, picture.outline(), now),
        judging: scope.sees_everything().then(|| JudgingPiece::new(frame.csrf.clone(), grading, typed)),
        picture,
        cause: grading.fault.clone().filter(|_| scope.sees_everything()),
        scoring: way_to_score(submission, grading).filter(|_| scope.sees_everything()),
        answers: answers(&exercise, submission),
        previous: sibling(submission.number - 1),
        newer: sibling(submission.number + 1),
        log_href: format!("{here}/log.txt"),
        hints_href: format!("{here}/hints"),
        frame,
    })
}

/// How long after it was handed in a page of a submission waits for what a trainer adds.
const STAYS: TimeDelta = TimeDelta::days(1);

fn stays(submission: &Submission, now: DateTime<Utc>) -> bool {
    now - submission.created_at < STAYS
}

/// The outcome in a word.
pub(crate) fn word(outcome: OutcomeKind) -> &'static str {
    outcome_word(outcome)
}

/// Which grading a page was drawn of, and how much trainers had added to it.
#[derive(Deserialize)]
pub struct Drawn {
    grading: Option<Uuid>,
    judged: Option<i64>,
}

/// `GET /submissions/{submission}/events`
///
/// # Errors
/// [`crate::web::Error::TooMany`] when the viewer follows too much at once.
pub async fn events(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    body::Query(drawn): body::Query<Drawn>,
    body::Query(from): body::Query<sse::After>,
    headers: HeaderMap,
) -> Result<Response> {
    let (submission, grading) = (scope.submission()?, scope.grading()?);
    let judged = state.store.judgements_of(submission.id).await?;
    if drawn.grading.is_some_and(|drawn| drawn != grading.id)
        || drawn.judged.is_some_and(|drawn| drawn != judged)
    {
        // Graded anew or changed by a trainer since the page was drawn: another picture altogether.
        let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"))];
        return Ok((kind, "event: update\ndata: {\"reload\":true}\n\n").into_response());
    }
    let after = from.after(&headers)?;
    let exercise = state.shelf.version(&submission.exercise, &grading.exercise_version).await?;
    // When all is told but for what a trainer makes of it, the report is what the page shows: the events may
    // have been removed by now.
    let over = grading.state == GradingState::Done
        && state.store.events_after(grading.id, after, 1).await?.is_empty();
    let (picture, _) = picture(&state, &scope, &exercise, grading, (!over).then_some(after)).await?;
    let notes = state.store.notes_of(submission.id).await?.len();
    let stays = stays(submission, state.clock.now());
    // A page that says what it knows knows all that there is.
    let looked = drawn.judged.is_some();
    let clock = state.clock.clone();
    let teller = PageTeller { picture, grading: grading.id, looked, notes, stays, clock };
    sse::grading(&state, &viewer, grading, after, teller).await
}

/// `GET /submissions/{submission}/log.txt`
///
/// # Errors
/// Faults of ours.
pub async fn log(State(state): State<AppState>, scope: Scope) -> Result<Response> {
    let stored = state.store.events_after(scope.grading()?.id, 0, EVENTS).await?;
    let mut out = String::new();
    let mut last = None;
    for event in stored.iter().filter_map(read) {
        match event {
            Event::Started { .. } => {
                out.clear();
                last = None;
            }
            Event::Log { source, lines } => {
                let source = text::for_terminal(&source);
                if last.as_ref() != Some(&source) {
                    let _ = writeln!(out, "== {source} ==");
                    last = Some(source);
                }
                for line in lines {
                    out.push_str(&text::for_terminal(&line.text));
                    out.push('\n');
                }
            }
            Event::LogTruncated { source } => {
                let source = text::for_terminal(&source);
                let _ = writeln!(out, "== {source}: cut here, it reached its limit ==");
            }
            _ => {}
        }
    }
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))];
    Ok((kind, out).into_response())
}

/// The picture of the events up to `until`, or of all there are with the stored report; and the
/// number of the last event in it.
async fn picture(
    state: &AppState,
    scope: &Scope,
    exercise: &Exercise,
    grading: &Grading,
    until: Option<i64>,
) -> Result<(Picture, i64)> {
    let audience = if scope.sees_everything() {
        Audience::Trainer
    } else if scope.terms(state).await?.hides_expected() {
        Audience::KeptBack
    } else {
        Audience::Student
    };
    let mut picture = Picture::new(outline(state, scope.submission()?, exercise).await?, audience);
    let stored = match until {
        Some(0) => Vec::new(),
        Some(until) => state.store.events_after(grading.id, 0, until).await?,
        None => state.store.events_after(grading.id, 0, EVENTS).await?,
    };
    let mut seq = 0;
    for event in stored.iter().filter(|event| until.is_none_or(|until| event.seq <= until)) {
        seq = event.seq;
        if let Some(event) = read(event) {
            picture.apply(&event);
        }
    }
    if until.is_none() {
        match (&grading.state, &grading.report) {
            (GradingState::Done, Some(report)) => {
                let told = match picture.stage() {
                    Stage::Done { seconds, .. } => *seconds,
                    _ => None,
                };
                picture.settle(report, told.or_else(|| seconds(grading)));
            }
            (GradingState::Queued, _) => {
                picture.queued(state.store.place_in_queue(grading.id).await?);
            }
            _ => {}
        }
    }
    Ok((picture, seq))
}

/// What the exercise plans, with the hints that were asked for and the submission before.
async fn outline(state: &AppState, submission: &Submission, exercise: &Exercise) -> Result<Outline> {
    let Submission { cohort, person, exercise: slug, .. } = submission;
    let taken = state.store.hints_taken(*cohort, *person, slug).await?;
    let mut outline = Outline::from(exercise).asked(taken.iter().map(|hint| hint.check.as_str()));
    outline.before = state.store.judged_before(submission).await?.map(|(before, report)| Before {
        number: before.number,
        href: format!("/submissions/{}", before.id),
        outcomes: report.checks.into_iter().map(|check| (check.id, check.outcome)).collect(),
    });
    Ok(outline)
}

/// The check whose next hint is asked for.
#[derive(Deserialize)]
pub struct Asked {
    check: String,
}

/// `POST /submissions/{submission}/hints`: the next hint of a check that did not pass, written down.
///
/// # Errors
/// [`Error::NotAllowed`] for everybody but the student, [`Error::Refused`] for a check that did not fail.
pub async fn hint(
    State(state): State<AppState>,
    viewer: Viewer,
    scope: Scope,
    body::Form(asked): body::Form<Asked>,
) -> Result<Redirect> {
    next_hint(&state, &viewer, &scope, &asked.check).await?;
    Ok(Redirect::to(&format!("/submissions/{}#check-{}", scope.submission()?.id, asked.check)))
}

/// Reveals the next hint of a check; every hint of the check that the student has seen then, and how many there
/// are.
///
/// # Errors
/// [`Error::NotAllowed`] for everybody but the student, [`Error::Refused`] for a check that did not fail.
pub(crate) async fn next_hint(
    state: &AppState,
    viewer: &Viewer,
    scope: &Scope,
    check: &str,
) -> Result<(Vec<String>, usize)> {
    let (submission, grading) = (scope.submission()?, scope.grading()?);
    if submission.person != viewer.person.id {
        return Err(Error::NotAllowed("Only the student asks for hints; a trainer sees them all.".into()));
    }
    let exercise = state.shelf.version(&submission.exercise, &grading.exercise_version).await?;
    let failed = grading.report.as_ref().is_some_and(|report| {
        report.checks.iter().any(|one| one.id == check && one.outcome == OutcomeKind::Failed)
    });
    let check = exercise.checks.iter().find(|one| one.id == check).filter(|_| failed);
    let Some(check) = check else {
        return Err(Error::Refused(
            "There is no hint for this check: it did not fail here. Reload the page and look again.".into(),
        ));
    };
    let asked = state.store.take_hint(submission, &check.id, check.hints.len()).await?;
    Ok((check.hints.iter().take(1 + asked).cloned().collect(), check.hints.len()))
}

/// An event as it was stored; one that cannot be read is left out, the report tells the rest.
fn read(stored: &StoredEvent) -> Option<Event> {
    serde_json::from_str(&stored.payload).ok()
}

fn seconds(grading: &Grading) -> Option<f64> {
    let took = grading.finished_at? - grading.started_at?;
    Some(took.as_seconds_f64())
}

/// "2 days late: 80 % of the points count, 3.2 of 4"
fn late(terms: &Terms, submission: &Submission, grading: &Grading) -> Option<String> {
    let lateness = terms.lateness(submission.created_at);
    let told = terms::late(lateness)?;
    let judged = matches!(grading.verdict, Some(Verdict::Passed | Verdict::Failed));
    Some(if judged && lateness.percent < 100 {
        let points = terms::hundredths(lateness.hundredths(grading.points.earned));
        format!("{told}, {points} of {}", grading.points.possible)
    } else {
        told
    })
}

fn handed_in(submission: &Submission) -> String {
    let what = match &submission.source {
        Source::Upload { file_name } => text::visible(file_name).into_owned(),
        Source::Folder { name } => format!("folder {}", text::visible(name)),
        Source::SavedImage { file_name } => format!("saved image {}", text::visible(file_name)),
        Source::Repository { url, revision, commit } => {
            let at = revision.as_deref().map(|name| format!(" at {}", text::visible(name)));
            let what = format!("{}{}", text::visible(url), at.unwrap_or_default());
            match commit {
                Some(commit) => format!("{what}, commit {}", commit.get(..12).unwrap_or(commit)),
                None => return what,
            }
        }
        Source::Image { reference, digest } => {
            let what = format!("image {}", text::visible(reference));
            return match digest {
                Some(digest) if !reference.contains(digest) => format!("{what}, {digest}"),
                _ => what,
            };
        }
        Source::Answers => return "answers".into(),
    };
    let size = bytes(submission.bytes.try_into().unwrap_or_default());
    format!("{what}, {}, {size}", count(submission.files, "file"))
}

/// What was answered, with the words of the options that were chosen.
fn answers(exercise: &Exercise, submission: &Submission) -> Vec<AnswerView> {
    let answered = exercise.checks.iter().filter_map(|check| {
        let written = |text: &str| escaped(&text::visible(text));
        let html = match (submission.answers.0.get(&check.id)?, check.kind.question()) {
            (Answer::Text(text), _) => written(text),
            (Answer::Choices(chosen), Some(Question::Choice { options, .. })) => {
                let words = options.iter().filter(|(id, _)| chosen.iter().any(|theirs| theirs == id));
                let words: Vec<String> = words.map(|(_, text)| markdown::phrase(text)).collect();
                if words.len() > 1 {
                    format!("<ul><li>{}</li></ul>", words.join("</li><li>"))
                } else {
                    words.concat()
                }
            }
            (Answer::Choices(chosen), _) => written(&chosen.join("\n")),
        };
        Some(AnswerView { title: check.title.clone(), html })
    });
    answered.collect()
}

/// Tells a page which of its pieces change.
struct PageTeller {
    picture: Picture,
    grading: Uuid,
    /// Whether the reviews were told once.
    looked: bool,
    /// How many notes were told.
    notes: usize,
    /// Whether it goes on after the verdict.
    stays: bool,
    clock: Clock,
}

impl Teller for PageTeller {
    fn queued(&mut self, ahead: i64) -> Option<Message> {
        told(&self.picture.queued(ahead))
    }

    fn event(&mut self, json: &str) -> Option<Message> {
        let mut update = self.picture.apply(&serde_json::from_str(json).ok()?);
        update.more = self.stays;
        told(&update)
    }

    fn awaits_review(&self) -> bool {
        self.stays || self.picture.awaits_review()
    }

    fn reviewed(&mut self, grading: &Grading, notes: Vec<Note>) -> Option<Message> {
        if grading.id != self.grading {
            return told(&Update { reload: true, ..Update::default() });
        }
        let first = !std::mem::replace(&mut self.looked, true);
        let mut update = self.picture.reviewed(grading.report.as_ref()?, first);
        if std::mem::replace(&mut self.notes, notes.len()) != notes.len() {
            let notes = NotesPiece::new(notes, self.picture.outline(), self.clock.now());
            update.patches.push(Patch::anew("notes", &notes));
            update.say.get_or_insert_with(|| "The trainer has added something.".into());
        }
        update.more = self.stays;
        told(&update)
    }
}

fn told(update: &Update) -> Option<Message> {
    if update.is_empty() { None } else { Message::new("update", update) }
}
