//! Images that lie about themselves, and files in them that harm whoever reads them.

use super::arena::{Arena, Attack};

fn image(what: &'static str, instructions: &str) -> Attack {
    Attack::dockerfile(what, "image", &format!("LABEL hostile=@ARENA@\n{instructions}"))
}

/// From: CVE-2019-14271 and CVE-2018-15664 (`docker cp` and links), FIFOs and devices that block who opens them,
/// terminal escapes in names, labels that are bombs or pose as ours.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_read_without_harm() {
    let arena = Arena::open().await;
    let answer = "RUN mkdir -p /srv && echo page > /srv/page";
    let label = "x".repeat(30_000);
    let labels: String = (0..4).map(|number| format!("LABEL l{number}={label}\n")).collect();
    arena
        .run(vec![
            image("a link to the host's file", &format!("{answer} && ln -s @CANARY@ /srv/answer")),
            image("a link with a way up", &format!("{answer} && ln -s ../../../../../../../..@CANARY@ /srv/answer")),
            image("a link to the kernel", &format!("{answer} && ln -s /proc/1/environ /srv/answer")),
            image("a link to itself", &format!("{answer} && ln -s answer /srv/answer")),
            image("a folder that is a link", "RUN ln -s / /srv"),
            image("a pipe", &format!("{answer} && mkfifo /srv/answer")),
            image("a folder instead of a file", &format!("{answer} && mkdir /srv/answer")),
            image("a chain of links", &format!("{answer} && cd /srv && ln -s /etc/passwd 0 && i=0 && while [ $i -lt 60 ]; do ln -s $i $((i+1)); i=$((i+1)); done && ln -s 60 answer")),
            image("a large sparse file", &format!("{answer} && truncate -s 60M /srv/answer")),
            image("names that are no text", "RUN mkdir -p /srv && cd /srv && echo page > page && touch \"$(printf '\\033[2J\\377\\n<script>')\" && echo no > answer"),
            image("programs that would be loaded", &format!("{answer} && echo 'hosts: evil' > /etc/nsswitch.conf && mkdir -p /lib/x86_64-linux-gnu && touch /lib/x86_64-linux-gnu/libnss_evil.so.2 && echo no > /srv/answer")),
            // 120 kB of labels, more than a page or a request's head takes.
            image("a bomb of labels", &format!("{labels}{answer} && echo swordfish > /srv/answer")).passes(),
            // Whoever knew the installation's id would have the sweep take his own step for something left behind, and
            // nobody else's.
            image(
                "labels like ours",
                &format!(
                    "LABEL drydock.server=@INSTALLATION@ drydock.owner=../../../../../../tmp/x drydock.role=pod \
                     drydock.grading=neighbour\n{answer} && sleep 12 && echo swordfish > /srv/answer"
                ),
            )
            .says("exit code 137"),
            image(
                "labels of somebody dead",
                &format!(
                    "LABEL drydock.server=@INSTALLATION@ drydock.owner=00000000000000000000000000000000\n\
                     {answer} && echo swordfish > /srv/answer"
                ),
            )
            .passes(),
            image("no shell, no file, nothing", "FROM scratch\nLABEL hostile=@ARENA@\nCOPY Dockerfile /srv/page"),
            image("a user that is none", &format!("{answer}\nUSER 4294967296:4294967296")),
            image("a command that is none", &format!("{answer} && echo swordfish > /srv/answer\nENTRYPOINT [\"\"]\nCMD []")).passes(),
            image("a signal that is none", &format!("{answer}\nSTOPSIGNAL 12345")),
        ])
        .await;
    arena.close().await;
}

/// The configuration of an image that runs, and what is in it, against whoever starts and watches it.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_runs_without_harm() {
    let arena = Arena::open().await;
    let run = |what, instructions: &str| {
        Attack::dockerfile(what, "narrow", &format!("LABEL hostile=@ARENA@\n{instructions}"))
    };
    arena
        .run(vec![
            run("a program that is a folder", "ENTRYPOINT [\"/etc\"]"),
            run("a program that is not there", "ENTRYPOINT [\"/nowhere\"]"),
            run("a program of nothing", "RUN : > /x && chmod +x /x\nENTRYPOINT [\"/x\"]"),
            run("a program that is its own interpreter", "RUN printf '#!/x\\n' > /x && chmod +x /x\nENTRYPOINT [\"/x\"]"),
            run("removes all it is made of", "CMD [\"sh\", \"-c\", \"rm -rf / 2>/dev/null; exit 3\"]"),
            run("rewrites its own program", "CMD [\"sh\", \"-c\", \"cp /bin/busybox /tmp/b; /tmp/b sh -c 'echo x > /bin/busybox; echo x > /bin/sh'; exit 3\"]"),
            run("a user by name that is none", "USER nobody-at-all\nCMD [\"true\"]"),
            run("a passwd that never ends", "RUN rm /etc/passwd && ln -s /dev/zero /etc/passwd\nUSER evil\nCMD [\"true\"]"),
            // The engine opens it by itself, with the container locked: see `sandbox/accounts_files.rs`.
            run("a passwd that blocks", "RUN rm /etc/passwd && mkfifo /etc/passwd\nCMD [\"true\"]")
                .says("/etc/passwd in the image is not a regular file"),
            run("a group that blocks", "RUN rm -f /etc/group && mkfifo /etc/pipe && ln -s pipe /etc/group\nCMD [\"true\"]")
                .says("/etc/group in the image is not a regular file"),
            run("libraries for whoever enters", "ENV LD_PRELOAD=/evil.so GODEBUG=x DOCKER_HOST=tcp://127.0.0.1 PATH=/evil\nCMD [\"/bin/sh\", \"-c\", \"exit 3\"]"),
            run("a hundred volumes at the wrong places", "VOLUME [\"/etc\", \"/bin\", \"/lib\", \"/dev\", \"/run\", \"/usr\"]\nCMD [\"sh\", \"-c\", \"exit 3\"]"),
            run("an entrypoint that speaks for the probe", "CMD [\"sh\", \"-c\", \"for i in 0 1 2 3 4 5 6 7 8 9; do echo '{\\\"id\\\":'$i',\\\"reply\\\":\\\"pong\\\"}'; done; exit 3\"]").says("3"),
        ])
        .await;
    arena.close().await;
}
