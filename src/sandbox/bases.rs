//! Base images: those a build stands on, and the shipped exercises' own.
//!
//! `build.rs` asks `look_up` for every image a Dockerfile names, so that the engine never pulls by
//! itself and a missing base is told apart from a broken build. `main` asks [`ensure_base`] for the
//! one image that `demo` needs: where no registry answers, the recipe `tests/bases` makes a stand-in
//! from Debian's packages.

use std::path::Path;
use std::process::Stdio;

use bollard::models::ImageInspect;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures::StreamExt;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use super::build_log::BuildLog;
use super::engine::{CALL, EngineInner, PULL};
use super::error::{Error, engine_words, status};
use crate::addresses::{Standing, standing};

/// The recipe, the same one that the tests use.
const RECIPE: &str = include_str!("../../tests/bases");

/// Where a base image came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseOrigin {
    /// It was on the engine.
    Present,
    /// It was pulled from its registry.
    Pulled,
    /// It was made from Debian's packages, because no registry answered.
    StandIn,
}

/// Sees to it that `image` is on the engine that `DOCKER_HOST` names. Every line of progress goes to
/// `progress`; a stand-in takes between three seconds and a minute.
///
/// # Errors
/// [`Error::ImageMissing`] with the recipe's last words: the image can neither be pulled nor made
/// here (no apt, no root, no network).
pub async fn ensure_base(image: &str, mut progress: impl FnMut(&str) + Send) -> Result<BaseOrigin, Error> {
    let missing = |cause: String| Error::ImageMissing { image: image.to_owned(), cause };
    if !Path::new("/bin/bash").exists() && !Path::new("/usr/bin/bash").exists() {
        return Err(missing(format!("pull it by hand with `docker pull {image}`: this machine has no bash")));
    }
    let mut recipe = tokio::process::Command::new("bash")
        .args(["-s", "--", image])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| missing(format!("bash could not be started ({error})")))?;
    let (Some(mut stdin), Some(stdout), Some(stderr)) =
        (recipe.stdin.take(), recipe.stdout.take(), recipe.stderr.take())
    else {
        return Err(missing("bash was started without its pipes".into()));
    };
    let write = async {
        let written = stdin.write_all(RECIPE.as_bytes()).await;
        drop(stdin);
        written
    };
    let mut result = None;
    let mut last_words = String::new();
    let read = async {
        let mut out = BufReader::new(stdout).lines();
        let mut err = BufReader::new(stderr).lines();
        let (mut out_open, mut err_open) = (true, true);
        while out_open || err_open {
            tokio::select! {
                line = out.next_line(), if out_open => match line.ok().flatten() {
                    Some(line) => {
                        result = line.strip_prefix(image).and_then(|rest| origin(rest.trim_start())).or(result);
                        progress(&line);
                    }
                    None => out_open = false,
                },
                line = err.next_line(), if err_open => match line.ok().flatten() {
                    Some(line) => {
                        progress(&line);
                        last_words = line;
                    }
                    None => err_open = false,
                },
            }
        }
    };
    let (written, ()) = tokio::join!(write, read);
    let ended = recipe.wait().await.map_err(|error| missing(error.to_string()))?;
    match result {
        Some(origin) if ended.success() => Ok(origin),
        _ if last_words.is_empty() => {
            Err(missing(format!("the recipe for base images ended with {ended} ({written:?})")))
        }
        _ => Err(missing(last_words)),
    }
}

fn origin(told: &str) -> Option<BaseOrigin> {
    match told.split_whitespace().next()? {
        "present" => Some(BaseOrigin::Present),
        "pulled" => Some(BaseOrigin::Pulled),
        "stand-in" => Some(BaseOrigin::StandIn),
        _ => None,
    }
}

/// More than any reference has: 255 bytes of repository, a tag of 128, a digest and a host in front
/// (<https://github.com/distribution/reference>).
const REFERENCE_BYTES: usize = 1024;

/// Looks for an image that a student's Dockerfile or compose file names, and pulls it where settings allow. The inner
/// error is a sentence for the student.
pub(super) async fn look_up(
    engine: &EngineInner,
    reference: &str,
    log: &mut BuildLog,
) -> Result<Result<(), String>, Error> {
    let settings = &engine.settings;
    if reference.len() > REFERENCE_BYTES {
        let shown = crate::text::cut_middle(reference, 100);
        return Ok(Err(format!("\"{shown}\" is not the name of an image: it is too long.")));
    }
    if !is_allowed(reference, &settings.allowed_bases) {
        return Ok(Err(format!(
            "the image {reference} is not allowed here; allowed are {}.",
            settings.allowed_bases.join(", ")
        )));
    }
    match engine.answer("inspect a base image", CALL, engine.docker.inspect_image(reference)).await? {
        Ok(found) if is_name_of(reference, &found) => return Ok(Ok(())),
        // The engine also takes the beginning of an image's id for it, which may be another student's.
        Ok(_) => {
            return Ok(Err(format!(
                "\"{reference}\" is not the name of an image that may be used here; images are named with repository \
                 and tag, such as busybox:1.37."
            )));
        }
        Err(error) if status(&error) == Some(404) => {}
        Err(error) if status(&error) == Some(400) => {
            return Ok(Err(format!("\"{reference}\" is not the name of an image.")));
        }
        Err(error) => return Err(engine.error("inspect a base image", &error)),
    }
    if !settings.pull {
        return Ok(Err(format!(
            "the image {reference} is not on this server, and it does not pull images; use one that it has, or ask \
             your trainer for it."
        )));
    }
    if let Some(host) = registry_host(reference)
        && !is_public_host(host).await
    {
        return Ok(Err(format!("the image {reference} lies in a registry that this server may not ask.")));
    }
    log.note(&format!("Pulling {reference}"));
    match tokio::time::timeout(settings.max_build_time, pull(engine, reference)).await {
        Ok(Ok(())) => Ok(Ok(())),
        Ok(Err(cause)) => {
            tracing::info!(reference, cause, "build.base_not_pulled");
            Ok(Err(format!(
                "the image {reference} is not on this server and could not be pulled; check its name and tag, or ask \
                 your trainer for it."
            )))
        }
        Err(_) => Ok(Err(format!("the image {reference} could not be pulled in time; tell your trainer."))),
    }
}

/// Judges what an image adds to the builds that stand on it (`ONBUILD`): it must fetch nothing and unpack nothing,
/// since that is done by the engine itself, outside of all bounds. The inner error is a sentence for the student.
pub(super) async fn triggers(engine: &EngineInner, reference: &str) -> Result<Result<(), String>, Error> {
    let inspecting = engine.docker.inspect_image(reference);
    let Ok(found) = engine.answer("inspect a base image", CALL, inspecting).await? else {
        return Ok(Ok(()));
    };
    let triggers = found.config.and_then(|config| config.on_build).unwrap_or_default();
    let outside = triggers.iter().map(|trigger| trigger.trim().to_uppercase()).find(|trigger| {
        trigger.starts_with("ADD") || trigger.contains("--FROM") || trigger.contains("--MOUNT")
    });
    Ok(match outside {
        Some(_) => Err(format!(
            "the image {reference} adds instructions to every build that stands on it (ONBUILD), which fetch files from \
             elsewhere; use another one."
        )),
        None => Ok(()),
    })
}

/// Pulls an image that the exercise or an admin names, and no student.
pub(super) async fn pull_trusted(engine: &EngineInner, image: &str) -> Result<(), Error> {
    let missing = |cause| Error::ImageMissing { image: image.to_owned(), cause };
    match tokio::time::timeout(PULL, pull(engine, image)).await {
        Ok(pulled) => pulled.map_err(missing),
        Err(_) => Err(missing(format!("it did not come within {} s", PULL.as_secs()))),
    }
}

async fn pull(engine: &EngineInner, reference: &str) -> Result<(), String> {
    // Without a tag the engine would pull every one there is.
    let options = CreateImageOptionsBuilder::default().from_image(&with_tag(reference)).build();
    let mut pulling = engine.docker.create_image(Some(options), None, None);
    while let Some(told) = pulling.next().await {
        told.map_err(|error| engine_words(&error))?;
    }
    Ok(())
}

/// The last part of a reference, where a tag stands.
fn last_part(reference: &str) -> &str {
    reference.rsplit('/').next().unwrap_or(reference)
}

fn with_tag(reference: &str) -> String {
    if last_part(reference).contains([':', '@']) {
        reference.to_owned()
    } else {
        format!("{reference}:latest")
    }
}

/// The registry's host, where a reference names one ("distribution reference": the part before the
/// first slash if it has a dot or a colon, or is `localhost`).
fn registry_host(reference: &str) -> Option<&str> {
    let (first, _) = reference.split_once('/')?;
    (first.contains(['.', ':']) || first == "localhost").then_some(first)
}

/// The name without what may be left out.
fn familiar(reference: &str) -> &str {
    let name = ["docker.io/", "index.docker.io/"].iter().find_map(|host| reference.strip_prefix(host));
    let name = name.unwrap_or(reference);
    name.strip_prefix("library/").unwrap_or(name)
}

/// Repositories of our own making: what was built of submissions, and the probe.
const OURS: [&str; 2] = ["drydock-build", "drydock-probe"];

/// Whether a reference names an image, which is no one of ours, and is not (a part of) its id.
fn is_name_of(reference: &str, image: &ImageInspect) -> bool {
    let mut wanted = with_tag(familiar(reference));
    if let Some((name, digest)) = wanted.split_once('@') {
        let tag = last_part(name).find(':').map_or(0, |colon| last_part(name).len() - colon);
        wanted = format!("{}@{digest}", &name[..name.len() - tag]);
    }
    let ours =
        OURS.iter().any(|name| wanted.strip_prefix(name).is_some_and(|rest| rest.starts_with([':', '@'])));
    let names = image.repo_tags.iter().chain(&image.repo_digests).flatten();
    !ours && names.map(|name| familiar(name)).any(|name| name == wanted)
}

/// Whether settings allow `reference` as a base. An entry without a tag allows every tag.
fn is_allowed(reference: &str, allowed: &[String]) -> bool {
    if allowed.is_empty() {
        return true;
    }
    let wanted = with_tag(familiar(reference));
    let repository = &wanted[..wanted.len() - last_part(&wanted).len()
        + last_part(&wanted).find([':', '@']).unwrap_or(last_part(&wanted).len())];
    allowed.iter().map(|entry| familiar(entry)).any(|entry| {
        if last_part(entry).contains([':', '@']) { entry == wanted } else { entry == repository }
    })
}

/// Whether a registry stands in the open: a student must not make the engine ask the network around
/// the server. (The engine resolves the name once more; an allow list is the stricter choice.)
async fn is_public_host(host: &str) -> bool {
    let with_port = if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        host.to_owned()
    } else {
        format!("{host}:443")
    };
    match tokio::net::lookup_host(&with_port).await {
        Ok(addresses) => {
            let mut addresses = addresses.peekable();
            addresses.peek().is_some() && addresses.all(|address| standing(address.ip()) == Standing::Global)
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allow_list_knows_the_names_an_image_has() {
        let allowed =
            ["busybox:1.37".to_owned(), "docker.io/library/python".to_owned(), "ghcr.io/a/b".to_owned()];
        for yes in [
            "busybox:1.37",
            "docker.io/library/busybox:1.37",
            "python:3.13-slim",
            "library/python",
            "ghcr.io/a/b:1",
        ] {
            assert!(is_allowed(yes, &allowed), "{yes}");
        }
        for no in [
            "busybox",
            "busybox:1.38",
            "evil/python:3",
            "ghcr.io/a/bc:1",
            "example.org/busybox:1.37",
            "ghcr.io/a/b/c",
        ] {
            assert!(!is_allowed(no, &allowed), "{no}");
        }
        assert!(is_allowed("anything", &[]));
    }

    #[test]
    fn an_image_is_called_by_its_name_and_not_by_its_id() {
        let digest = format!("sha256:{}", "1c4538a7".repeat(8));
        let image = ImageInspect {
            id: Some(digest.clone()),
            repo_tags: Some(vec!["busybox:1.37".into(), "drydock-build:a-b-c".into(), "x:latest".into()]),
            repo_digests: Some(vec![format!("busybox@{digest}")]),
            ..ImageInspect::default()
        };
        let by_digest = format!("busybox:1.37@{digest}");
        for yes in ["busybox:1.37", "docker.io/library/busybox:1.37", "x", "x:latest", &by_digest] {
            assert!(is_name_of(yes, &image), "{yes}");
        }
        for no in ["1c4538a7", "1c", &digest, "busybox", "drydock-build:a-b-c", "busybox:1.3"] {
            assert!(!is_name_of(no, &image), "{no}");
        }
    }

    #[test]
    fn a_registry_is_a_host_and_no_folder() {
        assert_eq!(registry_host("localhost/x"), Some("localhost"));
        assert_eq!(registry_host("169.254.169.254:80/x"), Some("169.254.169.254:80"));
        assert_eq!(registry_host("library/python"), None);
        assert_eq!(registry_host("python:3"), None);
    }

    #[tokio::test]
    async fn the_network_around_the_server_is_not_public() {
        for host in [
            "169.254.169.254:80",
            "127.0.0.1",
            "10.0.0.1:5000",
            "192.168.1.1",
            "100.64.0.1",
            "localhost",
            "[::1]:5000",
        ] {
            assert!(!is_public_host(host).await, "{host}");
        }
        assert!(is_public_host("8.8.8.8").await);
    }

    #[test]
    fn the_recipe_tells_its_results() {
        assert_eq!(origin("present"), Some(BaseOrigin::Present));
        assert_eq!(origin("stand-in in 3 s"), Some(BaseOrigin::StandIn));
        assert_eq!(origin("?"), None);
    }
}
