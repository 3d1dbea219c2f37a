//! `dockerignore`.

use drydock::checks::{Finding, Surroundings};
use serde_json::{Value, json};

use crate::{content, failed, kind, look, passed};

const FILES: &[(&str, &[u8])] = &[
    ("Dockerfile", b"FROM a\n"),
    ("app.py", b"print()\n"),
    ("README.md", b"read me\n"),
    ("notes.md", b"12345"),
    ("src/main.rs", b""),
    ("src/a.log", b""),
    ("node_modules/a/index.js", b"1234567890"),
];

async fn of(ignore: Option<&str>, asks: &Value) -> Finding {
    let mut files = FILES.to_vec();
    files.extend(ignore.map(|text| (".dockerignore", text.as_bytes())));
    look(&kind("dockerignore", asks), &content(&files), &[]).await.expect("told")
}

const GOOD: &str = "# what no build needs\nnode_modules\n*.md\n!README.md\n**/*.log\n.env\n.git\n";

#[tokio::test]
async fn each_part_passes_and_fails() {
    for (asks, bad, observed) in [
        (
            json!({"keeps_out": ["node_modules"]}),
            "*.md",
            "`node_modules/a/index.js` gets in since no line fits it",
        ),
        (
            json!({"keeps_out": ["./node_modules/"]}),
            "*\n!node_modules",
            "`node_modules/a/index.js` gets in by line 2, `!node_modules`",
        ),
        // What is not handed in is looked at as well.
        (json!({"keeps_out": [".env", ".git"]}), ".git", "`.env` gets in since no line fits it"),
        (
            json!({"keeps_out": [".git/config"]}),
            ".git\n!.git/config",
            "`.git/config` gets in by line 2, `!.git/config`",
        ),
        (
            json!({"keeps_out": [{"matches": "\\.log$"}]}),
            "*.log",
            "`src/a.log` gets in since no line fits it",
        ),
        (json!({"lets_in": ["README.md"]}), "*.md", "`README.md` is kept out by line 1, `*.md`"),
        (json!({"lets_in": ["src"]}), "src", "`src/a.log` is kept out by line 1, `src`"),
        (
            json!({"lets_in": [{"matches": "\\.(py|rs)$"}]}),
            "src",
            "`src/main.rs` is kept out by line 1, `src`",
        ),
        (
            json!({"lets_in": ["templates/index.html"]}),
            "temp*",
            "`templates/index.html` is kept out by line 1, `temp*`",
        ),
        (json!({"size": {"at_most": 100}}), "Dockerfile\n!*", ""),
    ] {
        let finding = of(Some(GOOD), &asks).await;
        let detail = passed(&finding);
        assert!(!detail.expected.is_empty() && !detail.observed.is_empty(), "{asks}");
        if observed.is_empty() {
            continue;
        }
        let finding = of(Some(bad), &asks).await;
        assert_eq!(failed(&finding).observed, observed, "{asks}");
    }
}

#[tokio::test]
async fn without_an_ignore_file_everything_gets_in() {
    let asks = json!({"keeps_out": [".git"], "lets_in": ["app.py"]});
    let finding = of(None, &asks).await;
    let detail = failed(&finding);
    assert_eq!(detail.expected, "`.git` stays out of the build, `app.py` reaches the build");
    assert_eq!(detail.observed, "`.git` gets in since there is no ignore file");
    passed(&of(None, &json!({"lets_in": ["app.py"]})).await);
}

#[tokio::test]
async fn the_proof_is_the_file_and_who_decided() {
    let finding =
        of(Some(GOOD), &json!({"keeps_out": ["notes.md", "node_modules"], "lets_in": ["README.md"]})).await;
    let detail = passed(&finding);
    assert_eq!(detail.evidence[0].title, ".dockerignore");
    assert!(detail.evidence[0].text.contains("  2  node_modules\n"), "{}", detail.evidence[0].text);
    assert_eq!(
        detail.evidence[1].text,
        "`notes.md` is kept out by line 3, `*.md`\n\
         `node_modules/a/index.js` is kept out by line 2, `node_modules`\n\
         `README.md` gets in by line 4, `!README.md`"
    );
    let reproduce = detail.reproduce.as_deref().unwrap();
    assert!(reproduce.contains("docker build -q -f - .)"), "{reproduce}");
}

#[tokio::test]
async fn sizes_count_what_is_sent() {
    let asks = |most: u64| json!({"size": {"at_most": most}});
    let finding = of(Some("*\n!notes.md\n!node_modules"), &asks(15)).await;
    assert_eq!(passed(&finding).observed, "2 files of 15 bytes reach the build");
    let finding = of(Some("*\n!notes.md\n!node_modules"), &asks(14)).await;
    let detail = failed(&finding);
    assert!(detail.evidence[1].text.starts_with("`node_modules/a/index.js` of 10 bytes\n"), "{detail:?}");
}

#[tokio::test]
async fn the_file_is_the_one_the_builder_takes() {
    let own = content(&[
        ("Dockerfile", b"FROM a\n"),
        (".dockerignore", b"secret\n"),
        ("Dockerfile.dockerignore", b"other\n"),
    ]);
    let asks = json!({"keeps_out": ["secret"]});
    let finding = look(&kind("dockerignore", &asks), &own, &[]).await.unwrap();
    let detail = failed(&finding);
    assert_eq!(detail.evidence[0].title, "Dockerfile.dockerignore");
    assert_eq!(detail.reproduce, None, "the command would take the other file");
    let asks = json!({"keeps_out": ["secret"], "dockerfile": "other.Dockerfile"});
    passed(&look(&kind("dockerignore", &asks), &own, &[]).await.unwrap());

    let below =
        content(&[("README", b"x"), ("web/.dockerignore", b"/secret\n"), ("web/Dockerfile", b"FROM a\n")]);
    let asks = json!({"keeps_out": ["secret"], "context": "web"});
    let finding = look(&kind("dockerignore", &asks), &below, &[]).await.unwrap();
    assert!(passed(&finding).reproduce.as_deref().unwrap().contains("-f - web)"));
    failed(&look(&kind("dockerignore", &json!({"keeps_out": ["secret"]})), &below, &[]).await.unwrap());
    let asks = json!({"keeps_out": ["secret"], "context": "nowhere"});
    let finding = look(&kind("dockerignore", &asks), &below, &[]).await.unwrap();
    assert_eq!(failed(&finding).observed, "there is no folder `nowhere`");
}

#[tokio::test]
async fn files_that_cannot_work_are_findings() {
    let asks = json!({"keeps_out": [".git"]});
    let finding = of(Some(".git\n[a-\n"), &asks).await;
    let detail = failed(&finding);
    assert!(
        detail.observed.contains("Line 2 of the ignore file is no pattern that can be read"),
        "{detail:?}"
    );
    let utf16: Vec<u8> = "\u{feff}.git\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let submission = content(&[("Dockerfile", b"FROM a\n"), (".dockerignore", &utf16)]);
    let finding = look(&kind("dockerignore", &asks), &submission, &[]).await.unwrap();
    assert!(failed(&finding).observed.ends_with("written in UTF-16, so that no line of it fits anything"));
}

#[test]
fn definitions_that_make_no_sense() {
    let around =
        Surroundings { dockerfile: Some("Dockerfile"), takes_files: true, ..Surroundings::default() };
    for (fields, said) in [
        (json!({}), "asks nothing"),
        (json!({"keeps_out": ["/a"]}), "no path in the context"),
        (json!({"keeps_out": ["a/../../b"]}), "no path in the context"),
        (json!({"lets_in": ["."]}), "no path in the context"),
        (json!({"keeps_out": ["*.log"]}), "is read as one path"),
        (json!({"keeps_out": ["a/"], "lets_in": ["./a"]}), "can never pass"),
        (json!({"keeps_out": [{"contains": ""}]}), "can never fail"),
        (json!({"size": {"at_least": 0}}), "can never fail"),
        (json!({"context": "../x", "keeps_out": ["a"]}), "has to lie inside"),
        (json!({"dockerfile": "/x", "keeps_out": ["a"]}), "has to lie inside"),
    ] {
        let mistakes = kind("dockerignore", &fields).mistakes(&around);
        assert!(mistakes.len() == 1 && mistakes[0].contains(said), "{fields}: {mistakes:?}");
    }
    let nothing = kind("dockerignore", &json!({"keeps_out": ["a"]})).mistakes(&Surroundings::default());
    assert!(nothing.len() == 1 && nothing[0].contains("needs files"), "{nothing:?}");
}
