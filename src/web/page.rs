//! What all pages share: the frame around them, and the page of an error.

use std::fmt;

use askama::Template;
use axum::response::{Html, IntoResponse as _, Response};

use super::error::Problem;
use super::{Csrf, Viewer, assets};
use crate::accounts::Role;

/// The head of every page: who is signed in, where they can go, the token for forms.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The name of who is signed in.
    pub name: Option<String>,
    /// In the bar.
    pub nav: Vec<Link>,
    /// Behind the name.
    pub menu: Vec<Link>,
    /// The hidden field of every form.
    pub csrf: CsrfField,
    /// Where style sheets, scripts and drawings are.
    pub assets: &'static str,
}

/// A way to another page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The address.
    pub href: String,
    /// What it says.
    pub label: String,
    /// Whether it leads to where the reader is.
    pub current: bool,
}

/// The hidden field with the token (see [`super::csrf`]).
#[derive(Clone, Debug, Default)]
pub struct CsrfField(String);

impl fmt::Display for CsrfField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Tokens are base64url, which HTML gives no meaning.
        write!(f, "<input type=\"hidden\" name=\"{}\" value=\"{}\">", super::csrf::CSRF_FIELD, self.0)
    }
}

impl askama::FastWritable for CsrfField {
    fn write_into(&self, dest: &mut dyn fmt::Write, _: &dyn askama::Values) -> askama::Result<()> {
        write!(dest, "{self}")?;
        Ok(())
    }
}

impl askama::filters::HtmlSafe for CsrfField {}

impl Frame {
    /// For somebody who may or may not be signed in.
    #[must_use]
    pub fn new(viewer: Option<&Viewer>, csrf: &Csrf) -> Self {
        let mut frame = Self { csrf: CsrfField(csrf.token().to_owned()), ..Self::bare() };
        if let Some(viewer) = viewer {
            frame.name = Some(crate::text::visible(&viewer.person.name).into_owned());
            for (cohort, role) in &viewer.cohorts {
                let href = home_of(cohort.id, *role);
                frame.menu.push(Link { href, label: cohort.name.clone(), current: false });
            }
            if viewer.is_trainer() {
                frame.menu.push(Link {
                    href: "/cohorts".into(),
                    label: "All cohorts".into(),
                    current: false,
                });
            }
            if viewer.person.admin {
                frame.menu.push(Link { href: "/admin".into(), label: "Admin".into(), current: false });
            }
            frame.menu.push(Link { href: "/account".into(), label: "Account".into(), current: false });
            frame.menu.push(Link {
                href: "/account/tokens".into(),
                label: "API tokens".into(),
                current: false,
            });
        }
        frame
    }

    /// Without forms, for pages that do not know who asks.
    #[must_use]
    pub fn bare() -> Self {
        Self {
            name: None,
            nav: Vec::new(),
            menu: Vec::new(),
            csrf: CsrfField::default(),
            assets: assets::base(),
        }
    }

    /// With a way to another page in the bar.
    #[must_use]
    pub fn to(mut self, href: impl Into<String>, label: impl Into<String>) -> Self {
        self.nav.push(Link { href: href.into(), label: label.into(), current: false });
        self
    }

    /// With the page itself in the bar, where it may already be as a way.
    #[must_use]
    pub fn at(mut self, href: impl Into<String>, label: impl Into<String>) -> Self {
        let href = href.into();
        for item in self.menu.iter_mut().chain(&mut self.nav).filter(|item| item.href == href) {
            item.current = true;
        }
        if !self.nav.iter().any(|item| item.current) {
            self.nav.push(Link { href, label: label.into(), current: true });
        }
        self
    }
}

/// Where somebody begins in a cohort.
#[must_use]
pub fn home_of(cohort: uuid::Uuid, role: Role) -> String {
    match role {
        Role::Student => format!("/cohorts/{cohort}"),
        Role::Trainer => format!("/cohorts/{cohort}/grid"),
    }
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    frame: Frame,
    status: u16,
    title: &'a str,
    detail: &'a str,
    advice: Vec<&'static str>,
    back: Option<&'a str>,
    request_id: &'a str,
}

/// The page of an error, with the way back to the page whose form was sent, where there is one.
#[must_use]
pub fn problem(problem: &Problem, back: Option<&str>) -> Response {
    let advice = match problem.status {
        404 => vec!["Check the address, or start again from your home page."],
        429 => vec!["Nothing is lost. Wait a moment and try again."],
        500.. => {
            vec!["Nothing you handed in is lost. Try again in a moment; if it stays, tell your trainer."]
        }
        _ => Vec::new(),
    };
    let page = ProblemPage {
        frame: Frame::bare(),
        status: problem.status,
        title: problem.title,
        detail: &problem.detail,
        advice,
        back,
        request_id: &problem.request_id,
    };
    match page.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => error.to_string().into_response(),
    }
}
