//! Ignore files by the builder's rules: what each line means, and what a build gets to see.

use bytes::Bytes;
use drydock::submissions::dockerignore::{Dockerignore, Walk};
use drydock::submissions::{Content, ContentLimits};

/// An ignore file, and the paths it keeps out (`-`) and lets in (`+`); `␣` is a blank.
const RULES: &[(&str, &str)] = &[
    // A line names a path from the root of the context, and all that is below it.
    ("node_modules", "-node_modules -node_modules/a/b.js +app/node_modules +node_modules2 +my_node_modules"),
    ("a/b", "-a/b -a/b/c +a +a/c +b +x/a/b +a/bc"),
    ("/secret.txt", "-secret.txt +a/secret.txt"),
    ("folder/", "-folder -folder/file"),
    ("//twice//as//many", "-twice/as/many"),
    ("./a/../b", "-b -b/c +a +a/b"),
    ("a/./b", "-a/b"),
    ("a/..", "+a +a/b +b"),
    ("/../x", "-x"),
    // Outside of the context is nothing.
    ("../x", "+x +a/x"),
    ("../../x", "+x"),
    // What could only mean everything, or nothing, means nothing.
    (".", "+anything +a/b"),
    ("./", "+anything"),
    ("/", "+anything +a/b"),
    ("", "+anything"),
    ("\n\n  \n\t\n", "+anything"),
    // Case counts.
    ("Makefile", "-Makefile +makefile"),
    ("É", "-É +é"),
    // A star does not cross a slash, and a hidden file is a file.
    ("*.log", "-a.log -.log +logs/a.log +a.log.gz -a.log/b"),
    ("*", "-a -a/b -.env"),
    ("*/*", "+a -a/b -a/b/c"),
    ("*/temp*", "-a/temporary.txt -a/temp +a/b/temporary.txt +temp"),
    ("*/*/temp*", "-a/b/temp +a/temp"),
    ("a*b", "-ab -axb -axxb +a/b +axbc"),
    ("*a*", "-a -banana +b -a/b -bab/x"),
    (".*", "-.env -.git/config +a.env +a/.env"),
    ("a/*", "+a -a/b -a/b/c"),
    ("a/*.md", "-a/x.md +a/b/x.md +x.md"),
    // A question mark is one character, but no slash.
    ("temp?", "-tempa -temp1 +temp +tempab +temp/a"),
    ("???", "-abc -äöü +ab +abcd"),
    ("a?b", "-axb +a/b +ab"),
    // Two stars cross slashes, and also none.
    ("**/node_modules", "-node_modules -app/node_modules -a/b/node_modules/x +my_node_modules"),
    ("**/*.log", "-a.log -logs/a.log -logs/deep/a.log +a.log.gz"),
    ("**", "-a -a/b/c -.env"),
    ("**/", "-a -a/b"),
    ("a/**", "+a -a/b -a/b/c +ab/c"),
    ("a/**/b", "-a/b -a/x/b -a/x/y/b +b +a/xb"),
    ("**/a/**", "+a -a/b -x/a/b/c +x/a"),
    ("**/.git", "-.git -.git/config -sub/.git/HEAD +.gitignore"),
    ("**/*.py[co]", "-a.pyc -x/y/b.pyo +a.py"),
    ("a/**/*.md", "-a/x.md -a/b/c/x.md +x.md"),
    ("**/foo*", "-foo -a/foobar +xfoo"),
    // Without a slash after them, two stars are any ending, any beginning, or some folders.
    ("a**", "-a -abc -abc/d -a/b +ba"),
    ("**foo", "-foo -xfoo -a/xfoo +foox"),
    ("**.md", "-a.md -x/y/a.md -.md +a.mdx"),
    ("a**b", "-ab -ax/b -a/x/b +axb"),
    ("***", "-a -a/b"),
    // Brackets.
    ("[ab].txt", "-a.txt -b.txt +c.txt +ab.txt"),
    ("[^ab].txt", "+a.txt -c.txt"),
    ("[!ab].txt", "-a.txt -!.txt +c.txt"),
    ("[a-c]1", "-b1 +d1"),
    ("[a-cx-z]1", "-b1 -y1 +d1"),
    ("[0-9][0-9]", "-42 +4 +4a"),
    ("[é]", "-é +e"),
    ("[a&&b]", "-a -& -b +c"),
    ("[a~~b]", "-~ -a +c"),
    ("[a[b]", "-a -[ -b +c"),
    (r"[\]]", "-] +a"),
    (r"[\-a]", "-- -a +b"),
    ("a]", "-a] +a"),
    // A star inside of brackets breaks them, as it does for the builder.
    ("[*]", "+* -^] -[[/] +a"),
    // A backslash takes a sign's meaning away; some letters get one.
    (r"a\*b", "-a*b +axb"),
    (r"\!important", "-!important +important"),
    (r"\#x", "-#x"),
    (r"a\[b\]", "-a[b] +ab"),
    (r"v\d", "-v1 +vd +v٣"),
    // What means something to regular expressions only is itself.
    ("a.b", "-a.b +axb"),
    ("a.b*", "-a.bc +axbc"),
    ("a+(b)|{c}$*", "-a+(b)|{c}$x +aab"),
    ("x^y", "-x^y"),
    ("x^y*", "+x^y +x^yz"),
    // Comments begin in the first column; blanks around a pattern are cut.
    ("# a", "+a +#␣a"),
    ("#a\nb", "-b +#a +a"),
    (" #a", "-#a"),
    ("  a  ", "-a"),
    ("a b", "-a␣b +a"),
    ("\ta\t", "-a"),
    ("a # b", "+a -a␣#␣b"),
    ("\u{a0}a\u{a0}", "-a"),
    // Line ends and marks of editors.
    ("a\r\nb\r\n", "-a -b"),
    ("a\nb", "-a -b"),
    ("\u{feff}a", "-a"),
    ("\u{feff}# a\nb", "-b +a"),
    ("b\n\u{feff}a", "+a"),
    // The last line that fits decides.
    ("*.md\n!README.md", "+README.md -OTHER.md"),
    ("!README.md\n*.md", "-README.md"),
    ("*.md\n!README.md\nREADME.md", "-README.md"),
    ("*.md\n!README*.md\nREADME-secret.md", "+README.md +README-x.md -README-secret.md -x.md"),
    ("*\n!src", "+src +src/main.rs -target/x -target"),
    ("*\n!src/main.rs", "+src/main.rs -src -src/lib.rs"),
    ("docs\n!docs/keep.md", "+docs/keep.md -docs -docs/other.md"),
    ("docs\n!docs/keep.md\ndocs/keep.md", "-docs/keep.md"),
    ("docs/*\n!docs/keep", "+docs/keep +docs/keep/x -docs/other"),
    ("*\n!a\na/b\n!a/b/c", "+a +a/x -a/b -a/b/x +a/b/c"),
    ("**/*.md\n!**/keep.md", "+keep.md +a/b/keep.md -a/x.md"),
    ("docs\n!**/keep.md", "+docs/keep.md -docs/x.md"),
    ("*\n!**/*.go", "+main.go +a/b/c.go -a/b/c.rs"),
    ("!a", "+a +b"),
    ("a\n!a", "+a +a/b"),
    ("a\n! a", "+a"),
    ("a\n!/a", "+a"),
    ("a\n!./a/", "+a"),
    ("a\n!.", "-a"),
    ("a\n!b/..", "-a"),
    ("!!a\na\n!a", "+a"),
    ("*\n!!a", "+!a -a"),
    ("a\n/!a", "+a"),
    // What was not asked of a folder is not asked anew of what is in it.
    ("x/y\n!x", "+x -x/y -x/y/z +x/z"),
    ("x\n!x", "+x/y"),
    ("*\n!a*/*", "-a +a/a +ab/b -b/a"),
    ("!x\nx", "-x/y"),
];

#[test]
fn every_rule_holds() {
    let mut wrong = Vec::new();
    let mut paths = 0;
    for (file, expected) in RULES {
        let ignore = Dockerignore::read(file.as_bytes());
        assert_eq!(ignore.mistake(), None, "{file:?}");
        let mut walk = Walk::new(&ignore);
        for expected in expected.split(' ') {
            let (sign, path) = expected.split_at(1);
            let path = path.replace('␣', " ");
            paths += 1;
            let verdict = walk.look(&path);
            if verdict.ignored != (sign == "-") || verdict.ignored != ignore.ignores(&path) {
                wrong.push(format!("{file:?} on {path:?}: {verdict:?}"));
            }
            assert!(verdict.line.is_some() || !verdict.ignored, "{file:?} on {path:?} is decided by a line");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(RULES.len() > 100 && paths > 250, "{} files, {paths} paths", RULES.len());
}

#[test]
fn the_line_that_decided_is_told() {
    let ignore = Dockerignore::read(b"# first\n\n*.md \r\n ! README.md\nREADME.md.bak\n");
    for (path, number, text) in [
        ("a.md", Some(3), "*.md"),
        ("README.md", Some(4), "! README.md"),
        ("README.md.bak/x", Some(5), "README.md.bak"),
        ("main.rs", None, ""),
    ] {
        let verdict = ignore.verdict(path);
        assert_eq!(verdict.line.map(|line| line.number), number, "{path}");
        assert_eq!(verdict.line.map_or("", |line| line.text.as_str()), text, "{path}");
    }
}

#[test]
fn what_the_builder_refuses_is_told_with_its_line() {
    for (line, said) in [
        ("[a", "is no pattern"),
        ("[", "is no pattern"),
        ("[]", "is no pattern"),
        ("[]a]", "is no pattern"),
        ("[a-]", "is no pattern"),
        ("[-a]", "is no pattern"),
        ("[a-\\", "is no pattern"),
        ("[z-a]", "is no pattern"),
        ("a\\", "is no pattern"),
        (r"a\q", "is no pattern"),
        ("!", "`!` without a pattern"),
        ("! ", "`!` without a pattern"),
        ("!/", "`!` without a pattern"),
    ] {
        let ignore = Dockerignore::read(format!("b\n# c\n{line}\n[\nd\n").as_bytes());
        let mistake = ignore.mistake().unwrap_or_else(|| panic!("{line} is refused"));
        assert_eq!(mistake.line, 3, "{line}");
        assert!(mistake.to_string().contains(said), "{line}: {mistake}");
        assert!(ignore.ignores("b") && ignore.ignores("d") && !ignore.ignores("c"), "{line} hurts no other");
    }
}

#[test]
fn odd_files_are_bounded() {
    let many = "a\n".repeat(1_001);
    assert_eq!(Dockerignore::read(many.as_bytes()).mistake().map(|mistake| mistake.line), Some(1_001));
    let long = format!("a\n{}", "#".repeat(70_000));
    assert_eq!(Dockerignore::read(long.as_bytes()).mistake().map(|mistake| mistake.line), Some(2));
    let binary: Vec<u8> = (0..=255).cycle().take(5_000).collect();
    let _ = Dockerignore::read(&binary).ignores("a");
    // As PowerShell writes it: no line means what it looks like.
    let utf16: Vec<u8> = "\u{feff}a\n*\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(!Dockerignore::read(&utf16).ignores("a"));
}

fn content(files: &[(&str, &str)]) -> Content {
    let limits = ContentLimits { archive_bytes: 1 << 20, unpacked_bytes: 1 << 20, entries: 100 };
    let file = |(path, text): &(&str, &str)| ((*path).to_owned(), Bytes::from((*text).to_owned()));
    Content::from_files(files.iter().map(file).collect(), &limits).expect("small")
}

fn sent(content: &Content, dockerfile: &str) -> Vec<String> {
    let context = content.build_context(dockerfile);
    context.entries().keys().map(|path| String::from_utf8_lossy(path).into_owned()).collect()
}

#[test]
fn a_build_gets_what_docker_would_send() {
    let submission = content(&[
        (".dockerignore", "*\n!src/main.rs\n"),
        ("Dockerfile", "FROM scratch"),
        ("src/main.rs", "fn main() {}"),
        ("src/secret", "no"),
        ("target/big", "no"),
    ]);
    assert_eq!(sent(&submission, "Dockerfile"), [".dockerignore", "Dockerfile", "src", "src/main.rs"]);
    assert_eq!(submission.ignore_file("Dockerfile").as_deref(), Some(".dockerignore"));
}

#[test]
fn a_dockerfile_may_have_an_ignore_file_of_its_own() {
    let submission = content(&[
        (".dockerignore", "a\n"),
        ("docker/web.Dockerfile", "FROM scratch"),
        ("docker/web.Dockerfile.dockerignore", "b\ndocker\n"),
        ("a", ""),
        ("b", ""),
    ]);
    let web = "docker/web.Dockerfile";
    assert_eq!(submission.ignore_file(web).as_deref(), Some("docker/web.Dockerfile.dockerignore"));
    // The Dockerfile is read by the builder whatever is ignored.
    assert_eq!(sent(&submission, web), [".dockerignore", "a", "docker", web]);
    assert_eq!(
        sent(&submission, "Dockerfile").join(" "),
        format!(".dockerignore b docker {web} {web}.dockerignore")
    );

    let empty =
        content(&[("Dockerfile.dockerignore", ""), (".dockerignore", "a"), ("Dockerfile", ""), ("a", "")]);
    assert_eq!(sent(&empty, "Dockerfile").len(), 4, "an empty one takes precedence too");
}
