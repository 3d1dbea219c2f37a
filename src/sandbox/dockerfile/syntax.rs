//! The `# syntax=` line, with which a Dockerfile names the image that builds it.

use super::instructions::DIRECTIVE;
use super::{Refused, Syntax};

/// Frontends that the engine's BuildKit has built in, so that nothing has to be fetched for them.
const OFFICIAL_FRONTENDS: [&str; 2] = ["docker/dockerfile", "docker/dockerfile-upstream"];

/// Whether BuildKit would run another image as the builder, and if it is one it has built in.
pub(super) fn official_syntax(text: &str) -> Result<Option<Syntax>, Refused> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with('{') {
        return Err(Refused {
            line: Some(1),
            sentence: "This is JSON and not a Dockerfile; a Dockerfile begins with FROM.".into(),
        });
    }
    let mut found: Option<Syntax> = None;
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        if !(trimmed.is_empty() || trimmed.starts_with('#') || trimmed.starts_with("//")) {
            break;
        }
        let Some(directive) = DIRECTIVE.captures(line) else { continue };
        if !directive[1].eq_ignore_ascii_case("syntax") {
            continue;
        }
        let frontend = directive[2].split_whitespace().next().unwrap_or_default().to_owned();
        if !is_official(&frontend) {
            return Err(Refused {
                line: Some(index + 1),
                sentence: format!(
                    "The syntax line names {frontend} as the builder, which is not allowed here; remove the line or use \
                     docker/dockerfile:1."
                ),
            });
        }
        let without = found.take().map_or_else(|| text.to_owned(), |syntax| syntax.without);
        found = Some(Syntax { line: index + 1, frontend, without: without_directive(&without, index) });
    }
    Ok(found)
}

/// The text with the `=` of the directive in line `index` (from 0) made a colon.
fn without_directive(text: &str, index: usize) -> String {
    text.split_inclusive('\n')
        .enumerate()
        .map(|(at, line)| if at == index { line.replacen('=', ":", 1) } else { line.to_owned() })
        .collect()
}

fn is_official(frontend: &str) -> bool {
    let name = frontend.split('@').next().unwrap_or_default();
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    let repository = name.rsplit_once(':').map_or(name, |(repository, _)| repository);
    OFFICIAL_FRONTENDS.contains(&repository)
}
