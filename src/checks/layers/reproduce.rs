//! Command lines that show a place with plain docker, whatever the layer or the file is packed with, and
//! although a later layer deletes it.

use std::fmt::Write as _;

use super::search::{Packing, Place, Shown};
use crate::checks::shell::quoted;

/// Unpacks the saved image into `$d`.
const SAVED: &str = r#"d=$(mktemp -d) && docker save my-image:latest | tar -xC "$d""#;

/// What a place is looked for by: the texts, where nothing but texts is looked for.
pub(super) struct Terms<'t>(pub(super) Option<&'t [String]>);

/// A line that shows the first place that can be shown.
pub(super) fn line<'p>(places: impl IntoIterator<Item = &'p Place>, terms: &Terms<'_>) -> Option<String> {
    places.into_iter().find_map(|place| shows(&place.shown, terms))
}

fn shows(place: &Shown, terms: &Terms<'_>) -> Option<String> {
    match place {
        Shown::Configuration => {
            let found = terms.grep("-aoF", |text| text.chars().all(is_plain_json))?;
            let file = r#""$d/$(sed 's/.*"Config":"//; s/".*//' "$d/manifest.json")""#;
            Some(format!(r#"{SAVED} && {found} {file}; rm -rf "$d""#))
        }
        Shown::Variable(name) => {
            let begins = quoted(&format!("{name}="));
            let inspect = "docker image inspect -f '{{range .Config.Env}}{{println .}}{{end}}' my-image";
            Some(format!("{inspect} | grep -F -e {begins}"))
        }
        Shown::History(name) => {
            let history = "docker history --no-trunc --format '{{.CreatedBy}}' my-image";
            Some(match name {
                Some(name) => format!("{history} | grep -F -e {}", quoted(name)),
                None => match terms.grep("-F", is_one_line) {
                    Some(found) => format!("{history} | {found}"),
                    None => history.to_owned(),
                },
            })
        }
        Shown::Listed { layer, path } => Some(format!(
            r#"{}; tar -tvf "$d/$l" {} 2>/dev/null; rm -rf "$d""#,
            chosen(*layer),
            member(path)?
        )),
        Shown::Content { layer, path, packing } => {
            let mut line = format!(r#"{}; tar -xOf "$d/$l" {} 2>/dev/null"#, chosen(*layer), member(path)?);
            for (step, packed) in packing.iter().enumerate() {
                // Writing to a String cannot fail.
                let _ = match packed {
                    Packing::Gzip => write!(line, " | gzip -dc"),
                    Packing::Zstd => write!(line, " | zstd -dc"),
                    Packing::Zip(name) => {
                        write!(line, r#" > "$d/{step}"; unzip -p "$d/{step}" {}"#, quoted(name))
                    }
                };
            }
            let end = terms.grep("-aoF", is_one_line).unwrap_or_else(|| "cat -v".into());
            Some(format!(r#"{line} | {end}; rm -rf "$d""#))
        }
    }
}

/// Unpacks the saved image and takes one of its layers, counted from 0, as `$l`.
fn chosen(layer: usize) -> String {
    let names = r#"sed 's/.*"Layers":\["//; s/"\].*//' "$d/manifest.json" | tr -d '"' | tr , '\n'"#;
    format!("{SAVED} && l=$({names} | sed -n {}p)", layer + 1)
}

/// A path as tar knows it: builders write it with or without `./`.
fn member(path: &[u8]) -> Option<String> {
    let path = std::str::from_utf8(path).ok().filter(|path| is_one_line(path))?;
    Some(format!("-- {} {}", quoted(path), quoted(&format!("./{path}"))))
}

impl Terms<'_> {
    /// A grep for them; `None` where they are patterns, or cannot be found in this way.
    fn grep(&self, options: &str, can: impl Fn(&str) -> bool) -> Option<String> {
        let texts = self.0.filter(|texts| texts.iter().all(|text| can(text)))?;
        let wanted: Vec<String> = texts.iter().map(|text| format!("-e {}", quoted(text))).collect();
        Some(format!("grep {options} {}", wanted.join(" ")))
    }
}

fn is_one_line(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

/// Whether a character stands in JSON as it is, also in that of Go.
fn is_plain_json(c: char) -> bool {
    !c.is_control() && !"\"\\<>&\u{2028}\u{2029}".contains(c)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::Command;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            // `set_path` would take the `./` away.
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_cksum();
            archive.append(&header, *bytes).unwrap();
        }
        archive.into_inner().unwrap()
    }

    /// What the line prints where `docker save` gives this.
    fn typed(saved: &[u8], place: &Shown, texts: Option<&[&str]>) -> String {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("saved.tar");
        std::fs::write(&file, saved).unwrap();
        let texts: Option<Vec<String>> =
            texts.map(|texts| texts.iter().map(|text| (*text).to_owned()).collect());
        let line = shows(place, &Terms(texts.as_deref())).expect("a line");
        let script = format!("docker() {{ cat '{}'; }}\n{line}", file.display());
        let output = Command::new("sh").args(["-c", &script]).env("TMPDIR", folder.path()).output().unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "something is left: {line}");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.is_empty(), "{line}\n{errors}");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// As engines with the containerd store save images: blobs, layers packed.
    #[test]
    fn a_packed_layer_and_what_is_packed_in_it_are_shown() {
        let packed = gzip(b"KEY=packed-canary\nmore\n");
        let twice = gzip(&packed);
        let first = gzip(&tar(&[("./it's/.env", b"KEY=open-canary\nmore\n"), ("srv/kept.gz", &packed)]));
        let second = gzip(&tar(&[("it's/.wh..env", b""), ("srv/twice", &twice)]));
        let manifest = br#"[{"Config":"blobs/sha256/cc","RepoTags":["my-image:latest"],"Layers":["blobs/sha256/aa","blobs/sha256/bb"],"LayerSources":{"sha256:aa":{"size":1}}}]"#;
        let saved = tar(&[
            ("blobs/sha256/bb", &second),
            ("blobs/sha256/aa", &first),
            ("blobs/sha256/cc", br#"{"config":{"Env":["A=config-canary"]}}"#),
            ("manifest.json", manifest),
        ]);
        let content = |layer, path: &str, packing| Shown::Content { layer, path: path.into(), packing };
        let open = content(0, "it's/.env", Vec::new());
        assert_eq!(typed(&saved, &open, Some(&["open-canary"])), "open-canary");
        assert_eq!(typed(&saved, &open, None), "KEY=open-canary\nmore");
        let kept = content(0, "srv/kept.gz", vec![Packing::Gzip]);
        assert_eq!(typed(&saved, &kept, Some(&["no", "packed-canary"])), "packed-canary");
        let twice = content(1, "srv/twice", vec![Packing::Gzip, Packing::Gzip]);
        assert_eq!(typed(&saved, &twice, Some(&["packed-canary"])), "packed-canary");
        assert_eq!(typed(&saved, &Shown::Configuration, Some(&["config-canary"])), "config-canary");
        let listed = Shown::Listed { layer: 0, path: b"it's/.env".to_vec() };
        assert!(typed(&saved, &listed, None).ends_with("./it's/.env"));
    }

    #[test]
    fn what_cannot_be_shown_has_no_line() {
        let name = Shown::Listed { layer: 0, path: b"a\xff".to_vec() };
        assert_eq!(shows(&name, &Terms(None)), None);
        // Saved configurations are Go's JSON, which writes these as escapes.
        for text in ["a&b", "a\"b", "a<b"] {
            assert_eq!(shows(&Shown::Configuration, &Terms(Some(&[text.to_owned()]))), None);
        }
        assert_eq!(shows(&Shown::Configuration, &Terms(None)), None, "a pattern");
        let zip =
            Shown::Content { layer: 1, path: b"a.zip".to_vec(), packing: vec![Packing::Zip("b c".into())] };
        let line = shows(&zip, &Terms(None)).unwrap();
        assert!(line.contains(r#"> "$d/0"; unzip -p "$d/0" 'b c' | cat -v"#), "{line}");
    }
}
