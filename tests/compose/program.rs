//! docker compose 2, which the tests compare with; `config` needs no engine.

use std::path::PathBuf;
use std::process::Command;

/// The program: `DRYDOCK_DOCKER_COMPOSE`, an installed one, or what `fetch-docker-compose` brings.
pub fn program() -> Option<PathBuf> {
    let home = std::env::home_dir().unwrap_or_default();
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(|| home.join(".cache"), PathBuf::from);
    let fetched = cache.join("drydock-tools/docker-compose-2.26.1/docker-compose");
    let places = [
        std::env::var_os("DRYDOCK_DOCKER_COMPOSE").map(PathBuf::from).unwrap_or_default(),
        fetched.clone(),
        PathBuf::from("/usr/libexec/docker/cli-plugins/docker-compose"),
        PathBuf::from("docker-compose"),
    ];
    if let Some(found) = places.into_iter().find(is_two) {
        return Some(found);
    }
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/compose/fetch-docker-compose");
    let fetching = Command::new(script).arg(fetched.parent()?).output().ok()?;
    if !fetching.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&fetching.stderr));
    }
    is_two(&fetched).then_some(fetched)
}

fn is_two(program: &PathBuf) -> bool {
    let output = Command::new(program).arg("version").output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("version 2."))
}
