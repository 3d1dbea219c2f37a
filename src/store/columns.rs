//! How values that SQL has no type for are kept in a column: as a word, or as JSON text.

use serde::de::{DeserializeOwned, IntoDeserializer};
use serde::{Deserialize, Serialize};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::{Database, Decode, Encode, Type};

use crate::report::Points;

/// An enum without fields as the word that serde gives it (`passed`).
pub(super) struct Word<T>(pub(super) T);

/// Anything else as JSON in a TEXT column.
pub(super) struct JsonText<T>(pub(super) T);

macro_rules! as_text {
    ($($wrapper:ident),+) => {$(
        impl<T, DB: Database> Type<DB> for $wrapper<T>
        where
            String: Type<DB>,
        {
            fn type_info() -> DB::TypeInfo {
                <String as Type<DB>>::type_info()
            }
            fn compatible(ty: &DB::TypeInfo) -> bool {
                <String as Type<DB>>::compatible(ty)
            }
        }
    )+};
}
as_text!(Word, JsonText);

impl<'q, T: Serialize, DB: Database> Encode<'q, DB> for Word<T>
where
    String: Encode<'q, DB>,
{
    fn encode_by_ref(&self, buffer: &mut DB::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
        match serde_json::to_value(&self.0)? {
            serde_json::Value::String(word) => word.encode(buffer),
            other => Err(format!("{other} is not one word").into()),
        }
    }
}

impl<'r, T: for<'de> Deserialize<'de>, DB: Database> Decode<'r, DB> for Word<T>
where
    &'r str: Decode<'r, DB>,
{
    fn decode(value: DB::ValueRef<'r>) -> Result<Self, BoxDynError> {
        let word = <&str as Decode<DB>>::decode(value)?;
        let read: Result<T, serde::de::value::Error> = T::deserialize(word.into_deserializer());
        Ok(Self(read?))
    }
}

impl<'q, T: Serialize, DB: Database> Encode<'q, DB> for JsonText<T>
where
    String: Encode<'q, DB>,
{
    fn encode_by_ref(&self, buffer: &mut DB::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
        serde_json::to_string(&self.0)?.encode(buffer)
    }
}

impl<'r, T: DeserializeOwned, DB: Database> Decode<'r, DB> for JsonText<T>
where
    &'r str: Decode<'r, DB>,
{
    fn decode(value: DB::ValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Self(serde_json::from_str(<&str as Decode<DB>>::decode(value)?)?))
    }
}

/// Points from two BIGINT columns.
pub(super) fn points(earned: i64, possible: i64) -> Points {
    let cut = |value: i64| u32::try_from(value.max(0)).unwrap_or(u32::MAX);
    Points { earned: cut(earned), possible: cut(possible) }
}

/// A size or count for a BIGINT column.
pub(super) fn count<N: TryInto<i64>>(number: N) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// Text for a TEXT column: PostgreSQL refuses U+0000, which texts from outside may contain.
pub(super) fn text(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}
