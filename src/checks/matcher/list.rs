//! Matchers for lists: sets of names, and command lines.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::forms::{Forms, Scalar, deserialize_forms};
use super::text::TextParts;
use super::{Literal, Text, Variables, fill, listed, shown};

/// A set of names: a list of what must be in it, or more exactly.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Set {
    /// All of these are in it.
    Has(Vec<Text>),
    /// All that is said.
    Parts(SetParts),
}

/// Conditions on a set; all that are given must hold.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetParts {
    /// Each of these is in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub has: Vec<Text>,
    /// None of these is in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<Text>,
    /// Nothing else than these is in it; they need not be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Vec<Text>>,
    /// `true`: it is empty. `false`: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<bool>,
}

impl Forms for Set {
    const EXPECTING: &'static str = "a list of what must be there, or {has, lacks, only, absent}";
    type Parts = SetParts;
    type Item = Text;

    fn from_scalar(scalar: Scalar) -> Result<Self, String> {
        Text::from_scalar(scalar).map(|one| Self::Has(vec![one]))
    }
    fn from_list(list: Vec<Text>) -> Result<Self, String> {
        Ok(Self::Has(list))
    }
    fn from_parts(parts: SetParts) -> Result<Self, String> {
        if parts.has.is_empty() && parts.lacks.is_empty() && parts.only.is_none() && parts.absent.is_none() {
            return Err("nothing is asked here; write has, lacks, only or absent".into());
        }
        Ok(Self::Parts(parts))
    }
}
deserialize_forms!(Set, Argv);

impl Set {
    /// The long form of what is written.
    fn parts(&self) -> SetParts {
        match self {
            Self::Has(has) => SetParts { has: has.clone(), ..SetParts::default() },
            Self::Parts(parts) => parts.clone(),
        }
    }

    /// The matcher with every wanted name rewritten, for names with more than one spelling.
    #[must_use]
    pub fn spelled(&self, spell: &impl Fn(&str) -> String) -> Self {
        let each = |list: &[Text]| -> Vec<Text> { list.iter().map(|text| text.spelled(spell)).collect() };
        let SetParts { has, lacks, only, absent } = self.parts();
        Self::Parts(SetParts {
            has: each(&has),
            lacks: each(&lacks),
            only: only.as_deref().map(each),
            absent,
        })
    }

    /// The matcher with the grading's values in place of `${name}`.
    ///
    /// # Errors
    /// A sentence for the author when a pattern names a value that there is not.
    pub fn resolved(&self, variables: &Variables) -> Result<Self, String> {
        let each =
            |list: &[Text]| list.iter().map(|text| text.resolved(variables)).collect::<Result<Vec<_>, _>>();
        let SetParts { has, lacks, only, absent } = self.parts();
        Ok(Self::Parts(SetParts {
            has: each(&has)?,
            lacks: each(&lacks)?,
            only: only.as_deref().map(each).transpose()?,
            absent,
        }))
    }

    /// Whether this set is what is wanted.
    #[must_use]
    pub fn accepts<S: AsRef<str>>(&self, seen: &[S]) -> bool {
        let SetParts { has, lacks, only, absent } = self.parts();
        let holds = |text: &Text| seen.iter().any(|name| text.accepts(name.as_ref()));
        has.iter().all(holds)
            && !lacks.iter().any(holds)
            && only.as_ref().is_none_or(|only| {
                seen.iter().all(|name| only.iter().any(|text| text.accepts(name.as_ref())))
            })
            && absent.is_none_or(|absent| absent == seen.is_empty())
    }

    /// "has `8080/tcp`, lacks `22/tcp`".
    #[must_use]
    pub fn describe(&self) -> String {
        fn names(list: &[Text], and: &str) -> String {
            let each: Vec<_> = list
                .iter()
                .map(|text| match text {
                    Text::Exactly(name) => shown(&name.0),
                    Text::Parts(_) => format!("one that {}", text.describe()),
                })
                .collect();
            listed(&each, and)
        }
        let SetParts { has, lacks, only, absent } = self.parts();
        let mut said = Vec::new();
        if !has.is_empty() {
            said.push(names(&has, "and"));
        }
        if !lacks.is_empty() {
            said.push(format!("not {}", names(&lacks, "nor")));
        }
        match only.as_deref() {
            Some([]) => said.push("nothing".into()),
            Some(only) => said.push(format!("nothing but {}", names(only, "and"))),
            None => {}
        }
        match absent {
            Some(true) => said.push("none".into()),
            Some(false) => said.push("at least one".into()),
            None => {}
        }
        said.join(", ")
    }

    /// Mistakes that can be told without seeing anything.
    pub fn mistakes(&self, field: &str, mistakes: &mut Vec<String>) {
        let SetParts { has, lacks, only, absent } = self.parts();
        if has.is_empty() && lacks.is_empty() && only.is_none() && absent.is_none() {
            mistakes.push(format!(
                "`{field}` is an empty list and can never fail; for \"none\" write {{absent: true}}"
            ));
        }
        for (name, list) in [("has", &has), ("lacks", &lacks), ("only", &only.unwrap_or_default())] {
            for text in list {
                text.mistakes(&format!("{field}.{name}"), false, mistakes);
            }
        }
        if absent == Some(true) && !has.is_empty() {
            mistakes.push(format!("`{field}` can never pass: it wants something in it and nothing at all"));
        }
        for text in &has {
            if let Text::Exactly(name) = text
                && lacks.iter().any(|other| matches!(other, Text::Exactly(other) if other == name))
            {
                mistakes.push(format!("`{field}` can never pass: it wants `{}` and forbids it", name.0));
            }
        }
    }
}

/// A command line: a list is equality word by word, anything else is matched with the words joined
/// by blanks.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Argv {
    /// Exactly these words.
    Words(Vec<Literal>),
    /// The words joined by blanks.
    Line(Text),
}

impl Forms for Argv {
    const EXPECTING: &'static str = "a list of words, or a matcher such as {contains: …}";
    type Parts = TextParts;
    type Item = Literal;

    fn from_scalar(scalar: Scalar) -> Result<Self, String> {
        Text::from_scalar(scalar).map(Self::Line)
    }
    fn from_list(list: Vec<Literal>) -> Result<Self, String> {
        Ok(Self::Words(list))
    }
    fn from_parts(parts: TextParts) -> Result<Self, String> {
        Text::from_parts(parts).map(Self::Line)
    }
}

impl Argv {
    /// The matcher with the grading's values in place of `${name}`.
    ///
    /// # Errors
    /// A sentence for the author when a pattern names a value that there is not.
    pub fn resolved(&self, variables: &Variables) -> Result<Self, String> {
        Ok(match self {
            Self::Words(words) => {
                Self::Words(words.iter().map(|word| Literal(fill(&word.0, variables).into_owned())).collect())
            }
            Self::Line(text) => Self::Line(text.resolved(variables)?),
        })
    }

    /// Whether this command line is what is wanted; an empty one counts as absent.
    #[must_use]
    pub fn accepts(&self, seen: Option<&[String]>) -> bool {
        let seen = seen.filter(|words| !words.is_empty());
        match self {
            Self::Words(words) => seen.is_some_and(|seen| seen.iter().eq(words.iter().map(|word| &word.0))),
            Self::Line(text) => text.accepts_option(seen.map(|seen| seen.join(" ")).as_deref()),
        }
    }

    /// "is `["python", "app.py"]`", "contains `app.py`".
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Words(words) => {
                let words: Vec<_> = words.iter().map(|word| word.0.clone()).collect();
                format!("is {}", Self::show(Some(&words)))
            }
            Self::Line(text) => text.describe(),
        }
    }

    /// A command line for a phrase.
    #[must_use]
    pub fn show(words: Option<&[String]>) -> String {
        match words {
            None | Some([]) => "absent".into(),
            Some(words) => shown(&serde_json::json!(words).to_string().replace("\",\"", "\", \"")),
        }
    }

    /// Mistakes that can be told without seeing anything.
    pub fn mistakes(&self, field: &str, mistakes: &mut Vec<String>) {
        match self {
            Self::Words(words) if words.is_empty() => {
                mistakes.push(format!("`{field}` is an empty list; for \"none\" write {{absent: true}}"));
            }
            Self::Words(_) => {}
            Self::Line(text) => text.mistakes(field, true, mistakes),
        }
    }
}
