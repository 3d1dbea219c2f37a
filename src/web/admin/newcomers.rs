//! Many accounts at once, from lines of comma-separated values: each line is judged, and nothing is
//! changed unless all of them are good.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use futures::StreamExt as _;
use serde::Deserialize;
use uuid::Uuid;

use super::sections::{Sections, frame};
use crate::accounts::passwords::check_password;
use crate::accounts::{Role, clean_name, name_key, random};
use crate::store::{self, Newcomer};
use crate::text::visible;
use crate::web::page::Frame;
use crate::web::{AppState, Csrf, Error, Result, Viewer, body};

/// Lines taken at once: each new password takes some ten milliseconds of a processor.
const MOST: usize = 300;

/// A line as it was written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    pub(crate) number: u64,
    pub(crate) name: String,
    pub(crate) password: String,
    /// The cohort's name, join code or id.
    pub(crate) cohort: String,
    pub(crate) role: String,
}

/// A line, and what would come of it.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    pub(crate) number: u64,
    pub(crate) name: String,
    /// As it was given; empty where one is to be made.
    password: String,
    /// Whether there is such an account already.
    pub(crate) known: bool,
    pub(crate) admin: bool,
    pub(crate) cohort: Option<(Uuid, String, Role)>,
    pub(crate) refusal: Option<String>,
}

impl Judged {
    fn outcome(&self) -> String {
        let mut said = if self.known {
            "has an account".to_owned()
        } else if self.password.is_empty() {
            "new, with a password made for them".to_owned()
        } else {
            "new, with the password given".to_owned()
        };
        if self.admin {
            said.push_str(", admin");
        }
        if let Some((_, name, role)) = &self.cohort {
            let role = if *role == Role::Trainer { "a trainer" } else { "a student" };
            let _ = write!(said, ", joins {name} as {role}");
        }
        said
    }
}

/// Somebody who was admitted, with the password that was made for them.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) name: String,
    pub(crate) password: Option<String>,
    pub(crate) cohort: String,
}

/// Reads lines of `name,password,cohort,role`; a first line that begins with `name` is a heading and
/// says which column is which.
///
/// # Errors
/// A sentence for whoever wrote it, where it is no such list at all.
pub(crate) fn lines(text: &str) -> Result<Vec<Line>, String> {
    let text = text.trim_start_matches('\u{feff}');
    let first = text.lines().next().unwrap_or_default();
    let delimiter = if first.contains(';') && !first.contains(',') { b';' } else { b',' };
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut order = ["name", "password", "cohort", "role"].map(str::to_owned).to_vec();
    let mut lines = Vec::new();
    for (index, record) in reader.records().enumerate() {
        let record = record.map_err(|error| format!("The list cannot be read: {error}."))?;
        if index == 0 && record.get(0).is_some_and(|cell| cell.eq_ignore_ascii_case("name")) {
            order = record.iter().map(str::to_lowercase).collect();
            if let Some(strange) =
                order.iter().find(|one| !["name", "password", "cohort", "role"].contains(&one.as_str()))
            {
                return Err(format!(
                    "The heading has a column `{}`; there are `name`, `password`, `cohort` and `role`.",
                    visible(strange)
                ));
            }
            continue;
        }
        if record.iter().all(str::is_empty) {
            continue;
        }
        let mut line = Line { number: number(text, record.position()), ..Line::default() };
        for (cell, column) in record.iter().zip(&order) {
            let place = match column.as_str() {
                "name" => &mut line.name,
                "password" => &mut line.password,
                "cohort" => &mut line.cohort,
                _ => &mut line.role,
            };
            cell.clone_into(place);
        }
        lines.push(line);
        if lines.len() > MOST {
            return Err(format!("The list has more than {MOST} lines. Import it in parts."));
        }
    }
    if lines.is_empty() {
        return Err(
            "The list is empty. Write a line for each person, such as `Ada Lovelace,,Autumn,student`.".into(),
        );
    }
    Ok(lines)
}

/// The line that a record stands on: the reader tells the one after the record before, empty ones included.
fn number(text: &str, position: Option<&csv::Position>) -> u64 {
    let Some(position) = position else { return 0 };
    let rest = usize::try_from(position.byte()).ok().and_then(|byte| text.get(byte..)).unwrap_or_default();
    let empty = rest.chars().take_while(|c| matches!(c, '\n' | '\r')).filter(|c| *c == '\n').count();
    position.line() + empty as u64
}

/// Judges lines against the people and cohorts that there are.
///
/// # Errors
/// Faults of ours.
pub(crate) async fn judge(state: &AppState, lines: Vec<Line>) -> Result<Vec<Judged>> {
    let cohorts = state.store.cohorts().await?;
    let mut by_name: HashMap<String, Option<&store::Cohort>> = HashMap::new();
    for cohort in &cohorts {
        // A name that two cohorts have says nothing.
        by_name.entry(name_key(&cohort.name)).and_modify(|found| *found = None).or_insert(Some(cohort));
        by_name.insert(cohort.join_code.to_lowercase(), Some(cohort));
        by_name.insert(cohort.id.to_string(), Some(cohort));
    }
    let mut seen = HashSet::new();
    let mut judged = Vec::new();
    for line in lines {
        let mut one = Judged {
            number: line.number,
            name: line.name.clone(),
            password: line.password.clone(),
            known: false,
            admin: false,
            cohort: None,
            refusal: None,
        };
        one.refusal = judge_line(state, &line, &by_name, &mut seen, &mut one).await?.err();
        judged.push(one);
    }
    Ok(judged)
}

async fn judge_line(
    state: &AppState,
    line: &Line,
    cohorts: &HashMap<String, Option<&store::Cohort>>,
    seen: &mut HashSet<String>,
    one: &mut Judged,
) -> Result<Result<(), String>> {
    one.name = match clean_name(&line.name) {
        Ok(name) => name,
        Err(refusal) => return Ok(Err(refusal.to_string())),
    };
    if !seen.insert(name_key(&one.name)) {
        return Ok(Err("This name is in the list twice.".into()));
    }
    let role = match line.role.to_lowercase().as_str() {
        "" | "student" => Role::Student,
        "trainer" => Role::Trainer,
        "admin" => {
            one.admin = true;
            Role::Trainer
        }
        other => {
            return Ok(Err(format!(
                "There is no role `{}`; there are student, trainer and admin.",
                visible(other)
            )));
        }
    };
    if !line.cohort.is_empty() {
        match cohorts.get(&name_key(&line.cohort)).or_else(|| cohorts.get(&line.cohort.to_lowercase())) {
            Some(Some(cohort)) => one.cohort = Some((cohort.id, cohort.name.clone(), role)),
            Some(None) => return Ok(Err("Two cohorts have this name; write the join code.".into())),
            None => {
                return Ok(Err(format!(
                    "There is no cohort `{}`; write its name or its join code.",
                    visible(&line.cohort)
                )));
            }
        }
    } else if role == Role::Trainer && !one.admin {
        return Ok(Err("A trainer needs a cohort to train.".into()));
    }
    if state.store.person_by_name(&one.name).await?.is_some() {
        one.known = true;
        if !line.password.is_empty() || one.admin {
            return Ok(Err(
                "Somebody with this name has an account already; their password and role stay as they \
                are. Leave the password empty to add them to a cohort, or choose another name."
                    .into(),
            ));
        }
        if one.cohort.is_none() {
            return Ok(Err("Somebody with this name has an account already.".into()));
        }
    } else if !line.password.is_empty()
        && let Err(refusal) = check_password(&line.password, &one.name)
    {
        return Ok(Err(refusal.to_string()));
    }
    Ok(Ok(()))
}

/// A password for a slip of paper: letters and digits that are not taken for each other.
fn new_password() -> String {
    let letters = b"abcdefghjkmnpqrstuvwxyz23456789";
    let letter = |byte: &u8| char::from(letters[usize::from(*byte) % letters.len()]);
    let words: Vec<String> =
        random::bytes::<15>().chunks(5).map(|word| word.iter().map(letter).collect()).collect();
    words.join("-")
}

/// Makes all of it, or nothing.
///
/// # Errors
/// [`Error::Conflict`] when somebody took a name or a cohort went meanwhile.
pub(crate) async fn admit(state: &AppState, viewer: &Viewer, judged: Vec<Judged>) -> Result<Vec<Made>> {
    let hashed = futures::stream::iter(judged).map(|one| async move {
        let made = (!one.known && one.password.is_empty()).then(new_password);
        let password = made.as_deref().unwrap_or(&one.password);
        let password_hash = if one.known {
            None
        } else {
            Some(state.passwords.hash(password).await.map_err(Error::internal)?)
        };
        let newcomer = Newcomer {
            name: one.name.clone(),
            password_hash,
            admin: one.admin,
            cohort: one.cohort.as_ref().map(|(id, _, role)| (*id, *role)),
        };
        let cohort = one.cohort.map(|(_, name, _)| name).unwrap_or_default();
        Ok::<_, Error>((newcomer, Made { name: one.name, password: made, cohort }))
    });
    let all: Vec<_> = hashed.buffered(4).collect().await;
    let (newcomers, made): (Vec<_>, Vec<_>) =
        all.into_iter().collect::<Result<Vec<_>>>()?.into_iter().unzip();
    match state.store.admit(&newcomers, Some(viewer.person.id)).await {
        Ok(()) => {
            tracing::info!(people = made.len(), by = %viewer.person.id, "web.people_admitted");
            Ok(made)
        }
        Err(store::Error::Taken { .. } | store::Error::NotFound { .. }) => Err(Error::Conflict(
            "Meanwhile somebody took one of these names, or a cohort is gone, so nothing was changed. Look at the \
             list again."
                .into(),
        )),
        Err(error) => Err(error.into()),
    }
}

#[derive(Template)]
#[template(path = "admin/made.html")]
struct MadePage {
    frame: Frame,
    sections: Sections,
    made: Vec<Made>,
}

/// The passwords that were made, this one time.
///
/// # Errors
/// Faults of ours.
pub(crate) fn shown_once(viewer: &Viewer, csrf: &Csrf, made: Vec<Made>) -> Result<Response> {
    let page = MadePage {
        frame: frame(viewer, csrf, "/admin/people", "People"),
        sections: Sections::at("/admin/people"),
        made,
    };
    let keep = HeaderValue::from_static("no-store");
    Ok(([(header::CACHE_CONTROL, keep)], Html(page.render().map_err(Error::internal)?)).into_response())
}

#[derive(Template)]
#[template(path = "admin/people_import.html")]
pub(crate) struct ImportPage {
    pub(crate) frame: Frame,
    pub(crate) sections: Sections,
    pub(crate) list: String,
    pub(crate) judged: Vec<Judged>,
    pub(crate) refused: usize,
    pub(crate) refusal: Option<String>,
}

/// `GET /admin/people/import`
///
/// # Errors
/// Faults of ours.
pub async fn show(viewer: Viewer, csrf: Csrf) -> Result<Response> {
    page(&viewer, &csrf, String::new(), Vec::new(), None)
}

fn page(
    viewer: &Viewer,
    csrf: &Csrf,
    list: String,
    judged: Vec<Judged>,
    refusal: Option<Error>,
) -> Result<Response> {
    let refused = judged.iter().filter(|one| one.refusal.is_some()).count();
    let status = match &refusal {
        Some(error) => error.status(),
        None if refused > 0 => StatusCode::UNPROCESSABLE_ENTITY,
        None => StatusCode::OK,
    };
    let page = ImportPage {
        frame: frame(viewer, csrf, "/admin/people", "People").at("/admin/people/import", "Import"),
        sections: Sections::at("/admin/people"),
        list,
        judged,
        refused,
        refusal: refusal.map(|error| error.to_string()),
    };
    Ok((status, Html(page.render().map_err(Error::internal)?)).into_response())
}

/// The list, and whether it is to be done.
#[derive(Deserialize)]
pub struct List {
    #[serde(default)]
    list: String,
    #[serde(default)]
    r#do: String,
}

/// `POST /admin/people/import`: shows what would come of each line, or does it.
///
/// # Errors
/// Faults of ours.
pub async fn import(
    State(state): State<AppState>,
    viewer: Viewer,
    csrf: Csrf,
    body::Form(form): body::Form<List>,
) -> Result<Response> {
    let lines = match lines(&form.list) {
        Ok(lines) => lines,
        Err(sentence) => {
            return page(&viewer, &csrf, form.list, Vec::new(), Some(Error::Refused(sentence.into())));
        }
    };
    let judged = judge(&state, lines).await?;
    if form.r#do != "import" || judged.iter().any(|one| one.refusal.is_some()) {
        return page(&viewer, &csrf, form.list, judged, None);
    }
    match admit(&state, &viewer, judged.clone()).await {
        Ok(made) => shown_once(&viewer, &csrf, made),
        Err(refused) if refused.status().is_client_error() => {
            page(&viewer, &csrf, form.list, judged, Some(refused))
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_with_and_without_heading() {
        let read = |text: &str| -> Vec<(u64, String, String, String, String)> {
            let lines = lines(text).unwrap();
            lines.into_iter().map(|one| (one.number, one.name, one.password, one.cohort, one.role)).collect()
        };
        let row = |number, name: &str, password: &str, cohort: &str, role: &str| {
            (number, name.to_owned(), password.to_owned(), cohort.to_owned(), role.to_owned())
        };
        assert_eq!(
            read("Ada\n\n\"Bo, Jr\",pw,C,trainer\n"),
            [row(1, "Ada", "", "", ""), row(3, "Bo, Jr", "pw", "C", "trainer")]
        );
        assert_eq!(read("\u{feff}Name;Cohort\r\nAda;C\r\n"), [row(2, "Ada", "", "C", "")]);
        assert!(lines("name,mail\nAda,x").unwrap_err().contains("`mail`"));
        assert!(lines(" \n").unwrap_err().contains("empty"));
        assert!(lines(&"x\n".repeat(MOST + 1)).is_err());
    }

    #[test]
    fn passwords_for_paper_differ_and_can_be_read() {
        let (one, other) = (new_password(), new_password());
        assert_ne!(one, other);
        assert_eq!(one.len(), 17);
        assert!(one.chars().all(|c| c == '-' || (c.is_ascii_alphanumeric() && !"lio01".contains(c))));
    }
}
