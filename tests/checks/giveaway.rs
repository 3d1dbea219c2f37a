//! Hints that say the answer, and hints that only lead there.

use serde_json::json;

use crate::kind;

#[track_caller]
fn said(name: &str, fields: serde_json::Value, hint: &str) -> Option<String> {
    kind(name, &fields).given_away(hint, "The server listens on port 8080.")
}

#[test]
fn what_a_matcher_wants_to_see_is_given_away_by_its_words() {
    let told = |text: &str| Some(text.to_owned());
    let http = json!({"port": 80, "path": "/health", "status": 204, "body": {"contains": "all is well"}});
    assert_eq!(said("http", http.clone(), "Let it answer “All is well”."), told("all is well"));
    assert_eq!(said("http", http.clone(), "The status is 204."), told("204"));
    assert_eq!(
        said("http", http, "Answer at /health with a short text."),
        None,
        "where to look is no answer"
    );
    let image = json!({"env": {"MODE": "production"}, "user": {"not": "root"}, "exposed_ports": [8080]});
    assert_eq!(said("image", image.clone(), "Set MODE to production."), told("production"));
    assert_eq!(said("image", image.clone(), "Not as root."), None, "what should not be is no answer");
    assert_eq!(said("image", image.clone(), "EXPOSE 8080"), None, "the statement says it too");
    assert_eq!(said("image", image, "Not a reproduction."), None, "only as a word");
    let exit = json!({"code": {"any_of": [42, 43]}});
    assert_eq!(said("exit", exit, "It should be 43."), told("43"));
    let random = json!({"port": 80, "body": {"contains": "hello ${random}"}});
    assert_eq!(said("http", random, "hello ${random}"), None, "nobody can say it");
    let bound = json!({"bytes": {"at_most": "40MiB"}, "layers": {"at_most": 25}});
    assert_eq!(said("image_size", bound, "No more than 25 layers."), None, "a bound is no answer");
}

#[test]
fn answers_of_questions_are_given_away_in_every_spelling() {
    let told = |text: &str| Some(text.to_owned());
    let short = json!({"question": "Q", "accepts": ["cgroups", "control groups"]});
    assert_eq!(said("short", short.clone(), "They are called Control Groups."), told("control groups"));
    assert_eq!(said("short", short, "Another mechanism than namespaces."), None);
    let number = json!({"question": "Q", "number": {"value": 137}});
    assert_eq!(said("short", number.clone(), "128 + 9 = 137"), told("137"));
    assert_eq!(said("short", number, "128 and the signal"), None);
    let pattern = json!({"question": "Q", "matches": "-p ?8080:80"});
    assert_eq!(said("short", pattern.clone(), "Try `-p 8080:80`."), told("-p 8080:80"));
    assert_eq!(said("short", pattern, "The host's port comes first."), None);
    let option = |id: &str, text: &str, right: bool| json!({"id": id, "text": text, "right": right});
    let choice = json!({"question": "Q", "options": [option("a", "The kernel", true), option("b", "The disk", false)]});
    assert_eq!(said("choice", choice.clone(), "It is the kernel."), told("The kernel"));
    assert_eq!(said("choice", choice, "It is not the disk."), None);
}
