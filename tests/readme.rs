//! The README says what the code says.

use drydock::checks::Kind;
use drydock::config::Settings;

fn readme() -> String {
    std::fs::read_to_string("README.md").expect("the README is text")
}

#[test]
fn every_setting_is_listed() {
    let readme = readme();
    let (_, rest) = readme.split_once("<!-- settings -->\n").expect("the table begins");
    let (table, _) = rest.split_once("<!-- /settings -->").expect("the table ends");
    let wanted = Settings::table();
    assert_eq!(table.trim(), wanted.trim(), "put this between the settings marks of README.md:\n\n{wanted}");
}

#[test]
fn every_figure_is_listed() {
    let readme = readme();
    let source = std::fs::read_to_string("src/web/health.rs").expect("the source is text");
    let figures = source.split('"').filter(|text| text.starts_with("drydock_") && !text.contains('{'));
    let mut count = 0;
    for figure in figures {
        assert!(readme.contains(figure), "README.md does not name the figure `{figure}`");
        count += 1;
    }
    assert!(count >= 8, "the names have moved: {count}");
}

#[test]
fn every_check_kind_is_named() {
    let readme = readme();
    for name in Kind::NAMES {
        assert!(readme.contains(&format!("`{name}`")), "README.md does not name the check kind `{name}`");
    }
}
