//! How settings are written, where that differs from how they are kept.

use super::{Deserialize, Deserializer, SocketAddr, visible};

/// `127.0.0.1:8080`
pub(super) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        serde::de::Error::custom(format!(
            "`{}` is no address to listen on; write an IP address and a port, such as `127.0.0.1:8080` or \
             `0.0.0.0:80`",
            visible(&text)
        ))
    })
}

/// `16MiB`
pub(super) mod bytes {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::units::ByteSize;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's `with` hands over a reference")]
    pub(in super::super) fn serialize<S: Serializer>(bytes: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        ByteSize(*bytes).serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        ByteSize::deserialize(deserializer).map(ByteSize::bytes)
    }
}

/// `30s`
pub(super) mod span {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::units::Span;

    pub(in super::super) fn serialize<S: Serializer>(
        span: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        Span(*span).serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        Span::deserialize(deserializer).map(Span::duration)
    }
}

/// `1.5`, kept in thousandths.
pub(super) mod cpus {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's `with` hands over a reference")]
    pub(in super::super) fn serialize<S: Serializer>(millis: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        if millis.is_multiple_of(1000) {
            serializer.serialize_u32(millis / 1000)
        } else {
            serializer.serialize_f64(f64::from(*millis) / 1000.0)
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
        let cpus = f64::deserialize(deserializer)?;
        if !(0.0..=1024.0).contains(&cpus) {
            return Err(D::Error::custom(format!("`{cpus}` is no number of CPUs; write one such as `1.5`")));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 1,024,000"
        )]
        let millis = (cpus * 1000.0).round() as u32;
        Ok(millis)
    }
}
