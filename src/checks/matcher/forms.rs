//! Values with a short and a long form: `200`, `[200, 204]` or `{at_least: 200}`.
//!
//! Serde's own `untagged` tries one form after another and then only says that none fitted, without
//! the place. Here the form is told by what is written (a scalar, a list, a mapping), so a mistake
//! inside the long form is reported where it is.

use std::fmt;
use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, Deserialize, DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};

/// A scalar as it was written.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
}

impl Scalar {
    /// The scalar as text. A number with a fraction is refused: whether `1.10` was meant as text is
    /// no longer to be seen, and as a number it is `1.1`.
    ///
    /// # Errors
    /// A sentence for the author.
    pub fn into_text(self) -> Result<String, String> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Integer(number) => Ok(number.to_string()),
            Self::Bool(value) => Ok(value.to_string()),
            Self::Float(number) => Err(format!("{number} is read as a number here; put the text in quotes")),
        }
    }
}

/// What a type is made from, by form. A form that is not taken keeps its default, which refuses.
pub trait Forms: Sized {
    /// What is taken, for an author: "a number, or a list of numbers".
    const EXPECTING: &'static str;
    /// The long form.
    type Parts: DeserializeOwned;
    /// One entry of the list form.
    type Item: DeserializeOwned;

    /// # Errors
    /// A sentence for the author.
    fn from_scalar(_scalar: Scalar) -> Result<Self, String> {
        Err(format!("expected {}", Self::EXPECTING))
    }
    /// # Errors
    /// A sentence for the author.
    fn from_list(_list: Vec<Self::Item>) -> Result<Self, String> {
        Err(format!("a list does not fit here; expected {}", Self::EXPECTING))
    }
    /// # Errors
    /// A sentence for the author.
    fn from_parts(parts: Self::Parts) -> Result<Self, String>;
}

/// Reads any of the forms of `F`.
///
/// # Errors
/// What the deserializer or the form says.
pub fn read<'de, F: Forms, D: Deserializer<'de>>(deserializer: D) -> Result<F, D::Error> {
    deserializer.deserialize_any(FormVisitor(PhantomData))
}

struct FormVisitor<F>(PhantomData<F>);

impl<'de, F: Forms> Visitor<'de> for FormVisitor<F> {
    type Value = F;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(F::EXPECTING)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<F, E> {
        F::from_scalar(Scalar::Text(text.into())).map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<F, E> {
        F::from_scalar(Scalar::Integer(number)).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<F, E> {
        let number =
            i64::try_from(number).map_err(|_| E::custom(format!("{number} is too large a number")))?;
        self.visit_i64(number)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<F, E> {
        F::from_scalar(Scalar::Float(number)).map_err(E::custom)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<F, E> {
        F::from_scalar(Scalar::Bool(value)).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<F, A::Error> {
        let list = Vec::deserialize(SeqAccessDeserializer::new(list))?;
        F::from_list(list).map_err(de::Error::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<F, A::Error> {
        let parts = F::Parts::deserialize(MapAccessDeserializer::new(map))?;
        F::from_parts(parts).map_err(de::Error::custom)
    }
}

/// Implements `Deserialize` by the type's [`Forms`].
macro_rules! deserialize_forms {
    ($($type:ty),+ $(,)?) => {$(
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::checks::matcher::forms::read(deserializer)
            }
        }
    )+};
}
pub(crate) use deserialize_forms;

/// A type without a long form.
#[derive(serde::Deserialize)]
pub enum Never {}

/// What is also taken as a list.
pub trait Listed: Forms + DeserializeOwned {
    /// What is taken then, for an author.
    const ONE_OR_MORE: &'static str;
}

/// One, or a list.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMore<T> {
    /// One.
    One(T),
    /// A list.
    More(Vec<T>),
}

impl<T: Listed> Forms for OneOrMore<T> {
    const EXPECTING: &'static str = T::ONE_OR_MORE;
    type Parts = T::Parts;
    type Item = T;

    fn from_scalar(scalar: Scalar) -> Result<Self, String> {
        T::from_scalar(scalar).map(Self::One)
    }
    fn from_list(list: Vec<T>) -> Result<Self, String> {
        Ok(Self::More(list))
    }
    fn from_parts(parts: T::Parts) -> Result<Self, String> {
        T::from_parts(parts).map(Self::One)
    }
}

impl<'de, T: Listed> Deserialize<'de> for OneOrMore<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer)
    }
}

impl<T> OneOrMore<T> {
    /// All of them.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(list) => list,
        }
    }

    /// Each turned into something else.
    ///
    /// # Errors
    /// The first that cannot be.
    pub fn try_map<U, E>(&self, f: impl Fn(&T) -> Result<U, E>) -> Result<OneOrMore<U>, E> {
        Ok(match self {
            Self::One(one) => OneOrMore::One(f(one)?),
            Self::More(list) => OneOrMore::More(list.iter().map(f).collect::<Result<_, E>>()?),
        })
    }
}
