//! Style sheets, scripts and drawings, kept in the binary and served under a name that changes
//! with their content.
//!
//! All of them live under one hash, so that modules import each other and style sheets refer to
//! drawings by plain relative names. What is asked for under another hash is answered too, but not
//! to be kept: a page that was open over an upgrade still finds its scripts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::error::{Error, Result};
use super::shape::Shape;

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

struct Asset {
    media_type: &'static str,
    bytes: Vec<u8>,
}

static ASSETS: LazyLock<(String, BTreeMap<String, Asset>)> = LazyLock::new(|| {
    macro_rules! scripts {
        ($($name:literal),+ $(,)?) => {[$(($name, include_str!(concat!("assets/", $name)))),+]};
    }
    let icons = include_str!("assets/icons.svg");
    let sheets = [
        include_str!("assets/base.css"),
        include_str!("assets/student.css"),
        include_str!("assets/submission.css"),
        include_str!("assets/trainer.css"),
        include_str!("assets/manual.css"),
        include_str!("assets/admin.css"),
        include_str!("assets/terms.css"),
    ];
    let scripts = scripts![
        "app.js",
        "copy.js",
        "countdown.js",
        "editor.js",
        "grid.js",
        "keys.js",
        "live.js",
        "log.js",
        "times.js",
        "upload.js",
        "workshop.js",
        "zones.js"
    ];
    let mut assets = BTreeMap::new();
    let mut add = |name: String, media_type, text: String| {
        assets.insert(name, Asset { media_type, bytes: text.into_bytes() });
    };
    add("app.css".into(), CSS, sheets.concat());
    add("icons.svg".into(), SVG, icons.into());
    for (name, text) in scripts {
        add(name.into(), SCRIPT, text.into());
    }
    add("favicon.svg".into(), SVG, favicon(icons, "anchor", "#3d8fc2"));
    for shape in Shape::ALL {
        add(format!("favicon-{}.svg", shape.name()), SVG, favicon(icons, shape.name(), tab_colour(shape)));
    }
    let mut hash = Sha256::new();
    for (name, asset) in &assets {
        hash.update(name.as_bytes());
        hash.update((asset.bytes.len() as u64).to_le_bytes());
        hash.update(&asset.bytes);
    }
    let hash = hash.finalize().iter().take(8).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    (format!("/assets/{hash}"), assets)
});

/// The address under which this version's assets are found, without a slash at the end.
#[must_use]
pub fn base() -> &'static str {
    &ASSETS.0
}

/// A symbol of the sprite as a drawing of its own, for the browser's tab.
fn favicon(icons: &str, id: &str, colour: &str) -> String {
    let body = icons
        .split_once(&format!("<symbol id=\"{id}\" viewBox=\"0 0 20 20\">"))
        .and_then(|(_, rest)| rest.split_once("</symbol>"))
        .map_or("", |(body, _)| body);
    format!("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 20 20\" color=\"{colour}\">{body}</svg>")
}

/// A tab's background is the browser's, light or dark: colours between our two schemes.
fn tab_colour(shape: Shape) -> &'static str {
    match shape {
        Shape::Passed => "#2a9d63",
        Shape::Failed => "#d9534a",
        Shape::Running => "#3d8fc2",
        Shape::Waiting => "#b5821f",
        Shape::Fault => "#9468cf",
        Shape::Skipped | Shape::NotStarted => "#7d8994",
    }
}

/// `GET /assets/{hash}/{name}`
///
/// # Errors
/// [`Error::NotFound`] for a name that is none of ours.
pub async fn serve(Path((hash, name)): Path<(String, String)>) -> Result<Response> {
    let asset =
        ASSETS.1.get(&name).ok_or_else(|| Error::NotFound("There is nothing at this address.".into()))?;
    let current = base().ends_with(&format!("/{hash}"));
    let caching = if current { "public, max-age=31536000, immutable" } else { "no-cache" };
    Ok((
        [
            (header::CONTENT_TYPE, HeaderValue::from_static(asset.media_type)),
            (header::CACHE_CONTROL, HeaderValue::from_static(caching)),
        ],
        asset.bytes.as_slice(),
    )
        .into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_has_its_symbol_and_its_favicon() {
        for shape in Shape::ALL {
            let favicon = &ASSETS.1[&format!("favicon-{}.svg", shape.name())];
            let text = std::str::from_utf8(&favicon.bytes).unwrap();
            assert!(text.contains("currentColor"), "no drawing in {text}");
            assert!(include_str!("assets/icons.svg").contains(&format!("<symbol id=\"{}\"", shape.name())));
        }
    }

    #[test]
    fn scripts_import_only_what_is_there() {
        for (name, asset) in &ASSETS.1 {
            let text = std::str::from_utf8(&asset.bytes).unwrap();
            for import in text.split("from \"./").skip(1).chain(text.split("import(\"./").skip(1)) {
                let wanted = import.split('"').next().unwrap();
                assert!(ASSETS.1.contains_key(wanted), "{name} imports {wanted}");
            }
        }
    }
}
