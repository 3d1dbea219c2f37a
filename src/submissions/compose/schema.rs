//! The shapes of a compose file's keys: the JSON schema of the Compose specification as data.
//!
//! From `schema/compose-spec.json` as compose-go 2.4 has it, and the keys that came later where they are
//! known well enough to be refused or ignored by their names.

mod service;

use super::shape::{BOOL, INT, Keys, List, NULL, NUMBER, Shape, TEXT};

const fn keys(keys: &'static [(&'static str, Shape)]) -> Keys {
    Keys::Known { keys, required: &[], extensions: true }
}

const TEXT_ONLY: Shape = Shape::of(TEXT);
const BOOLEAN: Shape = Shape::of(BOOL | TEXT);
const WHOLE: Shape = Shape::of(INT | TEXT);
const AMOUNT: Shape = Shape::of(NUMBER | TEXT);
const TEXTS: Shape = Shape::list(&List { item: TEXT_ONLY, unique: false });
const UNIQUE_TEXTS: Shape = Shape::list(&List { item: TEXT_ONLY, unique: true });
const TEXT_OR_LIST: Shape = TEXT_ONLY.or_list(&List { item: TEXT_ONLY, unique: true });
const LIST_OR_MAP: Shape = Shape::list(&List { item: TEXT_ONLY, unique: true })
    .or_map(&Keys::Any(Shape::of(TEXT | NUMBER | BOOL | NULL)));
const OPTIONS: Shape = Shape::map(&Keys::Any(Shape::of(TEXT | NUMBER)));
const TEXT_MAP: Shape = Shape::map(&Keys::Any(TEXT_ONLY));
const COMMAND: Shape = Shape::of(TEXT | NULL).or_list(&List { item: TEXT_ONLY, unique: false });
const EXTRA_HOSTS: Shape = Shape::list(&List { item: TEXT_ONLY, unique: true })
    .or_map(&Keys::Any(TEXT_ONLY.or_list(&List { item: TEXT_ONLY, unique: false })));
const ULIMITS: Shape = Shape::map(&Keys::Any(WHOLE.or_map(&Keys::Known {
    keys: &[("hard", WHOLE), ("soft", WHOLE)],
    required: &["soft", "hard"],
    extensions: true,
})));

const EXTERNAL: Shape = Shape::of(BOOL | TEXT).or_map(&keys(&[("name", TEXT_ONLY)]));

const NETWORK: Shape = Shape::of(NULL).or_map(&keys(&[
    ("name", TEXT_ONLY),
    ("driver", TEXT_ONLY),
    ("driver_opts", OPTIONS),
    (
        "ipam",
        Shape::map(&keys(&[
            ("driver", TEXT_ONLY),
            (
                "config",
                Shape::list(&List {
                    item: Shape::map(&keys(&[
                        ("subnet", TEXT_ONLY),
                        ("ip_range", TEXT_ONLY),
                        ("gateway", TEXT_ONLY),
                        ("aux_addresses", TEXT_MAP),
                    ])),
                    unique: false,
                }),
            ),
            ("options", TEXT_MAP),
        ])),
    ),
    ("external", EXTERNAL),
    ("internal", BOOLEAN),
    ("enable_ipv4", BOOLEAN),
    ("enable_ipv6", BOOLEAN),
    ("attachable", BOOLEAN),
    ("labels", LIST_OR_MAP),
]));

const VOLUME: Shape = Shape::of(NULL).or_map(&keys(&[
    ("name", TEXT_ONLY),
    ("driver", TEXT_ONLY),
    ("driver_opts", OPTIONS),
    ("external", EXTERNAL),
    ("labels", LIST_OR_MAP),
]));

const SECRET: Shape = Shape::map(&keys(&[
    ("name", TEXT_ONLY),
    ("environment", TEXT_ONLY),
    ("file", TEXT_ONLY),
    ("external", EXTERNAL),
    ("labels", LIST_OR_MAP),
    ("driver", TEXT_ONLY),
    ("driver_opts", OPTIONS),
    ("template_driver", TEXT_ONLY),
]));

const CONFIG: Shape = Shape::map(&keys(&[
    ("name", TEXT_ONLY),
    ("content", TEXT_ONLY),
    ("environment", TEXT_ONLY),
    ("file", TEXT_ONLY),
    ("external", EXTERNAL),
    ("labels", LIST_OR_MAP),
    ("template_driver", TEXT_ONLY),
]));

const INCLUDE: Shape = TEXT_ONLY.or_map(&Keys::Known {
    keys: &[("path", TEXT_OR_LIST), ("env_file", TEXT_OR_LIST), ("project_directory", TEXT_ONLY)],
    required: &[],
    extensions: false,
});

/// A whole file.
pub(super) const PROJECT: Shape = Shape::map(&keys(&[
    ("version", TEXT_ONLY),
    ("name", TEXT_ONLY),
    ("include", Shape::list(&List { item: INCLUDE, unique: false })),
    ("services", Shape::map(&Keys::Names(service::SERVICE))),
    ("networks", Shape::map(&Keys::Names(NETWORK))),
    ("volumes", Shape::map(&Keys::Names(VOLUME))),
    ("secrets", Shape::map(&Keys::Names(SECRET))),
    ("configs", Shape::map(&Keys::Names(CONFIG))),
    ("models", Shape::ANY),
]));

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::finding::{Findings, KeyPath};
    use super::super::item::Item;
    use super::*;

    fn check(text: &str) -> Vec<String> {
        let node = crate::yaml::parse(text.as_bytes()).unwrap();
        let file: Arc<str> = "c.yaml".into();
        let mut findings = Findings::default();
        PROJECT.check(&Item::from_yaml(&node, &file), &KeyPath::default(), &mut findings);
        findings.finish().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn mistakes_are_told_all_at_once() {
        let found = check(
            "version: 3\nservices:\n  web:\n    image: [x]\n    prots: []\n    zzzzzz: 1\n    ports: [{tagret: 1}]\n    \
             depends_on: [a, a]\n  b b: {}\nx-y: 1\nservice: {}\n",
        );
        assert_eq!(
            found,
            [
                "c.yaml:1:10: version: expected a text, found the number `3`; put it in quotes",
                "c.yaml:4:12: services.web.image: expected a text, found a list",
                "c.yaml:5:5: services.web.prots: unknown key `prots`, did you mean `ports`?",
                "c.yaml:6:5: services.web.zzzzzz: unknown key `zzzzzz`; docker compose does not know it either",
                "c.yaml:7:14: services.web.ports[0].tagret: unknown key `tagret`, did you mean `target`?",
                "c.yaml:8:21: services.web.depends_on[1]: the text `a` is in the list twice",
                "c.yaml:9:3: services.b b: `b b` is no name here; names have letters, digits, `.`, `_` and `-`",
                "c.yaml:11:1: service: unknown key `service`, did you mean `services`?",
            ]
        );
    }

    #[test]
    fn words_are_checked() {
        assert_eq!(
            check("services: {a: {depends_on: {b: {condition: service_helthy}}}}"),
            [
                "c.yaml:1:44: services.a.depends_on.b.condition: unknown word `service_helthy`, did you mean `service_healthy`?"
            ]
        );
        assert_eq!(
            check("services: {a: {depends_on: {b: {}}, ulimits: {nofile: {soft: 1}}}}").len(),
            2,
            "required keys"
        );
    }
}
