//! The machinery: workers and what they are at, the queue, faults, what each worker found its engine to
//! be, and the images that it has. Live.

use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::GONE_AFTER;
use super::sections::{Sections, frame};
use crate::store::{Examined, Grading, GradingState, Job, JobKind, NewJob, Worker};
use crate::text::visible;
use crate::web::page::Frame;
use crate::web::shape::Shape;
use crate::web::sse::{self, Message};
use crate::web::update::{Patch, Update};
use crate::web::words::{Ago, bytes};
use crate::web::{AppState, Csrf, Error, Result, Viewer, body};

/// How often the page is looked at anew.
const LOOK: Duration = Duration::from_secs(2);
/// Faults that are listed.
const FAULTS: i64 = 20;

#[derive(Template)]
#[template(path = "admin/engine.html")]
pub(crate) struct EnginePage {
    pub(crate) frame: Frame,
    pub(crate) sections: Sections,
    pub(crate) machinery: MachineryPiece,
    pub(crate) workers: Vec<WorkerCard>,
}

/// What changes from one moment to the next.
#[derive(Template)]
#[template(path = "admin/machinery.html")]
pub(crate) struct MachineryPiece {
    pub(crate) queued: i64,
    pub(crate) oldest: Option<Ago>,
    pub(crate) running: usize,
    pub(crate) workers: Vec<WorkerRow>,
    pub(crate) jobs: Vec<JobRow>,
    pub(crate) faults: Vec<FaultRow>,
}

impl askama::filters::HtmlSafe for MachineryPiece {}

pub(crate) struct WorkerRow {
    pub(crate) shape: Shape,
    pub(crate) host: String,
    pub(crate) state: String,
    pub(crate) engine: String,
    pub(crate) version: String,
    pub(crate) started: Ago,
    pub(crate) seen: Ago,
    pub(crate) leases: Vec<LeaseRow>,
}

pub(crate) struct LeaseRow {
    pub(crate) href: String,
    pub(crate) attempt: i32,
    pub(crate) began: Option<Ago>,
    /// What is wrong with it, if anything.
    pub(crate) expired: bool,
}

pub(crate) struct JobRow {
    pub(crate) shape: Shape,
    pub(crate) what: String,
    pub(crate) href: Option<String>,
    pub(crate) said: String,
    pub(crate) at: Ago,
    pub(crate) progress: Option<(usize, usize)>,
}

pub(crate) struct FaultRow {
    pub(crate) href: String,
    pub(crate) exercise: String,
    pub(crate) cause: String,
    pub(crate) at: Ago,
    pub(crate) said: &'static str,
}

/// What a worker found out about its engine.
pub(crate) struct WorkerCard {
    pub(crate) id: String,
    pub(crate) host: String,
    pub(crate) examined: Option<Ago>,
    pub(crate) points: Vec<PointRow>,
    pub(crate) failing: usize,
    pub(crate) cautions: usize,
    pub(crate) looked: Option<Ago>,
    pub(crate) images: Vec<ImageRow>,
    pub(crate) missing: usize,
}

pub(crate) struct PointRow {
    pub(crate) shape: Shape,
    pub(crate) grade: &'static str,
    pub(crate) rule: String,
    pub(crate) title: String,
    pub(crate) observed: String,
    pub(crate) advice: String,
}

pub(crate) struct ImageRow {
    pub(crate) shape: Shape,
    pub(crate) image: String,
    pub(crate) said: String,
    pub(crate) exercises: String,
}

/// A point as a worker stored it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Point {
    rule: Rule,
    title: String,
    grade: String,
    observed: String,
    advice: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Rule {
    name: String,
}

/// An image as a worker stored it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ImageSeen {
    image: String,
    exercises: Vec<String>,
    bytes: Option<u64>,
    state: String,
    refusal: Option<String>,
}

/// `GET /admin/engine`
///
/// # Errors
/// Faults of ours.
pub async fn show(State(state): State<AppState>, viewer: Viewer, csrf: Csrf) -> Result<Response> {
    let now = state.clock.now();
    let examined = state.store.workers_examined().await?;
    let alive = |worker: &Worker| now - worker.last_seen <= GONE_AFTER;
    let workers = state.store.workers().await?.into_iter().filter(alive).map(|worker| {
        let found = examined.iter().find(|found| found.id == worker.id);
        card(&worker, found, now)
    });
    let page = EnginePage {
        frame: frame(&viewer, &csrf, "/admin/engine", "Engine"),
        sections: Sections::at("/admin/engine"),
        workers: workers.collect(),
        machinery: machinery(&state).await?,
    };
    Ok(Html(page.render().map_err(Error::internal)?).into_response())
}

fn shown(text: &str) -> String {
    visible(text).into_owned()
}

fn card(worker: &Worker, found: Option<&Examined>, now: DateTime<Utc>) -> WorkerCard {
    let read = |json: Option<&String>| json.and_then(|json| serde_json::from_str::<Value>(json).ok());
    let points: Vec<Point> = read(found.and_then(|found| found.doctor.as_ref()))
        .and_then(|points| serde_json::from_value(points).ok())
        .unwrap_or_default();
    let images: Vec<ImageSeen> = read(found.and_then(|found| found.images.as_ref()))
        .and_then(|told| serde_json::from_value(told.get("images")?.clone()).ok())
        .unwrap_or_default();
    let graded = |grade: &str| points.iter().filter(|point| point.grade == grade).count();
    WorkerCard {
        id: worker.id.clone(),
        host: shown(&worker.host),
        examined: found.and_then(|found| found.doctor_at).map(|at| Ago { at, now }),
        failing: graded("fail"),
        cautions: graded("caution"),
        looked: found.and_then(|found| found.images_at).map(|at| Ago { at, now }),
        missing: images.iter().filter(|image| image.state != "there").count(),
        images: images.into_iter().map(image_row).collect(),
        points: points.iter().map(point_row).collect(),
    }
}

fn point_row(point: &Point) -> PointRow {
    let (shape, grade) = match point.grade.as_str() {
        "pass" => (Shape::Passed, "PASS"),
        "fail" => (Shape::Failed, "FAIL"),
        _ => (Shape::Waiting, "CAUTION"),
    };
    PointRow {
        shape,
        grade,
        rule: shown(&point.rule.name),
        title: shown(&point.title),
        observed: shown(&point.observed),
        advice: shown(&point.advice),
    }
}

fn image_row(image: ImageSeen) -> ImageRow {
    let (shape, said) = match (image.bytes, image.refusal) {
        (Some(size), _) => (Shape::Passed, bytes(size)),
        (None, Some(refusal)) => (Shape::Failed, shown(&refusal)),
        (None, None) => (Shape::Failed, "missing".to_owned()),
    };
    ImageRow { shape, image: shown(&image.image), said, exercises: image.exercises.join(", ") }
}

async fn machinery(state: &AppState) -> Result<MachineryPiece> {
    let now = state.clock.now();
    let store = &state.store;
    let (queued, oldest) = store.queue_depth().await?;
    let running = store.running().await?;
    let workers = store.workers().await?;
    let rows = workers.iter().map(|worker| worker_row(worker, &running, now));
    let jobs = store.unfinished_jobs(now - GONE_AFTER).await?;
    let faults = store.recent_faults(FAULTS).await?.into_iter().map(|(grading, exercise)| FaultRow {
        href: format!("/submissions/{}", grading.submission),
        exercise,
        cause: shown(grading.fault.as_deref().unwrap_or_default()),
        at: Ago { at: grading.finished_at.or(grading.started_at).unwrap_or(grading.queued_at), now },
        said: match (grading.state, grading.verdict) {
            (GradingState::Done, Some(crate::report::Verdict::Passed | crate::report::Verdict::Failed)) => {
                "graded at a later attempt"
            }
            (GradingState::Done, _) => "given up",
            _ => "to be tried again",
        },
    });
    Ok(MachineryPiece {
        queued,
        oldest: oldest.map(|at| Ago { at, now }),
        running: running.len(),
        workers: rows.collect(),
        jobs: jobs.iter().map(|job| job_row(job, now)).collect(),
        faults: faults.collect(),
    })
}

/// How a worker is, as a shape and in words.
pub(super) fn standing(worker: &Worker, now: DateTime<Utc>) -> (Shape, String) {
    match &worker.paused_because {
        _ if now - worker.last_seen > GONE_AFTER => (Shape::Fault, "not heard of".to_owned()),
        Some(because) => (Shape::Waiting, format!("paused: {}", visible(because))),
        None => (Shape::Passed, "ready".to_owned()),
    }
}

fn worker_row(worker: &Worker, running: &[Grading], now: DateTime<Utc>) -> WorkerRow {
    let (shape, state) = standing(worker, now);
    let own = running.iter().filter(|grading| grading.leased_by.as_deref() == Some(&worker.id));
    WorkerRow {
        shape,
        host: shown(&worker.host),
        state,
        engine: shown(worker.engine.as_deref().unwrap_or("not known yet")),
        version: shown(&worker.version),
        started: Ago { at: worker.started_at, now },
        seen: Ago { at: worker.last_seen, now },
        leases: own
            .map(|grading| LeaseRow {
                href: format!("/submissions/{}", grading.submission),
                attempt: grading.attempt,
                began: grading.started_at.map(|at| Ago { at, now }),
                expired: grading.lease_until.is_some_and(|until| until <= now),
            })
            .collect(),
    }
}

fn job_row(job: &Job, now: DateTime<Utc>) -> JobRow {
    let about = shown(&job.subject);
    let (what, href) = match job.kind {
        JobKind::Verify => (format!("Verification of {about}"), Some(super::exercises::href(&job.subject))),
        JobKind::Import => (format!("Import of {about}"), Some(super::exercises::href(&job.subject))),
        JobKind::Doctor => (format!("Examination of the engine on {about}"), None),
        JobKind::Images => (format!("Images on {about}"), None),
    };
    let list = |key: &str| job.progress.get(key).and_then(Value::as_array);
    let ended = |one: &&Value| {
        !["waiting", "running", "pulling"].contains(&one["state"].as_str().unwrap_or_default())
    };
    let progress =
        list("trials").or_else(|| list("images")).map(|all| (all.iter().filter(ended).count(), all.len()));
    let pulling = list("images").and_then(|all| all.iter().find(|one| one["state"] == "pulling"));
    let pulling =
        pulling.and_then(|one| one["image"].as_str()).map(|image| format!("pulling {}", visible(image)));
    let (shape, said) = match job.state {
        GradingState::Running => (Shape::Running, pulling.unwrap_or_else(|| "under way".into())),
        _ if job.attempt > 0 => (
            Shape::Fault,
            format!("to be tried again: {}", visible(job.fault.as_deref().unwrap_or("the worker went"))),
        ),
        _ if job.not_before > now => (Shape::Waiting, "waits until the worker has settled".into()),
        _ => (Shape::Waiting, "in the queue".into()),
    };
    JobRow { shape, what, href, said, at: Ago { at: job.started_at.unwrap_or(job.queued_at), now }, progress }
}

/// What a worker is asked to do.
#[derive(Deserialize)]
pub struct Asked {
    #[serde(default)]
    worker: String,
    #[serde(default)]
    r#do: String,
}

/// `POST /admin/engine`: asks a worker to examine its engine, to look for images or to pull them.
///
/// # Errors
/// [`Error::Refused`] when there is no such worker, or nothing of the kind to do.
pub async fn ask(
    State(state): State<AppState>,
    viewer: Viewer,
    body::Form(asked): body::Form<Asked>,
) -> Result<Redirect> {
    let workers = state.store.workers().await?;
    let Some(worker) = workers.iter().find(|worker| worker.id == asked.worker) else {
        return Err(Error::Refused(
            "This worker is gone. Open the page again and choose another one.".into(),
        ));
    };
    let (kind, wish) = match asked.r#do.as_str() {
        "doctor" => (JobKind::Doctor, json!({})),
        "images" => (JobKind::Images, json!({})),
        "pull" => (JobKind::Images, json!({"pull": true})),
        _ => return Err(Error::Refused("This form says nothing to do. Use one of its buttons.".into())),
    };
    let new = NewJob {
        kind,
        subject: &worker.host,
        content: None,
        wish,
        worker: Some(&worker.id),
        login: None,
        delay: Duration::ZERO,
        by: Some(viewer.person.id),
    };
    state.store.ask(new).await?;
    Ok(Redirect::to("/admin/engine"))
}

/// `GET /admin/engine/events`: the machinery anew whenever it changes.
///
/// # Errors
/// [`Error::TooMany`] when the viewer follows too much at once.
pub async fn events(State(state): State<AppState>, viewer: Viewer) -> Result<Response> {
    let watching = Watching { state: state.clone(), shown: None, examined: None };
    let messages = futures::stream::unfold(watching, |mut watching| async {
        watching.next().await.map(|message| (message, watching))
    });
    sse::messages(&state, &viewer, messages)
}

/// A worker, and when it last measured its engine and looked for images.
type Found = (String, Option<DateTime<Utc>>, Option<DateTime<Utc>>);

struct Watching {
    state: AppState,
    shown: Option<String>,
    /// When each worker last found something out.
    examined: Option<Vec<Found>>,
}

impl Watching {
    async fn next(&mut self) -> Option<Message> {
        loop {
            if self.shown.is_some() {
                tokio::time::sleep(LOOK).await;
            }
            match self.look().await {
                Ok(Some(update)) => return Message::new("update", &update),
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(%error, "web.follow_failed");
                    return None;
                }
            }
        }
    }

    async fn look(&mut self) -> Result<Option<Update>> {
        let examined = self.state.store.workers_examined().await?;
        let mut examined: Vec<Found> =
            examined.into_iter().map(|one| (one.id, one.doctor_at, one.images_at)).collect();
        examined.sort();
        if self.examined.as_ref().is_some_and(|before| *before != examined) {
            // What the workers found is drawn with the page.
            return Ok(Some(Update { reload: true, ..Update::default() }));
        }
        self.examined = Some(examined);
        let piece = machinery(&self.state).await?.to_string();
        if self.shown.as_ref() == Some(&piece) {
            return Ok(None);
        }
        self.shown = Some(piece.clone());
        Ok(Some(Update::of(Patch::anew("machinery", &piece))))
    }
}
