//! `image` and `image_file`: an image is seen without running it.

use bytes::Bytes;
use drydock::sandbox::BuildRequest;
use drydock::submissions::{Content, ContentLimits};
use serde_json::json;

use crate::common::{BUSYBOX, Bench, silent};
use crate::stage::{Stage, proof};

const DOCKERFILE: &str = r#"FROM busybox:1.37
RUN mkdir -p /etc && echo 'app:x:1000:1000::/:/bin/sh' >> /etc/passwd && echo 'app:x:1000:' >> /etc/group && mkdir /data /closed && echo secret > /closed/tool && chmod 755 /closed/tool && chmod 700 /closed && \
    printf '#!/bin/sh\necho hello\n' > /usr/local-tool && chmod 750 /usr/local-tool && chown app:app /usr/local-tool && \
    ln -s /usr/local-tool /tool && ln -s /loop /loop && printf '\377\376' > /binary
ENV GREETING=hello
LABEL org.opencontainers.image.title="Greeter"
EXPOSE 8080 53/udp
VOLUME /data
WORKDIR /srv
USER app
STOPSIGNAL SIGINT
HEALTHCHECK CMD wget -q localhost:8080
ENTRYPOINT ["/tool"]
CMD ["--port", "8080"]
"#;

#[tokio::test]
async fn images_are_seen_without_running_them() {
    let bench = Bench::open().await;
    let sandbox = bench.sandbox();
    let limits = ContentLimits { archive_bytes: 1 << 20, unpacked_bytes: 1 << 20, entries: 10 };
    let files = vec![("Dockerfile".to_owned(), Bytes::from(DOCKERFILE)), ("other".to_owned(), Bytes::new())];
    let request = BuildRequest {
        context: Content::from_files(files, &limits).expect("good").tar(),
        dockerfile: "Dockerfile".into(),
        bases: vec![BUSYBOX.into()],
        ..BuildRequest::default()
    };
    let built = sandbox.build(request, silent()).await.expect("an image");
    let image = sandbox.image(&built.image).await.expect("the image");
    let stage = Stage { image: Some(image), ..Stage::empty(&sandbox) };

    stage.passes("image", json!({
        "env": {"GREETING": "hello", "DEBUG": {"absent": true}}, "labels": {"org.opencontainers.image.title": "Greeter"},
        "exposed_ports": {"has": [8080], "only": [8080, "53/udp"]}, "volumes": ["/data"], "entrypoint": ["/tool"], "cmd": ["--port", "8080"],
        "workdir": "/srv", "user": {"not": "root"}, "stop_signal": "SIGINT", "healthcheck": {"contains": "wget"}, "os": "linux",
    })).await;
    stage
        .fails(
            "image",
            json!({"user": "root", "cmd": {"absent": true}}),
            "cmd is `[\"--port\", \"8080\"]`, user is `app`",
        )
        .await;

    stage.passes("image_file", json!({"path": "/usr/local-tool", "kind": "file", "content": {"contains": "echo hello"}, "mode": "0750", "owner": "app", "group": 1000, "executable_by": "image_user", "not_executable_by": "everyone", "size": {"at_most": "1kB"}})).await;
    stage.passes("image_file", json!({"path": "/tool", "kind": "link", "link_target": "/usr/local-tool", "executable_by": 1000, "not_executable_by": 1001})).await;
    stage.passes("image_file", json!({"path": "/bin/sh", "executable_by": "everyone"})).await;
    stage.passes("image_file", json!({"path": "/nowhere", "absent": true})).await;
    stage.passes("image_file", json!({"path": "/srv", "kind": "directory", "owner": {"not": "app"}})).await;

    let detail = stage
        .fails(
            "image_file",
            json!({"path": "/usr/lib/x/y", "kind": "file"}),
            "there is nothing at `/usr/lib/x/y`",
        )
        .await;
    assert!(!proof(&detail, "Nearest folder that is there").is_empty());
    stage.fails("image_file", json!({"path": "/tool", "absent": true}), "there is a link at `/tool`").await;
    stage
        .fails("image_file", json!({"path": "/srv", "kind": "file"}), "there is a directory at `/srv`")
        .await;
    stage
        .fails(
            "image_file",
            json!({"path": "/tool", "content": "x"}),
            "its content is `#!/bin/sh\\necho hello`",
        )
        .await;
    stage.fails("image_file", json!({"path": "/srv", "content": "x"}), "there is no file to read").await;
    stage
        .fails("image_file", json!({"path": "/binary", "content": "x"}), "its content is not UTF-8 text")
        .await;
    stage
        .fails("image_file", json!({"path": "/usr/local-tool", "mode": {"has": "0001"}}), "its mode is 0750")
        .await;
    stage
        .fails(
            "image_file",
            json!({"path": "/usr/local-tool", "owner": "root", "group": "root"}),
            "its owner is `app` (1000), its group is `app` (1000)",
        )
        .await;
    stage
        .fails(
            "image_file",
            json!({"path": "/usr/local-tool", "owner": {"not": 1000}}),
            "its owner is `app` (1000)",
        )
        .await;
    stage
        .fails(
            "image_file",
            json!({"path": "/usr/local-tool", "link_target": "x"}),
            "it is a file, not a link",
        )
        .await;
    stage
        .fails("image_file", json!({"path": "/tool", "link_target": "x"}), "it links to `/usr/local-tool`")
        .await;
    stage.fails("image_file", json!({"path": "/usr/local-tool", "size": 1}), "bytes").await;
    stage
        .fails(
            "image_file",
            json!({"path": "/closed/tool", "executable_by": "app"}),
            "the folder `/closed` has mode 0700",
        )
        .await;
    stage.passes("image_file", json!({"path": "/closed/tool", "executable_by": "root"})).await;
    stage
        .fails("image_file", json!({"path": "/loop", "executable_by": "root"}), "there is nothing at `/loop`")
        .await;
    stage
        .fails(
            "image_file",
            json!({"path": "/tool", "executable_by": "nobody-like-that"}),
            "the image has no user `nobody-like-that`",
        )
        .await;
    stage.fails("image_file", json!({"path": "/srv", "executable_by": "root"}), "it is a directory").await;
    sandbox.clean().await;
    bench.close().await;
}
