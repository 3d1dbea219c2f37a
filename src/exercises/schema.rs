//! The JSON Schema of `exercise.yaml`, for editors.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::Value;

use super::definition::Definition;

/// The schema (JSON Schema 2020-12), made from the very types that the reader uses.
#[must_use]
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().for_deserialize().with_transform(RecursiveTransform(tidy));
    settings.into_generator().into_root_schema_for::<Definition>().to_value()
}

/// Takes out what an editor would show and nobody wants to read: defaults of nothing, and line ends of
/// our source in descriptions.
pub(super) fn tidy(schema: &mut Schema) {
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.replace('\n', " ");
    }
}
