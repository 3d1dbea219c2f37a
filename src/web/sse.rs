//! Event streams (<https://html.spec.whatwg.org/multipage/server-sent-events.html>): what happens in
//! a grading or a cohort, as it happens.
//!
//! Pages and API tell the same events in their own words: whoever opens a stream gives a [`Teller`]
//! that turns each event into what is sent. A stream ends after the last event, when the server
//! stops, or when the reader goes; what it holds in memory is one batch of events and the teller.

use std::borrow::Cow;
use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::AppState;
use super::access::Viewer;
use super::error::{Error, Result};
use crate::store::{Grading, GradingState, Note};

/// Streams of one person at a time: a few tabs with pages that follow something each.
const STREAMS_PER_PERSON: usize = 16;
/// How often a comment is sent so that nothing on the way takes the silence for an end.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How often the place in the queue is looked up.
const PLACE: Duration = Duration::from_secs(2);

/// Streams that are open, by person. Clones share the count.
#[derive(Clone, Default)]
pub struct Streams(Arc<Mutex<HashMap<Uuid, usize>>>);

impl Streams {
    /// How many are open in all.
    #[must_use]
    pub fn open(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }

    fn enter(&self, person: Uuid) -> Result<Open> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(person).or_default();
        if *count >= STREAMS_PER_PERSON {
            return Err(Error::TooMany {
                sentence: "Too many of your pages follow something at once. Close some of them.".into(),
                retry_after: KEEP_ALIVE,
            });
        }
        *count += 1;
        Ok(Open { streams: self.clone(), person })
    }
}

/// One open stream; counted until it is dropped.
struct Open {
    streams: Streams,
    person: Uuid,
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut all = self.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.person) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.person);
            }
        }
    }
}

/// From where on a stream is wanted.
#[derive(Debug, Default, Deserialize)]
pub struct After {
    after: Option<i64>,
}

impl After {
    /// The number of the last event that the reader has: what a browser says when it comes back
    /// (`Last-Event-ID`), else what the page was drawn with (`?after=`), else 0.
    ///
    /// # Errors
    /// [`Error::BadRequest`] when the header is no number.
    pub fn after(&self, headers: &HeaderMap) -> Result<i64> {
        match headers.get("last-event-id").map(|value| value.to_str().unwrap_or_default()) {
            None | Some("") => Ok(self.after.unwrap_or_default()),
            Some(text) => text.parse().map_err(|_| {
                Error::BadRequest("Last-Event-ID is the number of an event of this stream.".into())
            }),
        }
    }
}

/// Turns what happens into what is sent.
pub trait Teller: Send + 'static {
    /// The grading waits, with so many before it. Told when the number changes.
    fn queued(&mut self, ahead: i64) -> Option<Message>;
    /// The next event, as the JSON of a [`crate::live::Event`].
    fn event(&mut self, json: &str) -> Option<Message>;
    /// Whether the stream goes on after the last event, for what trainers add.
    fn awaits_review(&self) -> bool {
        false
    }
    /// The newest grading of the submission, whose report a trainer may have changed, and what trainers added.
    fn reviewed(&mut self, _grading: &Grading, _notes: Vec<Note>) -> Option<Message> {
        None
    }
}

/// What is sent for one event: a name and JSON. The number is added by the stream.
#[derive(Debug)]
pub struct Message {
    /// What a script listens for.
    pub name: Cow<'static, str>,
    /// The data, on one line.
    pub json: String,
}

impl Message {
    /// A message with `data` as JSON; `None`, and an entry in the log, if it cannot be written as such.
    pub fn new(name: impl Into<Cow<'static, str>>, data: &impl Serialize) -> Option<Self> {
        match serde_json::to_string(data) {
            Ok(json) => Some(Self { name: name.into(), json }),
            Err(error) => {
                tracing::error!(%error, "web.event_not_written");
                None
            }
        }
    }

    fn sent(self, seq: Option<i64>) -> Sent {
        let sent = Sent::default().event(self.name).data(self.json);
        match seq {
            Some(seq) => sent.id(seq.to_string()),
            None => sent,
        }
    }
}

/// Follows one grading, beginning after the event number `after`.
///
/// # Errors
/// [`Error::TooMany`] when the viewer has too many streams open.
pub async fn grading(
    state: &AppState,
    viewer: &Viewer,
    grading: &Grading,
    after: i64,
    teller: impl Teller,
) -> Result<Response> {
    if grading.state == GradingState::Done
        && !teller.awaits_review()
        && state.store.events_after(grading.id, after, 1).await?.is_empty()
    {
        // The one answer after which a browser does not come back.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let open = state.streams.enter(viewer.person.id)?;
    let follower = Follower {
        events: Some(Box::pin(state.live.follow(grading.id, after))),
        reports: None,
        state: state.clone(),
        grading: grading.id,
        submission: grading.submission,
        waits: grading.state == GradingState::Queued,
        ahead: None,
        places: tokio::time::interval(PLACE),
        teller,
        _open: open,
    };
    let messages = futures::stream::unfold(follower, |mut follower| async {
        follower.next().await.map(|sent| (Ok(sent), follower))
    });
    Ok(respond(state, messages))
}

/// Sends messages until they end, counted among the viewer's streams.
///
/// # Errors
/// [`Error::TooMany`] when the viewer has too many streams open.
pub fn messages(
    state: &AppState,
    viewer: &Viewer,
    messages: impl Stream<Item = Message> + Send + 'static,
) -> Result<Response> {
    let open = state.streams.enter(viewer.person.id)?;
    Ok(respond(
        state,
        messages.map(move |message| {
            let _still = &open;
            Ok(message.sent(None))
        }),
    ))
}

/// Sends messages until they end or the server stops.
fn respond(
    state: &AppState,
    messages: impl Stream<Item = Result<Sent, Infallible>> + Send + 'static,
) -> Response {
    let messages = messages.take_until(state.shutdown.clone().cancelled_owned());
    let mut response = Sse::new(messages).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    // Reverse proxies that collect answers before they pass them on are told not to.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// One reader of one grading.
struct Follower<S, T> {
    /// Until the last of them.
    events: Option<Pin<Box<S>>>,
    /// After that, while answers wait for a trainer.
    reports: Option<BoxStream<'static, ()>>,
    state: AppState,
    grading: Uuid,
    submission: Uuid,
    /// Whether the grading waits in the queue, as far as the events tell.
    waits: bool,
    ahead: Option<i64>,
    places: tokio::time::Interval,
    teller: T,
    _open: Open,
}

impl<S, T> Follower<S, T>
where
    S: Stream<Item = (i64, Arc<str>)> + Send,
    T: Teller,
{
    /// The next thing to send; `None` at the end.
    async fn next(&mut self) -> Option<Sent> {
        loop {
            let Some(events) = &mut self.events else { return self.reviewed().await };
            tokio::select! {
                event = events.next() => {
                    let Some((seq, json)) = event else {
                        self.events = None;
                        continue;
                    };
                    self.waits = event_type(&json) == "retrying";
                    self.ahead = None;
                    if let Some(message) = self.teller.event(&json) {
                        return Some(message.sent(Some(seq)));
                    }
                }
                _ = self.places.tick(), if self.waits => {
                    let Ok(ahead) = self.state.store.place_in_queue(self.grading).await else { continue };
                    if self.ahead.replace(ahead) != Some(ahead)
                        && let Some(message) = self.teller.queued(ahead)
                    {
                        return Some(message.sent(None));
                    }
                }
            }
        }
    }

    /// What a trainer's score, decision or comment changes; `None` when none is waited for any more.
    async fn reviewed(&mut self) -> Option<Sent> {
        while self.teller.awaits_review() {
            let follow = || self.state.live.follow_report(self.submission).boxed();
            self.reports.get_or_insert_with(follow).next().await?;
            let grading = self.state.store.latest_grading(self.submission);
            match tokio::try_join!(grading, self.state.store.notes_of(self.submission)) {
                Ok((grading, notes)) => {
                    if let Some(message) = self.teller.reviewed(&grading, notes) {
                        return Some(message.sent(None));
                    }
                }
                Err(error) => {
                    tracing::error!(submission = %self.submission, %error, "web.follow_failed");
                    return None;
                }
            }
        }
        None
    }
}

/// The `type` of an event's JSON, which is the name of its variant.
#[must_use]
pub fn event_type(json: &str) -> Cow<'_, str> {
    #[derive(Deserialize)]
    struct Tag<'a> {
        #[serde(borrow)]
        r#type: Cow<'a, str>,
    }
    serde_json::from_str::<Tag<'_>>(json).map_or(Cow::Borrowed("unknown"), |tag| tag.r#type)
}
