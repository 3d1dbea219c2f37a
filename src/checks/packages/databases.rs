//! What a distribution's package manager wrote down about an image.

use super::versions::Scheme;
use crate::checks::Fault;
use crate::sandbox::Image;

/// A package that is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) name: String,
    /// Empty where the database says none.
    pub(super) version: String,
    pub(super) scheme: Scheme,
}

/// All that an image's databases say.
#[derive(Default)]
pub(super) struct Installed {
    /// Where something was read from.
    pub(super) databases: Vec<String>,
    /// By name.
    pub(super) packages: Vec<Package>,
}

const DPKG: &str = "/var/lib/dpkg/status";
/// Distroless images have a file for each package, so that a layer can bring its own.
const DPKG_FOLDER: &str = "/var/lib/dpkg/status.d";
/// The second is where images with a merged `/usr` have it.
const APK: [&str; 2] = ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"];
/// The most that is read of a database; Debian's for a whole desktop has 3 MB.
const DATABASE_BYTES: u64 = 32 << 20;

impl Installed {
    /// Reads the databases that there are.
    pub(super) async fn read(image: &Image) -> Result<Self, Fault> {
        let mut found = Self::default();
        if let Some(status) = image.read(DPKG, DATABASE_BYTES).await? {
            found.take(DPKG, dpkg(&String::from_utf8_lossy(&status)));
        }
        if let Some(files) = image.folder(DPKG_FOLDER, DATABASE_BYTES).await? {
            let stanzas = files.iter().filter(|(name, _)| !name.ends_with(".md5sums"));
            let packages = stanzas.flat_map(|(_, stanza)| dpkg(&String::from_utf8_lossy(stanza))).collect();
            found.take(DPKG_FOLDER, packages);
        }
        for path in APK {
            if let Some(installed) = image.read(path, DATABASE_BYTES).await? {
                found.take(path, apk(&String::from_utf8_lossy(&installed)));
                break;
            }
        }
        found.packages.sort_by(|a, b| a.name.cmp(&b.name));
        found.packages.dedup();
        Ok(found)
    }

    fn take(&mut self, path: &str, packages: Vec<Package>) {
        self.databases.push(path.to_owned());
        self.packages.extend(packages);
    }
}

/// dpkg's stanzas (Debian Policy 5.1). One without a `Status` is distroless', which only has what is
/// installed; of the others only the third word counts: a removed package leaves its settings.
fn dpkg(text: &str) -> Vec<Package> {
    let installed = |stanza: &str| {
        let field = |name: &str| {
            stanza.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        let state = field("Status");
        let is_there = state.is_none_or(|state| state.split_whitespace().nth(2) == Some("installed"));
        let name = field("Package").filter(|_| is_there)?;
        Some(Package { name, version: field("Version").unwrap_or_default(), scheme: Scheme::Debian })
    };
    stanzas(text).filter_map(|stanza| installed(&stanza)).collect()
}

/// apk's records: a letter, a colon, the value (apk-tools, `src/database.c`).
fn apk(text: &str) -> Vec<Package> {
    let installed = |record: &str| {
        let field = |letter: &str| record.lines().find_map(|line| line.strip_prefix(letter));
        let version = field("V:").unwrap_or_default().trim().to_owned();
        Some(Package { name: field("P:")?.trim().to_owned(), version, scheme: Scheme::Apk })
    };
    stanzas(text).filter_map(|record| installed(&record)).collect()
}

/// Blocks of lines with empty lines between them.
fn stanzas(text: &str) -> impl Iterator<Item = String> {
    let mut lines = text.lines();
    std::iter::from_fn(move || {
        let mut stanza = String::new();
        for line in lines.by_ref() {
            if !line.trim().is_empty() {
                stanza.push_str(line);
                stanza.push('\n');
            } else if !stanza.is_empty() {
                break;
            }
        }
        (!stanza.is_empty()).then_some(stanza)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(packages: &[Package]) -> Vec<String> {
        packages.iter().map(|package| format!("{} {}", package.name, package.version)).collect()
    }

    #[test]
    fn dpkg_has_what_is_installed_and_not_what_was() {
        let status = "Package: curl\nStatus: install ok installed\nDescription: a tool\n Package: not this\nVersion: 8.14.1-2\n\n\n\
             Package: gcc\nStatus: deinstall ok config-files\nVersion: 4\n\nPackage: held\nStatus: hold ok installed\nVersion: 1:2\n";
        assert_eq!(named(&dpkg(status)), ["curl 8.14.1-2", "held 1:2"]);
        assert_eq!(named(&dpkg("Package: base-files\nVersion: 12.4\n")), ["base-files 12.4"]);
        assert_eq!(named(&dpkg("no package\nat all")), Vec::<String>::new());
    }

    #[test]
    fn apk_has_its_records() {
        let installed =
            "C:Q1x=\nP:musl\nV:1.2.5-r0\nA:x86_64\nF:lib\nR:libc.so\n\nP:busybox\nV:1.36.1-r2\n\n";
        assert_eq!(named(&apk(installed)), ["musl 1.2.5-r0", "busybox 1.36.1-r2"]);
    }
}
