//! `drydock images`: the images that the exercises stand on, and how they come to a room without a network.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use drydock::clock::Clock;
use drydock::config::Settings;
use drydock::sandbox::{Engine, Error};
use drydock::text::for_terminal;
use drydock::units::ByteSize;
use futures::{Stream, StreamExt as _};
use indexmap::IndexMap;
use serde::Serialize;
use tokio::io::AsyncWriteExt as _;
use tokio_util::io::ReaderStream;

use super::PlatformTrouble;

/// Exercises that are named for an image; of others only their number is told.
const NAMED: usize = 3;

#[derive(clap::Args)]
pub struct Arguments {
    /// Exercise folders or slugs; all exercises if none is given
    #[arg(value_name = "EXERCISE")]
    exercises: Vec<String>,
    /// Pull the images that the engine does not have
    #[arg(long)]
    pull: bool,
    /// Write all of them into one file, to be carried to a room without a network
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Give the engine the images of a file that `--save` or `docker save` wrote
    #[arg(long, value_name = "FILE", conflicts_with_all = ["pull", "save"])]
    load: Option<PathBuf>,
    /// Print the list as JSON
    #[arg(long)]
    json: bool,
}

/// An image, and who needs it.
#[derive(Serialize)]
struct Needed {
    image: String,
    /// In bytes; null where the engine does not have it.
    bytes: Option<u64>,
    exercises: Vec<String>,
}

/// Exit code 0 where the engine has all of them in the end, 1 where some are missing.
pub async fn run(settings: Settings, arguments: Arguments) -> anyhow::Result<ExitCode> {
    super::log("error");
    let exercises = super::exercise::read(&settings, &arguments.exercises)?;
    let engine = super::engine(&super::without_server(settings), &Clock::system()).await?;
    let done = super::interruptible(async {
        if let Some(file) = &arguments.load {
            load(&engine, file).await?;
        }
        let mut users: IndexMap<String, Vec<String>> = IndexMap::new();
        for exercise in &exercises {
            for image in exercise.images() {
                users.entry(image).or_default().push(exercise.slug.clone());
            }
        }
        users.sort_unstable_keys();
        let mut needed = Vec::new();
        for (image, exercises) in users {
            let mut bytes = engine.image_bytes(&image).await.map_err(trouble)?;
            if bytes.is_none() && arguments.pull {
                eprintln!("pulling {}", for_terminal(&image));
                match engine.pull_image(&image).await {
                    Ok(()) => bytes = engine.image_bytes(&image).await.map_err(trouble)?,
                    Err(error) => eprintln!("{}", for_terminal(&error.to_string())),
                }
            }
            needed.push(Needed { image, bytes, exercises });
        }
        if let Some(file) = &arguments.save {
            save(&engine, &needed, file).await?;
        }
        Ok::<_, anyhow::Error>(needed)
    })
    .await;
    engine.shutdown().await;
    let Some(needed) = done? else { return Ok(ExitCode::FAILURE) };
    let needed = needed?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&needed)?);
    } else {
        print(&needed);
    }
    let whole = needed.iter().all(|needed| needed.bytes.is_some());
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn trouble(error: Error) -> anyhow::Error {
    PlatformTrouble(error.to_string()).into()
}

async fn load(engine: &Engine, file: &Path) -> anyhow::Result<()> {
    let archive =
        tokio::fs::File::open(file).await.with_context(|| format!("{} cannot be read", file.display()))?;
    let loaded = engine.load_images(ReaderStream::new(archive)).await.map_err(trouble)?;
    for image in loaded {
        eprintln!("loaded {}", for_terminal(&image));
    }
    Ok(())
}

/// Writes beside the file first: one that is there is whole.
async fn save(engine: &Engine, needed: &[Needed], file: &Path) -> anyhow::Result<()> {
    let there: Vec<String> =
        needed.iter().filter(|needed| needed.bytes.is_some()).map(|needed| needed.image.clone()).collect();
    if there.is_empty() {
        anyhow::bail!(
            "the engine has none of the images, so there is nothing to save; `--pull` fetches them"
        );
    }
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let written = write(engine.saved_images(&there), &part).await;
    let written = match written {
        Ok(bytes) => tokio::fs::rename(&part, file).await.map(|()| bytes).map_err(anyhow::Error::from),
        Err(error) => Err(error),
    };
    match written {
        Ok(bytes) => {
            eprintln!("{} of {} images are in {}", ByteSize(bytes), there.len(), file.display());
            Ok(())
        }
        Err(error) => {
            let _ = tokio::fs::remove_file(&part).await;
            Err(error.context(format!("{} cannot be written", file.display())))
        }
    }
}

async fn write(pieces: impl Stream<Item = Result<bytes::Bytes, Error>>, part: &Path) -> anyhow::Result<u64> {
    let mut out = tokio::fs::File::create(part).await?;
    let mut pieces = std::pin::pin!(pieces);
    let mut bytes = 0;
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(trouble)?;
        bytes += piece.len() as u64;
        out.write_all(&piece).await?;
    }
    out.sync_all().await?;
    Ok(bytes)
}

fn print(needed: &[Needed]) {
    let width = needed.iter().map(|needed| needed.image.chars().count()).max().unwrap_or(0);
    for Needed { image, bytes, exercises } in needed {
        let size = bytes.map_or("missing".to_owned(), |bytes| format!("{} MiB", bytes.div_ceil(1 << 20)));
        let more = exercises.len().saturating_sub(NAMED);
        let mut who = exercises[..exercises.len() - more].join(", ");
        if more > 0 {
            who.push_str(&format!(" and {more} more"));
        }
        println!("{:width$}  {size:>9}  {}", for_terminal(image), for_terminal(&who));
    }
    let missing = needed.iter().filter(|needed| needed.bytes.is_none()).count();
    println!(
        "{} needed, {missing} missing{}",
        match needed.len() {
            1 => "1 image is".to_owned(),
            count => format!("{count} images are"),
        },
        if missing > 0 {
            ". `drydock images --pull` fetches what is missing; without a network `--save FILE` on a machine \
             that has them and `--load FILE` here."
        } else {
            "."
        }
    );
}
