//! A stack of three services with health checks, from queued to verdict, against docker compose.

#[path = "../../tests/compose/program.rs"]
mod program;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::grading::{BREATH, House, copy, read};
use crate::{ms, percentile};

const ROUNDS: usize = 11;
const PROJECT: &str = "drydock-bench-stack";

pub async fn measure() -> anyhow::Result<()> {
    println!("== a stack of three services with health checks against a script with docker compose");
    let Some(compose) = compose() else {
        println!(
            "SKIPPED: there is no docker compose 2 here; install it with `apt-get install docker-compose-v2` (or \
             docker-compose-plugin, or docker-compose from Debian 13 on), or name its program in DRYDOCK_DOCKER_COMPOSE"
        );
        return Ok(());
    };
    let house = House::build().await?;
    let measured = compare(&house, &compose).await;
    house.close().await?;
    remove_image()?;
    measured
}

/// `docker compose` where the client has it, else a program of its own.
fn compose() -> Option<Vec<String>> {
    let plugin = Command::new("docker").args(["compose", "version"]).output();
    if plugin.is_ok_and(|output| output.status.success()) {
        return Some(vec!["docker".into(), "compose".into()]);
    }
    Some(vec![program::program()?.display().to_string()])
}

/// Both sides in turns; the ratio of the medians.
async fn compare(house: &House, compose: &[String]) -> anyhow::Result<()> {
    let exercise = read(Path::new("benches/stack"))?;
    house.store.publish_exercise(&exercise).await?;
    let folder = house.folder.path().join("stack");
    copy(Path::new("benches/stack/solution"), &folder)?;
    let (mut ours, mut theirs, mut with_down) = (Vec::new(), Vec::new(), Vec::new());
    // One round to fill the caches, not counted.
    for round in 0..=ROUNDS {
        let (took, _) = house.grade(&exercise, &folder).await?;
        tokio::time::sleep(BREATH).await;
        let (asserted, down) = script(house, &folder, compose)?;
        tokio::time::sleep(BREATH).await;
        if round > 0 {
            ours.push(took);
            theirs.push(asserted);
            with_down.push(down);
        }
    }
    let median = |times: &mut Vec<Duration>| percentile(times, 0.5);
    let (ours, theirs, with_down) = (median(&mut ours), median(&mut theirs), median(&mut with_down));
    let ratio = |theirs: Duration| ours.as_secs_f64() / theirs.as_secs_f64();
    println!(
        "drydock {}, script {} and {} with `down`: ratio {:.2}, {:.2} with `down` (medians of {ROUNDS}, {})",
        ms(ours),
        ms(theirs),
        ms(with_down),
        ratio(theirs),
        ratio(with_down),
        version(compose)?
    );
    Ok(())
}

/// Until the last assertion, and until all is removed.
fn script(house: &House, folder: &Path, compose: &[String]) -> anyhow::Result<(Duration, Duration)> {
    let stopwatch = house.clock.stopwatch();
    let output = Command::new("benches/composed.sh")
        .arg(folder)
        .arg(PROJECT)
        .args(compose)
        // The builder that the gradings have, too.
        .env("DOCKER_BUILDKIT", "0")
        .stdin(Stdio::null())
        .output()?;
    let took = stopwatch.elapsed();
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "benches/composed.sh failed: {told}");
    let asserted = String::from_utf8_lossy(&output.stdout).trim().parse().context("the script's own time")?;
    Ok((Duration::from_millis(asserted), took))
}

fn version(compose: &[String]) -> anyhow::Result<String> {
    let output = Command::new(&compose[0]).args(&compose[1..]).args(["version", "--short"]).output()?;
    Ok(format!("docker compose {}", String::from_utf8_lossy(&output.stdout).trim()))
}

/// The image of `web` that the script built.
fn remove_image() -> anyhow::Result<()> {
    let mut removal = Command::new("docker");
    removal.args(["rmi", "--force", &format!("{PROJECT}-web")]);
    removal.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    Ok(())
}
