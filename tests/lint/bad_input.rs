//! Files that are no Dockerfiles, and such that should take long: neither panics nor hangs.

use std::time::Duration;

use drydock::clock::Clock;
use drydock::submissions::dockerfile::Unreadable;
use drydock::submissions::dockerfile::lint::lint;
use proptest::prelude::*;

fn ids(bytes: &[u8]) -> Vec<(usize, &'static str)> {
    lint(bytes, None).unwrap().iter().map(|problem| (problem.line, problem.rule.id)).collect()
}

#[test]
fn what_cannot_be_read_is_told() {
    for (bytes, said) in [
        (b"".as_slice(), "empty"),
        (b"# only\n\n  # comments\n", "empty"),
        (b"\xff\xfeF\0R\0O\0M\0", "UTF-16"),
        (b"FROM a\n\x00\x01", "line 2"),
        (b"FROM a\nRUN \xff", "line 2"),
        (b"FROM a\nRUM b", "line 2 of the Dockerfile cannot be read: there is no instruction `RUM`"),
        (b"FROM a\nRUN", "RUN has no arguments"),
        (b"FROM a\nRUN <<EOF\nx", "`EOF`"),
    ] {
        let error = lint(bytes, None).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    let many = "RUN a\n".repeat(10_000);
    assert!(matches!(lint(many.as_bytes(), None), Err(Unreadable::TooMany { .. })));
    assert!(matches!(lint(&vec![b'a'; 2 << 20], None), Err(Unreadable::TooLarge { .. })));
}

#[test]
fn line_ends_and_marks_change_nothing() {
    let plain = "FROM debian\nRUN apt-get update && \\\n  # why\n  sudo make\nRUN <<EOF\ncd /x\nEOF\n";
    let expected = ids(plain.as_bytes());
    assert!(expected.contains(&(2, "DL3004")) && expected.contains(&(5, "DL3003")), "{expected:?}");
    assert_eq!(ids(plain.replace('\n', "\r\n").as_bytes()), expected);
    assert_eq!(ids(format!("\u{feff}{plain}").as_bytes()), expected);
}

#[test]
fn nothing_takes_long() {
    let open = |text: &str, times: usize| format!("FROM a\nRUN {}", text.repeat(times));
    let clock = Clock::system();
    for (name, text) in [
        ("a long word", open("a", 1_000_000)),
        ("many words", open("a ", 500_000)),
        ("many commands", open("a && ", 200_000)),
        ("brackets", open("(", 200_000)),
        ("closed brackets", format!("FROM a\nRUN {}x{}", "( ".repeat(5_000), ") ".repeat(5_000))),
        ("braces", open("{ ", 200_000)),
        ("substitutions", open("$(echo ", 100_000)),
        ("quoted substitutions", open("\"$(", 100_000)),
        ("backticks", open("`", 200_000)),
        ("cases", open("case x in x) ", 60_000)),
        ("conditions", open("if ", 100_000)),
        ("many deep brackets", open(&format!("{}x{}; ", "(".repeat(10), ")".repeat(10)), 2_700)),
        ("case steps", format!("FROM a\n{}", format!("RUN {}\n", "case x in x) ".repeat(4)).repeat(4_999))),
        (
            "many variables",
            format!("FROM a\nENV {}", (0..20_000).map(|i| format!("a{i}=$a{i} ")).collect::<String>()),
        ),
        ("variables", format!("FROM a\nENV {}", "a=$a ".repeat(2_000))),
        ("steps", format!("FROM a\n{}", "RUN (((((((((((\n".repeat(4_999))),
        ("stages", "FROM a AS a\n".repeat(5_000)),
        ("copies", format!("FROM a\n{}", "COPY a.tar /x/\nRUN tar -xf /x/a.tar\n".repeat(2_499))),
        ("comments", format!("FROM a\n{}", "# a\n".repeat(200_000))),
        ("blank continuations", format!("FROM a\nRUN a \\\n{}", "\n".repeat(500_000))),
    ] {
        let watch = clock.stopwatch();
        // On a thread as small as those that grade.
        let result =
            std::thread::Builder::new().stack_size(2 << 20).spawn(move || lint(text.as_bytes(), None));
        result.unwrap().join().unwrap_or_else(|_| panic!("{name} panics")).ok();
        let took = watch.elapsed();
        println!("{name}: {took:?}");
        assert!(took < Duration::from_secs(20), "{name} took {took:?}");
    }
}

proptest! {
    #[test]
    fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = lint(&bytes, None);
    }

    #[test]
    fn words_never_panic(words in proptest::collection::vec(prop_oneof![
        Just("FROM "), Just("\nRUN "), Just("\nCOPY "), Just("\nENV "), Just("\nARG "), Just("\nONBUILD "),
        Just("\nWORKDIR "), Just("\nUSER "), Just("\nLABEL "), Just("\nEXPOSE "), Just("\nHEALTHCHECK "),
        Just("\nSHELL "), Just("\n# "), Just("escape=`"), Just("--from="), Just("--mount=type=cache,target="),
        Just("a"), Just("é"), Just("=$"), Just("${"), Just("}"), Just("\""), Just("'"), Just("\\"), Just("\\\n"),
        Just("`"), Just("["), Just("]"), Just(" "), Just("<<E"), Just("\nE\n"), Just("$("), Just(")"), Just("|"),
        Just(" && "), Just(";"), Just(":"), Just("@"), Just("/"), Just("-"), Just("AS "), Just("\t"), Just("\r\n"),
        Just("if "), Just("case "), Just("apt-get install "), Just("pip install "), Just("#"), Just("&"), Just("{"),
    ], 0..40)) {
        let _ = lint(words.concat().as_bytes(), None);
    }
}
