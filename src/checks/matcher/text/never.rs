//! When a matcher can never fail or never pass, as far as that can be told without seeing anything.

use indexmap::IndexMap;

use super::{JsonMatch, Pattern, Text, TextParts};

impl Text {
    /// Mistakes that can be told without seeing anything. `optional`: whether what is matched may
    /// be missing, so that `absent` says something.
    pub fn mistakes(&self, field: &str, optional: bool, mistakes: &mut Vec<String>) {
        if let Self::Parts(parts) = self {
            parts.mistakes(field, optional, mistakes);
        }
    }

    fn accepts_everything(&self) -> bool {
        match self {
            Self::Exactly(_) => false,
            Self::Parts(parts) => parts.accepts_everything(),
        }
    }

    fn accepts_nothing(&self) -> bool {
        match self {
            Self::Exactly(_) => false,
            Self::Parts(parts) => {
                parts.any_of.as_ref().is_some_and(|any| any.iter().all(Self::accepts_nothing))
                    || parts.not.as_ref().is_some_and(Self::accepts_everything)
                    || matches!((parts.at_least, parts.at_most), (Some(least), Some(most)) if least > most)
            }
        }
    }
}

impl TextParts {
    fn accepts_everything(&self) -> bool {
        // Of something that is there; whether it is missing is asked apart.
        self.absent != Some(true)
            && self.equals.is_none()
            && self.json.is_none()
            && self.at_least.is_none()
            && self.at_most.is_none()
            && self.contains.as_ref().is_none_or(|list| list.as_slice().iter().all(|text| text.0.is_empty()))
            && self.matches.as_ref().is_none_or(|list| list.as_slice().iter().all(Pattern::fits_everything))
            && self.not.as_ref().is_none_or(Text::accepts_nothing)
            && self.any_of.as_ref().is_none_or(|any| any.iter().any(Text::accepts_everything))
    }

    fn mistakes(&self, field: &str, optional: bool, mistakes: &mut Vec<String>) {
        if let Some(list) = &self.contains {
            if list.as_slice().is_empty() {
                mistakes.push(format!("`{field}.contains` is an empty list and can never fail"));
            } else if list.as_slice().iter().any(|text| text.0.is_empty()) {
                mistakes
                    .push(format!("`{field}.contains` can never fail: every text contains the empty text"));
            }
        }
        if let Some(list) = &self.matches {
            if list.as_slice().is_empty() {
                mistakes.push(format!("`{field}.matches` is an empty list and can never fail"));
            }
            for pattern in list.as_slice().iter().filter(|pattern| pattern.fits_everything()) {
                mistakes
                    .push(format!("`{field}.matches` can never fail: `{}` fits every text", pattern.source));
            }
        }
        if let Some(any) = &self.any_of {
            if any.is_empty() {
                mistakes
                    .push(format!("`{field}.any_of` is empty, so nothing is ever accepted; name what is"));
            }
            for one in any {
                one.mistakes(&format!("{field}.any_of"), optional, mistakes);
            }
        }
        if let Some(not) = &self.not {
            if not.accepts_nothing() {
                mistakes.push(format!("`{field}.not` can never fail: what it forbids never holds"));
            }
            not.mistakes(&format!("{field}.not"), optional, mistakes);
        }
        for (pointer, wanted) in self.json.iter().flatten() {
            if let JsonMatch::Parts(parts) = wanted {
                parts.mistakes(&format!("{field}.json.{pointer}"), true, mistakes);
            }
        }
        if self.json.as_ref().is_some_and(IndexMap::is_empty) {
            mistakes.push(format!(
                "`{field}.json` names no pointer; write for example {{json: {{/status: ok}}}}"
            ));
        }
        if let (Some(least), Some(most)) = (self.at_least, self.at_most)
            && least > most
        {
            mistakes
                .push(format!("`{field}` can never pass: no number is at least {least} and at most {most}"));
        }
        if !optional && self.absent == Some(false) {
            mistakes.push(format!("`{field}.absent: false` can never fail: it is always there"));
        }
        if !optional && self.absent == Some(true) {
            mistakes
                .push(format!("`{field}.absent: true` can never pass: it is always there, at most empty"));
        }
    }
}
