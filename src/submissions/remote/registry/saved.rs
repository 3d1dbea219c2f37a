//! An image out of an archive that was handed in.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;

use bytes::Bytes;

use super::layers::Layers;
use super::pulled::{ImageBounds, Outline, PulledImage, id};
use super::{CONFIG_BYTES, Platform};
use crate::clock::Clock;
use crate::submissions::Content;
use crate::submissions::reference::Reference;
use crate::submissions::refusal::shown;
use crate::submissions::remote::FetchError;
use crate::submissions::saved_image::{self, Bounds, Image, Meter, Unreadable};
use crate::units::ByteSize;

pub(super) fn read(
    content: &Content,
    wanted: Option<&str>,
    folder: &Path,
    bounds: &ImageBounds,
) -> Result<PulledImage, FetchError> {
    let (name, archive) = archive_in(content)?;
    let unreadable = |why: Unreadable| {
        FetchError::refused(format!(
            "{} cannot be read as a saved image: {why}; write it anew with `docker save`.",
            shown(name.as_bytes())
        ))
    };
    // Every byte is counted in the archive, in a layer, and where it is unpacked.
    let limits = Bounds {
        unpacked_bytes: bounds.disk_bytes.saturating_mul(3).saturating_add(64 << 20),
        ..Bounds::default()
    };
    // Only how long it takes is measured, which no test has to move.
    let clock = Clock::system();
    let meter = Meter::new(limits, &clock);
    let read = saved_image::read(&mut archive.as_ref(), &meter, false, || ()).map_err(unreadable)?;
    let images = read.images().map_err(unreadable)?;
    let image = choose(&images, wanted)?;
    if let Some(lie) = image.lies.first() {
        return Err(unreadable(Unreadable::Refused(lie.clone())));
    }
    let config = Bytes::copy_from_slice(image.text);
    if config.len() as u64 > CONFIG_BYTES {
        return Err(unreadable(Unreadable::Refused("its configuration is too large".into())));
    }
    let outline = Outline::read(&config, image.layers.len(), bounds)?;
    let mut store = Layers::new(folder, bounds)?;
    // Where each layer lies, and which of them it is; one member may be several.
    let mut places: BTreeMap<&[u8], Vec<usize>> = BTreeMap::new();
    for (number, layer) in image.layers.iter().enumerate() {
        places.entry(&layer.path).or_default().push(number);
    }
    let scratch = tempfile::Builder::new().prefix("saved-").tempdir_in(folder);
    let scratch = scratch.map_err(|cause| FetchError::disk(&cause))?;
    let at = |number: usize| scratch.path().join(format!("member-{number}"));
    let (mut packed, mut failed) = (config.len() as u64, None);
    let copying =
        saved_image::members(&mut archive.as_ref(), &Meter::new(limits, &clock), |path, content| {
            let Some(numbers) = places.get(path) else { return Ok(()) };
            let written = File::create(at(numbers[0])).and_then(|mut file| io::copy(content, &mut file));
            match written {
                Ok(bytes) => packed += bytes,
                Err(cause) => failed = Some(cause),
            }
            if failed.is_some() || packed > bounds.packed_bytes {
                return Err(Unreadable::Refused(format!(
                    "it is larger than {}",
                    ByteSize(bounds.packed_bytes)
                )));
            }
            Ok(())
        });
    if let Some(cause) = failed {
        return Err(FetchError::disk(&cause));
    }
    copying.map_err(unreadable)?;
    for (layer, diff_id) in image.layers.iter().zip(&outline.diff_ids) {
        if let Some(file) = store.next(diff_id) {
            let source = at(places[layer.path.as_slice()][0]);
            // A copy where the same member is to be two layers, which the check then refuses.
            std::fs::copy(&source, &file).map_err(|cause| FetchError::disk(&cause))?;
            store.check(file, diff_id)?;
        }
    }
    let reference = image.tags.first().map(|tag| normal(tag));
    Ok(store.image(reference, id(&config), config, outline))
}

/// The archive in what was handed in: its only file of that kind, or all of it where it was unpacked.
fn archive_in(content: &Content) -> Result<(String, Bytes), FetchError> {
    let is_archive = |path: &str| {
        [".tar", ".tar.gz", ".tgz"].iter().any(|ending| path.ends_with(ending))
            && !path.ends_with("/layer.tar")
    };
    let is_unpacked = content.file("manifest.json").is_some() || content.file("index.json").is_some();
    let paths = content.entries().keys().filter_map(|path| std::str::from_utf8(path).ok());
    let mut archives = paths.filter(|path| is_archive(path) && content.file(path).is_some());
    match (archives.next(), archives.next()) {
        _ if is_unpacked => Ok(("the saved image".into(), content.tar())),
        (Some(one), None) => Ok((one.to_owned(), content.file(one).cloned().unwrap_or_default())),
        (None, _) => Err(FetchError::refused(
            "There is no saved image in what was handed in; write one with `docker save -o image.tar NAME` and \
             hand it in.",
        )),
        (Some(_), Some(_)) => Err(FetchError::refused(
            "There are several archives in what was handed in; hand in the one that `docker save` wrote.",
        )),
    }
}

/// A tag with all its defaults, where it is one.
fn normal(tag: &str) -> String {
    tag.parse::<Reference>().map_or_else(|_| tag.to_owned(), |reference| reference.to_string())
}

fn choose<'i, 'a>(
    images: &'i [Image<'a, ()>],
    wanted: Option<&str>,
) -> Result<&'i Image<'a, ()>, FetchError> {
    let named = |image: &&Image<'_, ()>| {
        wanted.is_none_or(|wanted| image.tags.iter().any(|tag| normal(tag) == normal(wanted)))
    };
    let fitting: Vec<&Image<'_, ()>> = images.iter().filter(named).collect();
    if let [one] = fitting[..] {
        return Ok(one);
    }
    // One name may stand for an image of several platforms; ours is the one that can run.
    let here = Platform::new("linux", std::env::consts::ARCH, None);
    let mut ours = fitting.iter().filter(|image| {
        image.config.platform().parse::<Platform>().is_ok_and(|platform| platform.serves(&here))
    });
    if let (Some(one), None) = (ours.next(), ours.next()) {
        return Ok(one);
    }
    let mut tags: Vec<String> =
        images.iter().flat_map(|image| &image.tags).map(|tag| shown(tag.as_bytes())).collect();
    tags.truncate(10);
    let tags = if tags.is_empty() { "none with a tag".to_owned() } else { tags.join(", ") };
    Err(FetchError::refused(match wanted {
        Some(wanted) if fitting.is_empty() => format!(
            "There is no image {} in the saved archive, but {tags}; save it with `docker save {wanted}`.",
            shown(wanted.as_bytes())
        ),
        _ => format!(
            "There are several images in the saved archive ({tags}); save one alone with `docker save NAME`."
        ),
    }))
}
