//! What a matcher says about itself, for people.

use super::super::{listed, shown};
use super::{JsonMatch, Text, TextParts};

impl JsonMatch {
    fn describe(&self) -> String {
        match self {
            Self::Is(wanted) => format!("is `{wanted}`"),
            Self::Parts(parts) => parts.describe(true),
        }
    }
}

impl Text {
    /// "is `hello`", "contains `a` and `b`", "does not match `^x`".
    #[must_use]
    pub fn describe(&self) -> String {
        self.describe_as(true)
    }

    fn describe_as(&self, holds: bool) -> String {
        match self {
            Self::Exactly(text) if holds => format!("is {}", shown(&text.0)),
            Self::Exactly(text) => format!("is not {}", shown(&text.0)),
            Self::Parts(parts) => parts.describe(holds),
        }
    }
}

impl TextParts {
    fn describe(&self, holds: bool) -> String {
        let verb = |yes: &'static str, no: &'static str| if holds { yes } else { no };
        // "not (a and b)" is "not a or not b".
        let join = verb("and", "or");
        let mut said = Vec::new();
        if let Some(absent) = self.absent {
            said.push(format!("{} {}", verb("is", "is not"), if absent { "absent" } else { "there" }));
        }
        if let Some(text) = &self.equals {
            said.push(format!("{} {}", verb("is", "is not"), shown(&text.0)));
        }
        if let Some(list) = &self.contains {
            let texts: Vec<_> = list.as_slice().iter().map(|text| shown(&text.0)).collect();
            said.push(format!("{} {}", verb("contains", "does not contain"), listed(&texts, "and")));
        }
        if let Some(list) = &self.matches {
            let texts: Vec<_> = list.as_slice().iter().map(|pattern| shown(&pattern.source)).collect();
            said.push(format!("{} {}", verb("matches", "does not match"), listed(&texts, "and")));
        }
        if let Some(any) = &self.any_of {
            let exact: Option<Vec<_>> = any
                .iter()
                .map(|one| match one {
                    Text::Exactly(text) => Some(shown(&text.0)),
                    Text::Parts(_) => None,
                })
                .collect();
            said.push(match exact {
                _ if any.is_empty() => "is one of nothing".into(),
                Some(texts) => format!("{} {}", verb("is", "is not"), listed(&texts, "or")),
                None => {
                    let each: Vec<_> = any.iter().map(|one| one.describe_as(holds)).collect();
                    listed(&each, verb("or", "and"))
                }
            });
        }
        match (self.at_least, self.at_most) {
            (Some(least), Some(most)) => {
                said.push(format!("{} between {least} and {most}", verb("is", "is not")));
            }
            (Some(least), None) => said.push(format!("{} at least {least}", verb("is", "is not"))),
            (None, Some(most)) => said.push(format!("{} at most {most}", verb("is", "is not"))),
            (None, None) => {}
        }
        if let Some(json) = &self.json {
            let each: Vec<_> = json
                .iter()
                .map(|(pointer, wanted)| {
                    let place = if pointer.is_empty() { "the whole".into() } else { format!("`{pointer}`") };
                    format!("{place} {}", wanted.describe())
                })
                .collect();
            said.push(format!("{} JSON in which {}", verb("is", "is not"), listed(&each, "and")));
        }
        if let Some(not) = &self.not {
            said.push(not.describe_as(!holds));
        }
        listed(&said, join)
    }
}
