//! What an image is made for.

use std::fmt;
use std::str::FromStr;

/// What an image is made for, in Go's words (OCI image index, `platform`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    /// Such as `linux`.
    pub os: String,
    /// Such as `amd64`.
    pub architecture: String,
    /// Such as `v8`.
    pub variant: Option<String>,
}

impl FromStr for Platform {
    /// A sentence for whoever wrote it.
    type Err = String;

    fn from_str(written: &str) -> Result<Self, String> {
        let fits = |part: &str| {
            !part.is_empty()
                && part.len() <= 32
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        let parts: Vec<&str> = written.split('/').collect();
        match parts[..] {
            [os, architecture] if fits(os) && fits(architecture) => Ok(Self::new(os, architecture, None)),
            [os, architecture, variant] if fits(os) && fits(architecture) && fits(variant) => {
                Ok(Self::new(os, architecture, Some(variant)))
            }
            _ => Err("A platform has two or three parts, such as `linux/amd64` or `linux/arm/v7`.".into()),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

impl Platform {
    /// With the names that the kernel and old engines have for an architecture put into Go's, and without a
    /// variant that says nothing (as containerd's `platforms.Normalize` has it).
    #[must_use]
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let (os, architecture) = (os.to_lowercase(), architecture.to_lowercase());
        let variant = variant.map(str::to_lowercase).filter(|variant| !variant.is_empty());
        let (architecture, variant) = match (architecture.as_str(), variant.as_deref()) {
            ("x86_64" | "x86-64" | "amd64", None | Some("v1")) => ("amd64", None),
            ("x86_64" | "x86-64", other) => ("amd64", other),
            ("i386" | "i486" | "i586" | "i686", _) => ("386", None),
            ("aarch64" | "arm64", None | Some("8" | "v8")) => ("arm64", None),
            ("aarch64", other) => ("arm64", other),
            ("armhf", _) | ("arm", None | Some("7" | "v7")) => ("arm", Some("v7")),
            ("armel", _) | ("arm", Some("6" | "v6")) => ("arm", Some("v6")),
            (other, variant) => (other, variant),
        };
        Self { os, architecture: architecture.to_owned(), variant: variant.map(str::to_owned) }
    }

    /// Whether an image for `self` is one for `wanted`; a variant counts where both name one.
    pub(super) fn serves(&self, wanted: &Self) -> bool {
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && (self.variant == wanted.variant || self.variant.is_none() || wanted.variant.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_platform_has_one_name() {
        for (written, name) in [
            ("linux/amd64", "linux/amd64"),
            ("Linux/x86_64", "linux/amd64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/riscv64", "linux/riscv64"),
        ] {
            assert_eq!(written.parse::<Platform>().unwrap().to_string(), name);
        }
        for written in ["", "linux", "linux/", "a/b/c/d", "linux/am d64", "linux/amd64\n"] {
            assert!(written.parse::<Platform>().unwrap_err().contains("linux/amd64"), "{written}");
        }
    }
}
