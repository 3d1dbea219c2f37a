//! What the class is handed out: exercises of every kind, in the order of their workshop.

use std::path::Path;

use drydock::exercises::Exercise;

const PORTS: &str = "\
title: Ports and environment
summary: A small web server that reads its greeting from the environment.
minutes: 20
objectives: [EXPOSE and `-p`, environment variables]
submit: [upload]
hint_cost: 1
build: {dockerfile: Dockerfile}
stack:
  services:
    app: {env: {GREETING: hello-7f3a}, ready: {port: 8080, within: 10s}}
checks:
  - {id: exposed, title: EXPOSE documents port 8080, points: 1, image: {exposed_ports: [8080]}, hint: EXPOSE.}
  - id: greets
    title: GET / answers with the greeting
    points: 2
    http: {port: 8080, path: /, status: 200, body: {contains: hello-7f3a}}
    hints: [\"Inside a container, `localhost` is the container itself.\", \"Listen on `0.0.0.0`.\"]
    explain: https://docs.docker.com/reference/dockerfile/#expose
  - {id: user, title: Runs as an ordinary user, points: 1, process: {uid: 1000}, hint: USER.}
  - {id: stops, title: Stops on SIGTERM within 3 s, points: 1, stops: {within: 3s}, hint: exec form.}
";

const QUESTIONS: &str = "\
title: What is a container?
summary: Containers and virtual machines, isolation, the kernel.
minutes: 10
objectives: [isolation, \"kernel and user space\"]
submit: [answers]
checks:
  - id: shared
    title: What is shared
    points: 1
    hint: Compare `uname -r` inside and outside.
    choice:
      question: What do all containers of a host share?
      options:
        - {id: kernel, text: The **kernel**, right: true}
        - {id: disk, text: The root file system}
        - {id: pid, text: The `PID` namespace}
  - id: several
    title: What isolates
    points: 2
    hint: lsns
    choice:
      question: Which of these isolate a container?
      several: true
      options:
        - {id: ns, text: Namespaces, right: true}
        - {id: cg, text: Control groups, right: true}
        - {id: hv, text: A hypervisor}
  - id: listing
    title: The command
    points: 1
    hint: Two words.
    short: {question: Which command lists running containers?, accepts: [docker ps]}
  - id: why
    title: In your own words
    points: 3
    hint: Think of two teams and one machine.
    essay:
      question: When would you choose a virtual machine instead?
      minimum_words: 20
      rubric: [{criterion: Names the shared kernel as a risk, points: 2}, {criterion: Gives an example, points: 1}]
";

const README: &str = "# Ports and environment

Your image starts a small **web server**. It answers `GET /` with the greeting that it finds in the
environment variable `GREETING`.

## What to do

1. Write a `Dockerfile` that copies `app.py` into a Python image.
2. Say with `EXPOSE` on which port it listens.
3. Try it:

   ```sh
   docker build -t my-image .
   docker run --rm -e GREETING=hello -p 8080:8080 my-image
   curl http://localhost:8080/
   ```

> The variable is read when the container starts, not when the image is built.

| What | Where |
| --- | --- |
| port | 8080 |
| greeting | `GREETING` |

<script>alert('a statement')</script>

Read on: [docker run](https://docs.docker.com/reference/cli/docker/container/run/).
";

pub const SECTIONS: [(&str, &[&str]); 3] = [
    ("First steps", &["what-is-a-container"]),
    ("Images", &["first-container", "dockerfile-basics", "ports-and-env", "entrypoint-and-cmd"]),
    (
        "In practice",
        &[
            "layers-and-cache",
            "multi-stage",
            "named-volume",
            "compose-first",
            "compose-health",
            "reverse-proxy",
            "chat-environment",
        ],
    ),
];

pub fn write_exercise(root: &Path, slug: &str) -> Exercise {
    let folder = root.join(slug);
    std::fs::create_dir_all(folder.join("starter")).unwrap();
    let simple = format!(
        "title: {}\nsummary: One more step towards containers in practice.\nminutes: 15\nobjectives: [practice]\n\
         submit: [upload]\nchecks:\n  - {{id: there, title: The Dockerfile is there, points: 2, hint: Write one., file: \
         {{path: Dockerfile, content: {{contains: FROM}}}}}}\n",
        slug.replace('-', " ")
    );
    let yaml = match slug {
        "ports-and-env" => PORTS,
        "what-is-a-container" => QUESTIONS,
        _ => simple.as_str(),
    };
    std::fs::write(folder.join("exercise.yaml"), yaml).unwrap();
    std::fs::write(folder.join("README.md"), README).unwrap();
    std::fs::write(folder.join("starter/app.py"), "import os\nprint(os.environ['GREETING'])\n").unwrap();
    std::fs::create_dir_all(folder.join("solution")).unwrap();
    if slug == "what-is-a-container" {
        let answers =
            r#"{"shared": ["kernel"], "several": ["ns", "cg"], "listing": "docker ps", "why": "Because."}"#;
        std::fs::write(folder.join("solution/answers.json"), answers).unwrap();
    } else {
        std::fs::write(folder.join("solution/Dockerfile"), "FROM python:3.13-slim\n").unwrap();
    }
    Exercise::read(&folder).unwrap_or_else(|mistakes| panic!("{slug}: {mistakes:?}"))
}
