//! Secrets that an exercise gives to a build: mounted by the steps that ask, in no layer, new each time.

use std::collections::BTreeMap;

use drydock::config::{BuilderChoice, SandboxSettings};
use drydock::sandbox::{BuildError, BuildFailureReason, BuildRequest, Builder, Error};

use super::{Bench, bench, build, close, dockerfile, fails, nonce, settings, texts};

fn with_secret(text: &str, value: &str) -> BuildRequest {
    BuildRequest {
        needs_buildkit: true,
        secrets: BTreeMap::from([("token".to_owned(), value.to_owned())]),
        ..dockerfile(text)
    }
}

#[tokio::test]
async fn a_step_reads_the_secret_of_its_own_grading() {
    let bench = bench(BuilderChoice::BuildKit).await;
    let text = format!(
        "FROM busybox:1.37\nENV RUN_OF={}\nRUN --mount=type=secret,id=token echo \"got $(cat /run/secrets/token)\"\n\
         RUN test ! -s /run/secrets/token",
        nonce()
    );
    // To BuildKit they look the same, one after another and side by side.
    let values = ["first-5a1d", "second-77c0", "third-90be"];
    let sandbox = bench.sandbox();
    let builds = values.map(|value| build(&sandbox, with_secret(&text, value)));
    let built = futures::future::join_all(builds).await.into_iter().zip(values);
    let again = build(&sandbox, with_secret(&text, "fourth-1f3e")).await;
    for ((built, lines), value) in built.chain([(again, "fourth-1f3e")]) {
        assert_eq!(built.unwrap().builder, Builder::BuildKit);
        assert!(texts(&lines).contains(&format!("got {value}").as_str()), "{lines:?}");
    }
    drop(sandbox);
    close(bench).await;
}

#[tokio::test]
async fn a_secret_that_is_not_given_is_the_students_mistake() {
    let bench = bench(BuilderChoice::BuildKit).await;
    let text = format!("RUN --mount=type=secret,id=tokn,required=true cat /run/secrets/tokn # {}", nonce());
    let failure = fails(&bench.sandbox(), with_secret(&text, "value")).await;
    assert_eq!(failure.reason, BuildFailureReason::Dockerfile, "{failure:?}");
    assert!(failure.sentence.contains("`tokn`"), "{}", failure.sentence);
    let none = BuildRequest { secrets: BTreeMap::new(), ..with_secret(&text, "") };
    let failure = fails(&bench.sandbox(), none).await;
    assert_eq!(failure.reason, BuildFailureReason::Dockerfile, "{failure:?}");
    assert!(failure.sentence.contains("gives its build none"), "{}", failure.sentence);
    let agent = format!("RUN --mount=type=ssh,required=true true # {}", nonce());
    for request in [dockerfile(&agent), with_secret(&agent, "value")] {
        let failure = fails(&bench.sandbox(), request).await;
        assert_eq!(failure.reason, BuildFailureReason::Dockerfile, "{failure:?}");
        assert!(failure.sentence.contains("SSH agent"), "{}", failure.sentence);
    }
    close(bench).await;
}

#[tokio::test]
async fn without_buildkit_it_is_the_servers_fault_and_never_the_students() {
    let text = "RUN --mount=type=secret,id=token true";
    for settings in [settings(BuilderChoice::Classic), settings(BuilderChoice::Auto)] {
        let auto = settings.builder == BuilderChoice::Auto;
        let bench = Bench::alone(SandboxSettings { unbounded_buildkit: false, ..settings }).await;
        let (built, _) = build(&bench.sandbox(), with_secret(text, "value")).await;
        match built {
            Err(BuildError::Platform(Error::Unfit(because))) => {
                assert!(because.contains("secrets") && because.contains("sandbox."), "{because}");
            }
            // An engine whose BuildKit is bounded serves.
            Ok(built) if auto => assert_eq!(built.builder, Builder::BuildKit),
            other => panic!("{other:?}"),
        }
        // The author's own code is built all the same, where the settings leave the choice.
        let trusted = BuildRequest { trusted: true, ..with_secret(text, "value") };
        assert_eq!(build(&bench.sandbox(), trusted).await.0.is_ok(), auto);
        close(bench).await;
    }
}
