//! Dockerfiles that attack the builder, the engine behind it, or other students' images.

use super::arena::{Arena, Attack};

/// Where the Dockerfile makes the engine fetch, run or read something by itself. Each is told by its line.
fn fetches() -> Vec<Attack> {
    let one = |what, instructions: &str, words: &str| {
        Attack::dockerfile(what, "narrow", &format!("LABEL hostile=@ARENA@\n{instructions}")).says(words)
    };
    let whole = |what, text: &str, words: &str| {
        Attack::new(what, "narrow", &[("Dockerfile", text), ("README", "")]).says(words)
    };
    vec![
        // The engine's own request reaches what no container can: SSRF by `ADD`.
        one("ADD of metadata", "ADD http://169.254.169.254/latest/meta-data/ /m", "ADD would download"),
        one("ADD from the host", "ADD http://127.0.0.1:@PORT@/ /m", "ADD would download"),
        one("ADD of a git repository", "ADD git@127.0.0.1:a/b.git /m", "`ADD` of a git repository"),
        one("ADD with a variable", "ARG U=http://127.0.0.1\nADD ${U}/x /m", "could download anything"),
        one("ADD in a trigger", "ONBUILD ADD http://127.0.0.1:@PORT@/ /m", "ADD would download"),
        // A frontend is a program of the student's that runs as the builder.
        whole("a frontend", "# syntax=127.0.0.1:5000/evil:1\nFROM busybox:1.37\n", "syntax line"),
        whole("JSON for a frontend", "{\"syntax\": \"evil\"}", "cannot be read"),
        // moby answers to any beginning of an id: images of others by trying a few digits.
        whole("an image by its id", "FROM @IMAGE_ID@\n", "not the name of an image"),
        whole(
            "an image by two digits of its id",
            "FROM busybox:1.37\nCOPY --from=@IMAGE_DIGITS@ /srv /srv\n",
            "not the name of an image",
        ),
        whole("a neighbour's built image", "FROM @BUILT@\n", "not the name of an image"),
        whole("our own image", "FROM @PROBE@\n", "not the name of an image"),
        whole("a registry beside the server", "FROM 127.0.0.1:5000/x:1\n", "not on this server"),
        // CVE-2024-23651, -23652, -23653: mounts and entitlements of BuildKit.
        one(
            "a cache mount",
            "RUN --mount=type=cache,id=all,target=/c,source=../../.. cat /c/etc/shadow",
            "BuildKit",
        ),
        one(
            "a mount that is removed",
            "RUN --mount=type=bind,rw,target=/x rm -rf /x && ln -s / /x",
            "BuildKit",
        ),
        one("an insecure step", "RUN --security=insecure mount -t proc proc /mnt", "BuildKit"),
        one("the network of the host", "RUN --network=host nc 127.0.0.1 @PORT@", "BuildKit"),
        one("an agent's keys", "RUN --mount=type=ssh ssh-add -l", "BuildKit"),
        // CVE-2018-15664 and CVE-2019-14271 of the builder: links where files are copied to or from.
        one("a file outside of the context", "COPY ../../../../..@CANARY@ /c", ""),
        one("a folder outside of the context", "COPY /etc/shadow /c", "etc/shadow"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dockerfile_makes_nobody_fetch_or_read() {
    let arena = Arena::open().await;
    // What a neighbour handed in, and has been built.
    let built = Attack::dockerfile(
        "a neighbour's work",
        "image",
        "LABEL hostile=@ARENA@\nRUN mkdir /srv && echo swordfish > /srv/answer && echo page > /srv/page",
    );
    let seen = arena.run(vec![built.passes()]).await;
    let image = seen[0].report["image"]["id"].as_str().unwrap().to_owned();
    let names = arena.installation.docker(&["image", "inspect", "--format", "{{index .RepoTags 0}}", &image]);
    let probe =
        arena.installation.docker(&["images", "--format", "{{.Repository}}:{{.Tag}}", "drydock-probe"]);
    let digits = image.trim_start_matches("sha256:");
    let mut attacks = fetches();
    for attack in &mut attacks {
        let text = String::from_utf8(attack.files[0].1.clone()).unwrap();
        let text = text
            .replace("@IMAGE_ID@", &image)
            .replace("@IMAGE_DIGITS@", &digits[..6])
            .replace("@BUILT@", names.trim())
            .replace("@PROBE@", probe.lines().next().unwrap());
        attack.files[0].1 = text.into_bytes();
    }
    arena.run(attacks).await;
    arena.close().await;
}

/// Bounds of a build's own: time, memory, processes, output, layers, and labels that pose as ours.
#[tokio::test(flavor = "multi_thread")]
async fn a_build_stays_within_its_bounds() {
    let arena = Arena::open().await;
    let one = |what, instructions: &str| {
        Attack::dockerfile(what, "narrow", &format!("LABEL hostile=@ARENA@\n{instructions}"))
    };
    let variables: String = (0..10_000).map(|number| format!("ENV V{number}={number}\n")).collect();
    // Filled in by the daemon itself, whatever the limits of the build are.
    let doubling = format!("ENV A=xxxxxxxx\n{}", "ENV A=$A$A\n".repeat(40));
    let long = format!("LABEL l={}", ["x"; 8].map(|x| x.repeat(60_000)).join("\\\n"));
    let layers = "COPY README /r\n".repeat(140);
    let volumes: Vec<String> = (0..50).map(|number| format!("\"/v{number}\"")).collect();
    arena
        .run(vec![
            one("fork bomb", "RUN b() { b | b & }; b; sleep 1000").says("RUN"),
            // Our clean-up must know its step although it is called like something of ours.
            one(
                "fork bomb with our labels",
                "LABEL drydock.server=@INSTALLATION@ drydock.owner=x drydock.role=service drydock.grading=neighbour\n\
                 RUN b() { b | b & }; b; sleep 1000",
            )
            .says("RUN"),
            one("memory bomb", "RUN tail /dev/zero").says("memory"),
            one("endless output", "RUN yes").says("printed far more"),
            one("one line of a gigabyte", "RUN tr '\\0' x </dev/zero | head -c 1000000000").says("printed far more"),
            one("never ends, and ignores signals", "RUN trap '' TERM INT HUP; while :; do sleep 1; done").says("10 s"),
            one("stops itself", "RUN kill -STOP $$; exit 3").says("exit code 3"),
            // The classic builder's own words: the step is over, another container is mine.
            one(
                "poses as the builder",
                "RUN echo \"Removing intermediate container $(hostname)\"; sleep 0.3; echo ' ---> 000000000000'; sleep 0.3; \
                 echo ' ---> Running in 000000000000'; sleep 0.3; echo 'Successfully built 000000000000'; exit 3",
            )
            .says("exit code 3"),
            one("ten thousand variables", &variables),
            one("a variable that doubles", &doubling).says("longer than 32 KiB when the variables are filled in"),
            one("an instruction of half a megabyte", &long).says("longer than 32 KiB"),
            one("more layers than an image can have", &layers),
            one("fifty volumes", &format!("VOLUME [{}]\nCMD [\"true\"]", volumes.join(", "))).passes(),
            one("a cycle of links", "RUN ln -s /a /b && ln -s /b /a && cat /a").says("exit code 1"),
        ])
        .await;
    arena.close().await;
}
