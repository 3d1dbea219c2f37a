//! `drydock exercise verify` as authors and pipelines run it: what is proven, what is warned of, how it
//! tells. The program itself on the real engine.

#[path = "verify/odd.rs"]
mod odd;
#[path = "verify/shipped.rs"]
mod shipped;
#[path = "verify/telling.rs"]
mod telling;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// An exercise folder: its definition, statement and files.
fn exercise(root: &Path, slug: &str, definition: &str, files: &[(&str, &str)]) -> String {
    let folder = root.join(slug);
    let readme = [("README.md", "# An exercise\n\nDo it.\n"), ("exercise.yaml", definition)];
    for (path, text) in readme.iter().chain(files) {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().expect("below the folder")).unwrap();
        fs::write(path, text).unwrap();
    }
    folder.to_string_lossy().into_owned()
}

/// Runs the command over exercises.
fn verify(folders: &[String], options: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_drydock"))
        .args(["exercise", "verify"])
        .args(options)
        .args(folders)
        .output()
        .expect("the program can be run")
}

/// The proofs it prints as JSON.
fn proofs(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// What it is warned of, as kind and check.
fn warned(proof: &Value) -> Vec<(String, String)> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let warnings = proof["warnings"].as_array().expect("a list");
    warnings.iter().map(|warning| (word(&warning["kind"]), word(&warning["check"]))).collect()
}
