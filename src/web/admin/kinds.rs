//! The manual of the check kinds, for whoever writes exercises.

use std::sync::LazyLock;

use askama::Template;
use askama_web::WebTemplate;

use crate::exercises::Handbook;
use crate::exercises::manual::{Field, KindPage};
use crate::report::Phase;
use crate::web::page::Frame;
use crate::web::{Csrf, Viewer, markdown};

/// It is made from the program itself, so once is enough.
static HANDBOOK: LazyLock<Handbook> = LazyLock::new(Handbook::new);

/// Every kind with its fields, examples, evidence and failures.
#[derive(Template, WebTemplate)]
#[template(path = "admin/kinds.html")]
pub struct KindsPage {
    pub(crate) frame: Frame,
    pub(crate) sections: super::sections::Sections,
    pub(crate) handbook: &'static Handbook,
}

/// Kinds that run in the same phase.
struct Group {
    title: &'static str,
    about: &'static str,
    kinds: Vec<&'static KindPage>,
}

impl KindsPage {
    fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<(Phase, Group)> = Vec::new();
        for kind in &self.handbook.kinds {
            match groups.last_mut() {
                Some((phase, group)) if *phase == kind.phase => group.kinds.push(kind),
                _ => {
                    let (title, about) = phase_words(kind.phase);
                    groups.push((kind.phase, Group { title, about, kinds: vec![kind] }));
                }
            }
        }
        groups.into_iter().map(|(_, group)| group).collect()
    }

    fn common(&self) -> FieldsPiece<'_> {
        FieldsPiece { fields: &self.handbook.common }
    }
}

/// Fields in a list, those inside others moved in.
#[derive(Template)]
#[template(path = "admin/fields.html")]
struct FieldsPiece<'a> {
    fields: &'a [Field],
}

impl askama::filters::HtmlSafe for FieldsPiece<'_> {}

fn fields(fields: &[Field]) -> FieldsPiece<'_> {
    FieldsPiece { fields }
}

/// When a kind also runs, as HTML; empty where it is always the same.
fn also(kind: &KindPage) -> String {
    let Some((phase, with)) = kind.also else { return String::new() };
    let (title, about) = phase_words(phase);
    let (first, rest) = with.split_at(1);
    markdown::phrase(&format!(
        "{}{rest} it runs as those of “{title}” do: {}",
        first.to_uppercase(),
        about.to_lowercase()
    ))
}

fn phase_words(phase: Phase) -> (&'static str, &'static str) {
    match phase {
        Phase::Fetch | Phase::Read => ("What is handed in", "Read without building or running anything."),
        Phase::Build | Phase::Image => ("The built image", "Looked at without running it."),
        Phase::Run => ("While it runs", "Side by side on the live services, in no particular order."),
        Phase::Disturb | Phase::Clean => {
            ("In trouble", "One after another on the live services, in the order written.")
        }
    }
}

/// `GET /admin/kinds`
pub async fn show(viewer: Viewer, csrf: Csrf) -> KindsPage {
    KindsPage {
        frame: Frame::new(Some(&viewer), &csrf).to("/admin", "Admin").at("/admin/kinds", "Check kinds"),
        sections: super::sections::Sections::at("/admin/kinds"),
        handbook: &HANDBOOK,
    }
}
