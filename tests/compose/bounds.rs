//! Compose files that are made to hang or to fill memory: each ends soon, with a sentence.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use drydock::clock::Clock;
use drydock::submissions::compose::{Options, Reading, read};
use drydock::submissions::{Content, ContentLimits};

/// Reads files, none of which may take long on a machine that is busy too.
#[track_caller]
fn reading(files: &[(&str, String)]) -> Reading {
    let limits = ContentLimits { archive_bytes: 1 << 26, unpacked_bytes: 1 << 26, entries: 10_000 };
    let mut files: Vec<(String, Bytes)> =
        files.iter().map(|(path, text)| ((*path).to_owned(), Bytes::from(text.clone()))).collect();
    // Or a single folder would be taken off.
    files.push(("README".into(), Bytes::new()));
    let content = Content::from_files(files, &limits).unwrap();
    let watch = Clock::system().stopwatch();
    let reading = read(&content, &Options { name: "bomb".into(), ..Options::default() });
    let took = watch.elapsed();
    assert!(took < Duration::from_secs(10), "took {took:?}");
    reading
}

#[track_caller]
fn refused(files: &[(&str, String)], rule: &str, words: &str) -> Reading {
    let reading = reading(files);
    assert!(!reading.runs());
    assert!(
        reading.findings.iter().any(|finding| finding.rule == rule && finding.message.contains(words)),
        "{:#?}",
        reading.findings
    );
    assert!(reading.findings.len() <= 101, "{} findings", reading.findings.len());
    reading
}

fn services(count: usize, body: &str) -> String {
    let mut text = String::from("services:\n");
    for index in 0..count {
        let _ = writeln!(text, "  s{index}: {body}");
    }
    text
}

#[test]
fn a_thousand_services() {
    let reading =
        refused(&[("compose.yaml", services(1000, "{image: x}"))], "too-many", "there are 1000 services");
    assert!(reading.project.services.is_empty());
    // What is too much in a file alone is told, and what it is all together.
    refused(
        &[
            ("compose.yaml", format!("include: [a.yaml]\n{}", services(40, "{image: x}"))),
            ("a.yaml", services(30, "{image: x}").replace("  s", "  t")),
        ],
        "too-many",
        "70 services",
    );
}

#[test]
fn too_many_of_other_things() {
    for (section, body) in
        [("networks", ""), ("volumes", ""), ("secrets", "{file: README}"), ("configs", "{content: x}")]
    {
        let list = services(100, body).replace("services:", &format!("{section}:"));
        let text = format!("services: {{a: {{image: x}}}}\n{list}");
        refused(&[("compose.yaml", text)], "too-many", &format!("there are 100 {section}"));
    }
    let text = services(20, "{image: x, scale: 8}");
    refused(&[("compose.yaml", text)], "too-many", "160 containers");
    let ports: Vec<String> = (1..=2000).map(|port| port.to_string()).collect();
    refused(
        &[("compose.yaml", format!("services: {{a: {{image: x, ports: [{}]}}}}\n", ports.join(", ")))],
        "too-many",
        "2000 values in it; at most 1000",
    );
    refused(
        &[("compose.yaml", "services: {a: {image: x, ports: ['1-65535']}}\n".into())],
        "wrong-value",
        "more than 500 ports",
    );
}

#[test]
fn aliases_of_aliases() {
    let mut text = String::from("x-a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        let _ = writeln!(text, "x-a{level}: &a{level} [{below}]");
    }
    text.push_str("services: {a: {image: x}}\n");
    refused(&[("compose.yaml", text)], "unreadable", "once its aliases are unfolded");
}

#[test]
fn deep_and_large_files() {
    let deep = format!("x-deep: {}{}\n", "[".repeat(5000), "]".repeat(5000));
    refused(&[("compose.yaml", deep)], "unreadable", "lie inside each other");
    let large = format!("services: {{a: {{image: x}}}}\n# {}\n", "x".repeat(2 << 20));
    refused(&[("compose.yaml", large)], "unreadable", "at most 1048576 are read");
}

#[test]
fn files_that_include_each_other() {
    let include = |file: &str| format!("include: [{file}]\nservices: {{}}\n");
    refused(&[("compose.yaml", include("compose.yaml"))], "include-cycle", "included by itself");
    refused(
        &[("compose.yaml", include("a.yaml")), ("a.yaml", include("b.yaml")), ("b.yaml", include("a.yaml"))],
        "include-cycle",
        "included by itself",
    );
    let names: Vec<String> = (0..30).map(|index| format!("f{index}.yaml")).collect();
    let mut chain: Vec<(&str, String)> = vec![("compose.yaml", include("f0.yaml"))];
    chain.extend(names.windows(2).map(|pair| (pair[0].as_str(), include(&pair[1]))));
    refused(&chain, "too-many", "more than 10 files include each other");
}

#[test]
fn files_that_include_more_and_more() {
    // Each includes the next ten times: ten to the power of eight.
    let names: Vec<String> = (0..9).map(|index| format!("f{index}.yaml")).collect();
    let many = |file: &str| format!("include: [{}]\n", [file; 10].join(", "));
    let mut files: Vec<(&str, String)> = vec![("compose.yaml", many("f0.yaml"))];
    files.extend(names.windows(2).map(|pair| (pair[0].as_str(), many(&pair[1]))));
    files.push(("f8.yaml", "services: {a: {image: x}}\n".into()));
    refused(&files, "unreadable", "reads more than 200 files");
}

#[test]
fn services_that_extend_each_other() {
    let mut text = String::from("services:\n  s0: {image: x}\n");
    for index in 1..30 {
        let _ = writeln!(text, "  s{index}: {{extends: s{}}}", index - 1);
    }
    refused(&[("compose.yaml", text)], "extends-cycle", "more than 16 services");
    let heavy = "x".repeat(700_000);
    let mut text = format!("services:\n  base: {{image: x, environment: {{A: {heavy}}}}}\n");
    for index in 0..30 {
        let _ = writeln!(text, "  s{index}: {{extends: base}}");
    }
    refused(&[("compose.yaml", text)], "too-large", "too large together");
}

#[test]
fn variables_that_multiply() {
    let mut env = String::from("A0=xxxxxxxxxxxxxxxx\n");
    for level in 1..60 {
        let _ = writeln!(env, "A{level}=$A{0}$A{0}", level - 1);
    }
    let compose = "services: {a: {image: x, environment: {A: $A59}}}\n";
    refused(&[("compose.yaml", compose.into()), (".env", env)], "variable", "longer than is read");

    let env = format!("A={}\n", "x".repeat(100_000));
    let uses = "$A".repeat(1000);
    refused(
        &[("compose.yaml", format!("services: {{a: {{image: x, labels: {{a: {uses}}}}}}}\n")), (".env", env)],
        "variable",
        "longer than is read",
    );
    let nested = format!("{}{}", "${A:-".repeat(20_000), "}".repeat(20_000));
    refused(
        &[("compose.yaml", format!("services: {{a: {{image: '{nested}'}}}}\n"))],
        "variable",
        "inside each other",
    );
    // Many of them on one line are many, and no more than that.
    let many = "${A:-x}".repeat(100_000);
    reading(&[("compose.yaml", format!("services: {{a: {{image: x, hostname: '{many}'}}}}\n"))]);
    let open = "${A:-".repeat(100_000);
    reading(&[("compose.yaml", format!("services: {{a: {{image: x, hostname: '{open}'}}}}\n"))]);
}

#[test]
fn long_lists_and_maps() {
    let service = |key: &str, values: &str| format!("services:\n  a:\n    image: x\n    {key}: {values}\n");
    let list = |count: usize, value: &dyn Fn(usize) -> String| {
        format!("[{}]", (0..count).map(value).collect::<Vec<_>>().join(", "))
    };
    let caps = list(40_000, &|index| format!("CAP{index}"));
    refused(&[("compose.yaml", service("cap_drop", &caps))], "too-many", "40000 values");
    let names: Vec<String> = (0..20_000).map(|index| format!("n{index}: ")).collect();
    for key in ["networks", "depends_on", "environment"] {
        refused(
            &[("compose.yaml", service(key, &format!("{{{}}}", names.join(", "))))],
            "too-many",
            "20000 values",
        );
    }
    let hosts = list(30_000, &|index| format!("\"h{index}=10.0.0.1\""));
    let files = [
        ("compose.yaml", service("extra_hosts", &hosts)),
        ("compose.override.yaml", service("extra_hosts", &hosts)),
    ];
    refused(&files, "too-many", "values");
    let pools = list(10_000, &|index| format!("{{subnet: 10.{}.{}.0/24}}", index / 256, index % 256));
    let pools = format!("services: {{a: {{image: x}}}}\nnetworks: {{n: {{ipam: {{config: {pools}}}}}}}\n");
    refused(
        &[("compose.yaml", pools.clone()), ("compose.override.yaml", pools)],
        "too-many",
        "at most 64 subnets",
    );
}

#[test]
fn many_mistakes_are_cut() {
    let mut text = String::from("services:\n  a:\n    image: x\n");
    for index in 0..5000 {
        let _ = writeln!(text, "    zz{index}: 1");
    }
    text.push_str("    privileged: true\n");
    let reading = refused(&[("compose.yaml", text)], "more", "more findings are not told");
    assert_eq!(reading.findings.len(), 101);
}

#[test]
fn large_files_of_variables() {
    let mut env = String::new();
    for index in 0..5000 {
        let _ = writeln!(env, "V{index}=1");
    }
    refused(
        &[("compose.yaml", "services: {a: {image: x, env_file: a.env}}\n".into()), ("a.env", env)],
        "variable",
        "more than 2000 variables",
    );
    let line = format!("A=\"{}", "x".repeat(2 << 20));
    refused(
        &[
            ("compose.yaml", "services: {a: {image: x, env_file: [a.env, a.env, a.env]}}\n".into()),
            ("a.env", line),
        ],
        "variable",
        "a quote is not closed",
    );
}
