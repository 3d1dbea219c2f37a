//! Where a text does not fit, when the whole of it would hide the place.

use serde_json::Value;

use super::super::{listed, shown};
use super::Text;

impl Text {
    /// Of a text that should be JSON: where it is none, or what there is at the pointers that do not fit.
    /// `None` where the text itself says it best; a value that is missing is not named, since only what
    /// was seen may be told.
    #[must_use]
    pub fn misfit(&self, seen: &str) -> Option<String> {
        let Self::Parts(parts) = self else { return None };
        let wanted = parts.json.as_ref()?;
        let value: Value = match serde_json::from_str(seen) {
            Ok(value) => value,
            Err(error) => {
                return Some(format!("no JSON from line {}, column {} on", error.line(), error.column()));
            }
        };
        let misfits = wanted.iter().filter_map(|(pointer, wanted)| {
            let found = value.pointer(pointer)?;
            (!wanted.accepts(Some(found))).then(|| format!("{} at `{pointer}`", shown(&found.to_string())))
        });
        let misfits: Vec<String> = misfits.collect();
        (!misfits.is_empty()).then(|| listed(&misfits, "and"))
    }
}
