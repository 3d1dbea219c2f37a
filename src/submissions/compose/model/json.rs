//! How values are written in the JSON of the model.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::super::finding::Origin;
use super::super::scalars::go_duration;

/// `compose.yaml:3:5`.
impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A time as Compose writes it: `1m30s`.
#[expect(clippy::ref_option, reason = "serde gives the field by reference")]
pub(super) fn duration<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.serialize_str(&go_duration(*time)),
        None => serializer.serialize_none(),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives the field by reference")]
pub(super) fn is_false(value: &bool) -> bool {
    !value
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
