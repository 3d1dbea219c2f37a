//! Workshops: which exercises, in which sections and order. What is saved is published at once.
//!
//! The form carries the whole order, so that moving something needs no JavaScript: a button sends the
//! form, the page comes back with the thing moved, and nothing is published before it is said so.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::folder::slug_of;
use super::sections::{Sections, frame};
use crate::exercises::{Section, Workshop};
use crate::store;
use crate::web::page::Frame;
use crate::web::words::count;
use crate::web::{AppState, Csrf, Error, Result, Viewer, body};

/// The longest title, in characters.
const LONGEST: usize = 200;

#[derive(Template)]
#[template(path = "admin/workshops.html")]
pub(crate) struct WorkshopsPage {
    pub(crate) frame: Frame,
    pub(crate) sections: Sections,
    pub(crate) rows: Vec<WorkshopRow>,
    pub(crate) form: New,
    pub(crate) refusal: Option<String>,
}

pub(crate) struct WorkshopRow {
    pub(crate) slug: String,
    pub(crate) title: String,
    pub(crate) audience: String,
    pub(crate) about: String,
    pub(crate) cohorts: Vec<String>,
}

/// A workshop that is to be made.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct New {
    pub(crate) slug: String,
    pub(crate) title: String,
    pub(crate) audience: String,
}

/// `GET /admin/workshops`
///
/// # Errors
/// Faults of ours.
pub async fn list(State(state): State<AppState>, viewer: Viewer, csrf: Csrf) -> Result<Response> {
    list_page(&state, &viewer, &csrf, New::default(), None).await
}

async fn list_page(
    state: &AppState,
    viewer: &Viewer,
    csrf: &Csrf,
    form: New,
    refusal: Option<Error>,
) -> Result<Response> {
    let cohorts = state.store.cohorts().await?;
    let rows = state.store.workshops().await?.into_iter().map(|workshop| WorkshopRow {
        about: about(&workshop),
        cohorts: cohorts
            .iter()
            .filter(|cohort| cohort.workshop == workshop.slug)
            .map(|cohort| cohort.name.clone())
            .collect(),
        slug: workshop.slug,
        title: workshop.title,
        audience: workshop.audience,
    });
    let status = refusal.as_ref().map_or(StatusCode::OK, Error::status);
    let page = WorkshopsPage {
        frame: frame(viewer, csrf, "/admin/workshops", "Workshops"),
        sections: Sections::at("/admin/workshops"),
        rows: rows.collect(),
        form,
        refusal: refusal.map(|refused| refused.to_string()),
    };
    Ok((status, Html(page.render().map_err(Error::internal)?)).into_response())
}

fn about(workshop: &Workshop) -> String {
    let exercises: usize = workshop.sections.iter().map(|section| section.exercises.len()).sum();
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    format!("{}, {}", count(number(workshop.sections.len()), "section"), count(number(exercises), "exercise"))
}

/// `POST /admin/workshops`: makes one, with nothing in it yet.
///
/// # Errors
/// Faults of ours; what is wrong with the form is told on the page.
pub async fn create(
    State(state): State<AppState>,
    viewer: Viewer,
    csrf: Csrf,
    body::Form(form): body::Form<New>,
) -> Result<Response> {
    let made = async {
        let slug = slug_of(&form.slug)?;
        let workshop = Workshop {
            title: line("title", &form.title)?,
            audience: line("audience", &form.audience)?,
            sections: vec![Section { title: "First".into(), exercises: Vec::new() }],
            slug,
        };
        match state.store.edit_workshop(&workshop, None, Some(viewer.person.id)).await {
            Err(store::Error::Changed { .. }) => Err(Error::Conflict(
                format!("There is a workshop `{}` already. Choose another name.", workshop.slug).into(),
            )),
            other => other.map(|()| workshop.slug).map_err(Error::from),
        }
    };
    match made.await {
        Ok(slug) => Ok(Redirect::to(&format!("/admin/workshops/{slug}")).into_response()),
        Err(refused) if refused.status().is_client_error() => {
            list_page(&state, &viewer, &csrf, form, Some(refused)).await
        }
        Err(error) => Err(error),
    }
}

/// One line of text that has to be there.
fn line(what: &str, typed: &str) -> Result<String> {
    let text = typed.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() || text.chars().count() > LONGEST || text.chars().any(char::is_control) {
        return Err(Error::Refused(
            format!("The {what} is one line of 1 to {LONGEST} characters. Write what it is.").into(),
        ));
    }
    Ok(text)
}

#[derive(Template)]
#[template(path = "admin/workshop.html")]
pub(crate) struct WorkshopPage {
    pub(crate) frame: Frame,
    pub(crate) sections: Sections,
    pub(crate) slug: String,
    pub(crate) title: String,
    pub(crate) audience: String,
    pub(crate) parts: Vec<Part>,
    /// Exercises that can be added.
    pub(crate) others: Vec<(String, String)>,
    pub(crate) seen: String,
    pub(crate) changed: bool,
    pub(crate) saved: bool,
    pub(crate) cohorts: Vec<(String, String)>,
    pub(crate) refusal: Option<String>,
}

pub(crate) struct Part {
    pub(crate) title: String,
    pub(crate) exercises: Vec<Item>,
}

pub(crate) struct Item {
    pub(crate) slug: String,
    pub(crate) title: String,
    pub(crate) note: &'static str,
}

/// Whether it has just been published.
#[derive(Deserialize)]
pub struct Shown {
    #[serde(default)]
    saved: bool,
}

/// `GET /admin/workshops/{workshop}`
///
/// # Errors
/// [`Error::NotFound`] when there is none of that name.
pub async fn show(
    State(state): State<AppState>,
    viewer: Viewer,
    csrf: Csrf,
    body::Path(slug): body::Path<String>,
    body::Query(shown): body::Query<Shown>,
) -> Result<Response> {
    let workshop = state.store.workshop(&slug).await?.ok_or_else(|| Error::no_such("workshop"))?;
    let seen = state.store.workshop_published(&slug).await?;
    let draft = Order { workshop, seen: seen.map(|at| at.to_rfc3339()).unwrap_or_default(), changed: false };
    let mut page = page(&state, &viewer, &csrf, draft).await?;
    page.saved = shown.saved;
    rendered(&page, StatusCode::OK)
}

fn rendered(page: &WorkshopPage, status: StatusCode) -> Result<Response> {
    Ok((status, Html(page.render().map_err(Error::internal)?)).into_response())
}

/// A workshop on its way through a form.
struct Order {
    workshop: Workshop,
    /// When it was published that the form began with.
    seen: String,
    /// Whether it is not what is published.
    changed: bool,
}

async fn page(state: &AppState, viewer: &Viewer, csrf: &Csrf, order: Order) -> Result<WorkshopPage> {
    let Order { workshop, seen, changed } = order;
    let published = state.store.published_exercises().await?;
    let item = |slug: &String| {
        let found = published.iter().find(|one| one.slug == *slug);
        Item {
            slug: slug.clone(),
            title: found.map_or_else(|| slug.clone(), |one| one.title.clone()),
            note: match found {
                None => "not published",
                Some(one) if one.retired_at.is_some() => "retired",
                Some(_) => "",
            },
        }
    };
    let parts = workshop.sections.iter().map(|section| Part {
        title: section.title.clone(),
        exercises: section.exercises.iter().map(item).collect(),
    });
    let others = published.iter().filter(|one| one.retired_at.is_none() && !super::has(&workshop, &one.slug));
    let cohorts = state.store.cohorts().await?.into_iter().filter(|cohort| cohort.workshop == workshop.slug);
    Ok(WorkshopPage {
        frame: frame(viewer, csrf, "/admin/workshops", "Workshops")
            .at(format!("/admin/workshops/{}", workshop.slug), workshop.slug.clone()),
        sections: Sections::at("/admin/workshops"),
        parts: parts.collect(),
        others: others.map(|one| (one.slug.clone(), one.title.clone())).collect(),
        cohorts: cohorts.map(|cohort| (format!("/admin/cohorts/{}", cohort.id), cohort.name)).collect(),
        slug: workshop.slug,
        title: workshop.title,
        audience: workshop.audience,
        seen,
        changed,
        saved: false,
        refusal: None,
    })
}

/// What is done to the order that a form carries.
#[derive(Debug, PartialEq, Eq)]
enum Act {
    Publish,
    /// A place to the front or back, across sections.
    Up(usize, usize),
    Down(usize, usize),
    Remove(usize, usize),
    /// Into a section, at its end.
    Add(usize),
    SectionUp(usize),
    SectionDown(usize),
    SectionRemove(usize),
    SectionAdd,
}

impl Act {
    fn read(word: &str) -> Option<Self> {
        let (name, at) = word.split_once(':').unwrap_or((word, ""));
        let one = || at.parse::<usize>().ok();
        let two = || {
            let (section, exercise) = at.split_once('.')?;
            Some((section.parse::<usize>().ok()?, exercise.parse::<usize>().ok()?))
        };
        Some(match name {
            "publish" => Self::Publish,
            "up" => two().map(|(section, exercise)| Self::Up(section, exercise))?,
            "down" => two().map(|(section, exercise)| Self::Down(section, exercise))?,
            "remove" => two().map(|(section, exercise)| Self::Remove(section, exercise))?,
            "add" => Self::Add(one()?),
            "section-up" => Self::SectionUp(one()?),
            "section-down" => Self::SectionDown(one()?),
            "section-remove" => Self::SectionRemove(one()?),
            "section-add" => Self::SectionAdd,
            _ => return None,
        })
    }

    /// Does it; what is not there any more is left alone.
    fn apply(&self, sections: &mut Vec<Section>, added: &str) {
        let there = |sections: &[Section], section: usize, exercise: usize| {
            sections.get(section).is_some_and(|part| exercise < part.exercises.len())
        };
        match *self {
            Self::Up(section, exercise) if there(sections, section, exercise) => {
                if exercise > 0 {
                    sections[section].exercises.swap(exercise - 1, exercise);
                } else if section > 0 {
                    let moved = sections[section].exercises.remove(0);
                    sections[section - 1].exercises.push(moved);
                }
            }
            Self::Down(section, exercise) if there(sections, section, exercise) => {
                if exercise + 1 < sections[section].exercises.len() {
                    sections[section].exercises.swap(exercise, exercise + 1);
                } else if section + 1 < sections.len() {
                    let moved = sections[section].exercises.remove(exercise);
                    sections[section + 1].exercises.insert(0, moved);
                }
            }
            Self::Remove(section, exercise) if there(sections, section, exercise) => {
                sections[section].exercises.remove(exercise);
            }
            Self::Add(section) if section < sections.len() && !added.is_empty() => {
                sections[section].exercises.push(added.to_owned());
            }
            Self::SectionUp(section) if section > 0 && section < sections.len() => {
                sections.swap(section - 1, section);
            }
            Self::SectionDown(section) if section + 1 < sections.len() => sections.swap(section, section + 1),
            Self::SectionRemove(section) if section < sections.len() => drop(sections.remove(section)),
            Self::SectionAdd => sections.push(Section { title: String::new(), exercises: Vec::new() }),
            _ => {}
        }
    }
}

/// `POST /admin/workshops/{workshop}`: the whole order, and what to do with it. Fields `section` and
/// `exercise` come in the order of the page.
///
/// # Errors
/// [`Error::NotFound`] when there is none of that name.
pub async fn edit(
    State(state): State<AppState>,
    viewer: Viewer,
    csrf: Csrf,
    body::Path(slug): body::Path<String>,
    body::Form(fields): body::Form<Vec<(String, String)>>,
) -> Result<Response> {
    let known = state.store.workshop(&slug).await?.ok_or_else(|| Error::no_such("workshop"))?;
    let mut workshop = Workshop { slug, title: String::new(), audience: String::new(), sections: Vec::new() };
    let (mut seen, mut act) = (String::new(), None);
    let mut adds: Vec<String> = Vec::new();
    for (name, value) in fields {
        match name.as_str() {
            "title" => workshop.title = value,
            "audience" => workshop.audience = value,
            "section" => workshop.sections.push(Section { title: value, exercises: Vec::new() }),
            "exercise" => {
                if let Some(section) = workshop.sections.last_mut() {
                    section.exercises.push(value);
                }
            }
            "add" => adds.push(value),
            "seen" => seen = value,
            "do" => act = Act::read(&value),
            _ => {}
        }
    }
    let act =
        act.ok_or_else(|| Error::Refused("This form says nothing to do. Use one of its buttons.".into()))?;
    if act != Act::Publish {
        let added = match act {
            Act::Add(section) => adds.get(section).cloned().unwrap_or_default(),
            _ => String::new(),
        };
        act.apply(&mut workshop.sections, &added);
        let page = page(&state, &viewer, &csrf, Order { workshop, seen, changed: true }).await?;
        return rendered(&page, StatusCode::OK);
    }
    match publish(&state, &viewer, &known, &workshop, &seen).await {
        Ok(()) => Ok(Redirect::to(&format!("/admin/workshops/{}?saved=true", workshop.slug)).into_response()),
        Err(refused) if refused.status().is_client_error() => {
            // What somebody else published lies before this now: whoever saves again has been told.
            if matches!(refused, Error::Conflict(_)) {
                let published = state.store.workshop_published(&workshop.slug).await?;
                seen = published.map(|at| at.to_rfc3339()).unwrap_or_default();
            }
            let mut page = page(&state, &viewer, &csrf, Order { workshop, seen, changed: true }).await?;
            page.refusal = Some(refused.to_string());
            rendered(&page, refused.status())
        }
        Err(error) => Err(error),
    }
}

async fn publish(
    state: &AppState,
    viewer: &Viewer,
    known: &Workshop,
    workshop: &Workshop,
    seen: &str,
) -> Result<()> {
    let mut cleaned = Workshop {
        slug: workshop.slug.clone(),
        title: line("title", &workshop.title)?,
        audience: line("audience", &workshop.audience)?,
        sections: Vec::new(),
    };
    let published = state.store.published_exercises().await?;
    let mut all: Vec<&str> = Vec::new();
    for section in &workshop.sections {
        let title = line("title of a section", &section.title)?;
        for slug in &section.exercises {
            let refuse = |what: &str| Err(Error::Refused(format!("The exercise `{slug}` {what}.").into()));
            match published.iter().find(|one| one.slug == *slug) {
                // What was there stays, whatever became of it.
                _ if super::has(known, slug) => {}
                None => return refuse("is not published; publish it first, or take it out"),
                Some(one) if one.retired_at.is_some() => return refuse("is retired; take it out"),
                Some(_) => {}
            }
            if all.contains(&slug.as_str()) {
                return refuse("is in it twice; take one of them out");
            }
            all.push(slug);
        }
        cleaned.sections.push(Section { title, exercises: section.exercises.clone() });
    }
    let seen: Option<DateTime<Utc>> = seen.parse().ok();
    match state.store.edit_workshop(&cleaned, seen, Some(viewer.person.id)).await {
        Err(store::Error::Changed { .. }) => Err(Error::Conflict(
            "Somebody else has published this workshop meanwhile, so nothing was changed. Below is yours; \
             publishing again puts it in the place of theirs."
                .into(),
        )),
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(parts: &[&str]) -> Vec<Section> {
        let section = |part: &&str| Section {
            title: "T".into(),
            exercises: part.split_whitespace().map(str::to_owned).collect(),
        };
        parts.iter().map(section).collect()
    }

    #[test]
    fn buttons_move_within_and_across_sections() {
        for (word, after) in [
            ("up:0.0", ["a b", "c"]),
            ("up:0.1", ["b a", "c"]),
            ("up:1.0", ["a b c", ""]),
            ("down:0.0", ["b a", "c"]),
            ("down:0.1", ["a", "b c"]),
            ("down:1.0", ["a b", "c"]),
            ("remove:0.0", ["b", "c"]),
            ("remove:7.0", ["a b", "c"]),
            ("add:1", ["a b", "c new"]),
            ("section-up:1", ["c", "a b"]),
            ("section-down:0", ["c", "a b"]),
        ] {
            let mut sections = order(&["a b", "c"]);
            Act::read(word).unwrap().apply(&mut sections, "new");
            assert_eq!(sections, order(&after), "{word}");
        }
        assert_eq!(Act::read("up:x"), None);
        assert_eq!(Act::read("explode"), None);
    }
}
