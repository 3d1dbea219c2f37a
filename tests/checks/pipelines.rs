//! `pipeline`: definitions of GitHub Actions, GitLab CI and Cloud Build.

use drydock::checks::{Finding, Surroundings};
use drydock::submissions::pipeline::{Pipeline, Step, System};
use serde_json::{Value, json};

use crate::{content, failed, kind, look, passed};

const GITHUB: &str = include_str!("pipelines/github.yml");
const GITLAB: &str = include_str!("pipelines/gitlab.yml");
const CLOUD_BUILD: &str = include_str!("pipelines/cloudbuild.yaml");

const ALL: [Step; 3] = [Step::Build, Step::Push, Step::Deploy];

fn all() -> Value {
    json!({"steps": ["build", "push", "deploy"], "same_image": true})
}

async fn of(path: &str, text: &str, asks: &Value) -> Finding {
    look(&kind("pipeline", asks), &content(&[(path, text.as_bytes()), ("README", b"x")]), &[])
        .await
        .expect("told")
}

fn read(text: &str) -> Pipeline {
    Pipeline::read(text.as_bytes()).unwrap_or_else(|why| panic!("{why}\n{text}"))
}

/// Steps and lines, in the order of the file.
fn told(text: &str) -> Vec<(&'static str, usize)> {
    read(text).actions.iter().map(|action| (action.step.name(), action.line)).collect()
}

/// Names of images per action.
fn images(text: &str) -> Vec<Vec<String>> {
    read(text).actions.iter().map(|action| action.images.iter().map(ToString::to_string).collect()).collect()
}

fn github(steps: &str) -> String {
    format!("on: push\njobs:\n  all:\n    runs-on: x\n    steps:\n{steps}")
}

fn run(script: &str) -> String {
    let lines: Vec<String> = script.lines().map(|line| format!("          {line}\n")).collect();
    github(&format!("      - run: |\n{}", lines.concat()))
}

#[tokio::test]
async fn whole_definitions_of_each_system() {
    for (path, text, system) in [
        (".github/workflows/ship.yml", GITHUB, System::GitHubActions),
        (".gitlab-ci.yml", GITLAB, System::GitLab),
        ("cloudbuild.yaml", CLOUD_BUILD, System::CloudBuild),
    ] {
        assert_eq!(read(text).system, system);
        let finding = of(path, text, &all()).await;
        assert!(passed(&finding).observed.starts_with("`build` in line "), "{finding:?}");
        let tested = json!({"tests_before": "push"});
        passed(&of(path, text, &tested).await);
        let on = |branch: &str| json!({"steps": ["deploy"], "on": {"branch": branch}});
        let finding = of(path, text, &on("main")).await;
        match system {
            System::CloudBuild => assert!(failed(&finding).observed.contains("does not say what starts it")),
            _ => {
                passed(&finding);
                let finding = of(path, text, &on("feature")).await;
                assert!(
                    failed(&finding).observed.starts_with("a push of `feature` does not start"),
                    "{finding:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn the_proof_is_what_is_done_with_lines() {
    let finding = of("cloudbuild.yaml", CLOUD_BUILD, &all()).await;
    let detail = passed(&finding);
    assert_eq!(
        detail.expected,
        "steps that do `build`, `push` and `deploy`, in this order, with the same image"
    );
    assert_eq!(detail.observed, "`build` in line 10, `push` in line 16, `deploy` in line 20");
    assert_eq!(detail.evidence[0].title, "cloudbuild.yaml (Cloud Build)");
    assert!(
        detail.evidence[0].text.contains("line  16  push    docker push eu.gcr.io/"),
        "{:?}",
        detail.evidence
    );
    assert!(detail.evidence[1].text.contains("line  20  deploy  eu.gcr.io/${PROJECT_ID}/shop:${COMMIT_SHA}"));
}

#[tokio::test]
async fn what_is_missing_or_out_of_order_fails() {
    let deploy_first = GITHUB.replace("needs: [image]", "needs: [test]");
    for (path, text, asks, observed) in [
        ("README.md", "x", all(), "there is no definition of GitHub Actions, GitLab CI or Cloud Build"),
        (
            ".gitlab-ci.yml",
            "a: {script: docker build -t a .}",
            all(),
            "nothing pushes an image and nothing deploys anything",
        ),
        (".github/workflows/a.yml", &deploy_first, all(), "there is no order like that"),
        (
            ".github/workflows/a.yml",
            &run("docker push a\ndocker build -t a .\ngcloud run deploy --image a"),
            all(),
            "there is no order like that: `push` in line 7, `build` in line 8, `deploy` in line 9",
        ),
        (
            ".github/workflows/a.yml",
            &run("docker build -t a .\ndocker push b\ngcloud run deploy"),
            all(),
            "`build` is about `a:latest`; `push` is about `b:latest`; `deploy` is about no image that is named",
        ),
        (
            ".github/workflows/a.yml",
            &run("docker build -t a .\npytest\ndocker push a"),
            json!({"tests_before": "build"}),
            "`build` in line 7 does not wait for `test` in line 8",
        ),
        (
            ".github/workflows/a.yml",
            &run("docker build -t a ."),
            json!({"tests_before": "build"}),
            "`build` in line 7, and nothing runs tests",
        ),
        ("cloudbuild.yaml", "steps: [", all(), "cannot be read: line"),
        ("cloudbuild.yaml", "a: 1", all(), "no definition of GitHub Actions, GitLab CI or Cloud Build"),
        // A comment, an echo and a name are no steps.
        (
            ".github/workflows/a.yml",
            &run("# docker build -t a .\necho docker push a\nname='gcloud run deploy'"),
            json!({"steps": ["build"]}),
            "nothing builds an image",
        ),
        // Pushed when all steps are done, which is after what is deployed in one of them.
        (
            "cloudbuild.yaml",
            "steps:\n- {name: docker, args: [build, -t, a, .]}\n- {name: gcloud, args: [run, deploy, --image, a]}\nimages: [a]\n",
            all(),
            "there is no order like that: `build` in line 2, `deploy` in line 3, `push` in line 4",
        ),
    ] {
        let finding = of(path, text, &asks).await;
        assert!(failed(&finding).observed.contains(observed), "{text}\n{finding:#?}");
    }
    let finding = of("x.yml", "x", &json!({"path": "ci.yml", "steps": ["build"]})).await;
    assert_eq!(failed(&finding).observed, "there is no file `ci.yml`");
}

#[tokio::test]
async fn of_several_files_one_is_enough() {
    let files = [
        (".github/workflows/a.yml", run("pytest")),
        (".github/workflows/b.yaml", GITHUB.to_owned()),
        (".github/workflows/c.yml", "[".to_owned()),
        // Alone, the folder would be taken off.
        ("README", String::new()),
    ];
    let files: Vec<(&str, &[u8])> = files.iter().map(|(path, text)| (*path, text.as_bytes())).collect();
    passed(&look(&kind("pipeline", &all()), &content(&files), &[]).await.unwrap());
    failed(&look(&kind("pipeline", &all()), &content(&[files[0], files[2], files[3]]), &[]).await.unwrap());
}

#[test]
fn commands_are_known_by_their_words() {
    for (command, steps) in [
        ("docker build -t a .", "build"),
        ("docker image build .", "build"),
        ("docker buildx build --push -t a .", "build push"),
        ("docker buildx build -o type=image,name=a,push=true .", "build push"),
        ("docker --context x buildx bake --push", "build push"),
        ("docker build --check .", ""),
        ("docker build --target tests .", "test"),
        ("docker push a", "push"),
        ("docker image push --all-tags a", "push"),
        ("docker compose -f x.yml build", "build"),
        ("docker compose build --push", "build push"),
        ("docker-compose push", "push"),
        ("docker run --rm a pytest -q", "test"),
        ("docker run --rm a", ""),
        ("docker stack deploy -c x.yml shop", "deploy"),
        ("docker -H ssh://a@b compose up -d", "deploy"),
        ("docker compose up -d", ""),
        ("ssh -p 22 a@b 'docker pull a && docker run -d a'", "deploy"),
        ("DOCKER_HOST=ssh://a docker compose up -d", "deploy"),
        ("/kaniko/executor --context . --destination a", "build push"),
        ("/kaniko/executor --no-push --destination a", "build"),
        ("buildah bud -t a . && buildah push a", "build push"),
        ("podman build -t a .; podman push a", "build push"),
        ("crane push a.tar a", "push"),
        ("skopeo copy docker-archive:a.tar docker://b", "push"),
        ("gcloud run deploy shop --image a", "deploy"),
        ("gcloud --quiet run deploy shop --source .", "build push deploy"),
        ("gcloud beta run services replace x.yaml", "deploy"),
        ("gcloud builds submit --tag a", "build push"),
        ("gcloud auth configure-docker", ""),
        ("kubectl apply -f k8s/", "deploy"),
        ("kubectl -n shop set image deployment/a a=b", "deploy"),
        ("kubectl rollout restart deployment/a", "deploy"),
        ("kubectl rollout status deployment/a", ""),
        ("kubectl apply --dry-run=client -f x", ""),
        ("kubectl get pods", ""),
        ("helm upgrade --install shop ./chart --set image.tag=1", "deploy"),
        ("helm lint", ""),
        ("sudo docker push a", "push"),
        ("env A=b docker push a", "push"),
        ("bash -ec 'docker push a'", "push"),
        ("if true; then docker push a; fi", "push"),
        ("for t in 1 2; do docker push a:$t; done", "push"),
        ("docker push a || exit 1", "push"),
        ("echo $(docker push a)", "push"),
        ("python -m pytest", "test"),
        ("python3 -m unittest discover", "test"),
        ("npm run test:unit", "test"),
        ("npm ci", ""),
        ("npx jest", "test"),
        ("go test ./...", "test"),
        ("go build", ""),
        ("cargo test --all", "test"),
        ("./gradlew check", "test"),
        ("./run-tests.sh", "test"),
        ("make test", "test"),
        ("make", ""),
        ("fly deploy --image a", "deploy"),
        ("az containerapp update -n a --image b", "deploy"),
        ("aws ecs update-service --service a", "deploy"),
    ] {
        let found: Vec<&str> = told(&run(command)).iter().map(|(step, _)| *step).collect();
        assert_eq!(found.join(" "), steps, "{command}");
    }
}

#[test]
fn lines_are_those_of_the_file() {
    assert_eq!(
        told(&run("docker build \\\n  -t a .\n\n# why\ndocker push a")),
        [("build", 7), ("push", 11)],
        "a block"
    );
    assert_eq!(
        told(&github("      - run: docker push a\n      - run: 'docker push b'\n")),
        [("push", 6), ("push", 7)]
    );
    let gitlab = "a:\n  script:\n    - docker build -t a .\n    - |\n      x=1\n      docker push a\n";
    assert_eq!(told(gitlab), [("build", 3), ("push", 6)]);
}

#[test]
fn variables_are_put_in() {
    let text = "on: push
env:
  REGISTRY: ghcr.io
  IMAGE: ${{ env.REGISTRY }}/team/app
jobs:
  all:
    env: {TAG: '1'}
    steps:
      - run: |
          VERSION=\"v$TAG\"
          docker build -t $IMAGE:${VERSION} -t ${{ env.IMAGE }}:${{ github.sha }} .
      - run: echo \"TAG=2\" >> \"$GITHUB_ENV\"
      - run: docker push \"${IMAGE}:$TAG\"
      - id: name
        run: echo \"full=$IMAGE:3\" >> $GITHUB_OUTPUT
      - run: docker push ${{ steps.name.outputs.full }}
        env: {TAG: '9'}
      - run: docker push $IMAGE:$GITHUB_SHA && docker push ${OTHER:-$IMAGE}
      - run: docker push ${OTHER:-app}:$(git rev-parse HEAD)
";
    let seen = images(text);
    assert_eq!(seen[0], ["ghcr.io/team/app:v1", "ghcr.io/team/app:${GITHUB_SHA}"]);
    assert_eq!(seen[1], ["ghcr.io/team/app:2"]);
    assert_eq!(seen[2], ["ghcr.io/team/app:3"]);
    assert_eq!(seen[3], ["ghcr.io/team/app:${GITHUB_SHA}"]);
    assert_eq!(seen[5], ["app:$(git rev-parse HEAD)"]);
}

#[test]
fn names_of_one_image_belong_together() {
    let chain = |text: &str| read(text).chain(&ALL, true).is_some();
    assert!(chain(&run(
        "docker build -t a .\ndocker tag a r.io/a:1\ndocker push r.io/a:1\nkubectl set image d/a a=r.io/a:1"
    )));
    assert!(!chain(&run("docker build -t a .\ndocker push r.io/a:1\nkubectl set image d/a a=r.io/a:1")));
    assert!(chain(&run(
        "docker build -t r.io/a:1 -t r.io/a:2 .\ndocker push -a r.io/a\nhelm upgrade a . --set image.repository=r.io/a,image.tag=2"
    )));
    assert!(!chain(&run("docker build -t a:1 .\ndocker push a:1\ngcloud run deploy a --image a:2")));
    assert!(!chain(&run(
        "docker build -t a:1 .\ndocker push a:1\ngcloud run deploy a --image a@sha256:0123"
    )));
    let by_digest = github(
        "      - {id: meta, uses: docker/metadata-action@v5, with: {images: r.io/a}}
      - {id: b, uses: docker/build-push-action@v6, with: {push: true, tags: '${{ steps.meta.outputs.tags }}'}}
      - {uses: google-github-actions/deploy-cloudrun@v2, with: {image: 'r.io/a@${{ steps.b.outputs.digest }}'}}
",
    );
    assert!(chain(&by_digest), "{:?}", images(&by_digest));
    assert!(!chain(&by_digest.replace("push: true", "push: false")));
    assert!(!chain(&by_digest.replace("image: 'r.io/a@", "image: 'r.io/b@")));
}

#[test]
fn what_waits_for_what() {
    let jobs = |needs: &str| {
        format!(
            "on: push\njobs:\n  d: {{{needs}, steps: [run: kubectl apply -f x]}}\n  p: {{needs: b, steps: [run: docker push a]}}\n  \
             b: {{steps: [run: docker build -t a .]}}\n"
        )
    };
    let chain = |text: &str| read(text).chain(&ALL, false).is_some();
    assert!(chain(&jobs("needs: [p]")));
    assert!(!chain(&jobs("needs: b")));
    assert!(!chain(&jobs("x: 1")), "side by side");
    assert!(!chain(&jobs("needs: [p], if: false")), "switched off");
    assert!(chain(&jobs("needs: [p], if: '${{ github.ref == 1 }}'")));
    // Jobs that wait for each other in a circle end nothing.
    assert!(!chain(
        "on: push\njobs:\n  a: {needs: b, steps: [run: docker push a]}\n  b: {needs: a, steps: [run: x]}\n"
    ));

    let gitlab = |extra: &str| {
        format!(
            "stages: [one, two, three]\n.base: {{script: [docker push a]}}\nd: {{stage: three, script: kubectl apply -f x{extra}}}\n\
             p: {{stage: two, extends: .base}}\nb: {{stage: one, script: [[docker build -t a .]]}}\n"
        )
    };
    assert!(chain(&gitlab("")));
    assert!(!chain(&gitlab(", needs: [b]")));
    // `needs` takes the place of the stages: the push still waits for its own.
    assert!(chain(&gitlab(", needs: [{job: p}]")));
    assert!(!chain(&gitlab("").replace("stage: two", "stage: three")));

    let cloud = |wait: &str| {
        format!(
            "steps:\n- {{id: b, name: docker, args: [build, -t, a, .]}}\n- {{id: p, name: gcr.io/cloud-builders/docker, args: [push, a]}}\n\
             - {{name: gcr.io/cloud-builders/kubectl, args: [apply, -f, x]{wait}}}\n"
        )
    };
    assert!(chain(&cloud("")));
    assert!(!chain(&cloud(", waitFor: ['-']")));
    assert!(!chain(&cloud(", waitFor: [b]")));
    assert!(chain(&cloud(", waitFor: [p]")));
}

#[test]
fn branches_that_start_it() {
    let github = |on: &str, branch: &str| {
        let text = format!("on: {on}\njobs: {{a: {{steps: [run: docker push a]}}}}\n");
        read(&text).starts_on(0, branch)
    };
    for (on, branch, starts) in [
        ("push", "x", true),
        ("[pull_request, push]", "x", true),
        ("pull_request", "main", false),
        ("workflow_dispatch", "main", false),
        ("{push: {branches: [main]}}", "main", true),
        ("{push: {branches: [main]}}", "mainly", false),
        ("{push: {branches: ['release/**', main]}}", "release/1/2", true),
        ("{push: {branches: ['release/*']}}", "release/1/2", false),
        ("{push: {branches: ['**', '!wip']}}", "wip", false),
        ("{push: {branches-ignore: [wip]}}", "main", true),
        ("{push: {branches-ignore: [wip]}}", "wip", false),
        ("{push: {tags: ['v*']}}", "main", false),
        ("{push: }", "main", true),
    ] {
        assert_eq!(github(on, branch), Some(starts), "{on} {branch}");
    }
    let gitlab = |rest: &str, branch: &str| {
        read(&format!("a: {{script: docker push a, {rest}}}\n")).starts_on(0, branch)
    };
    for (rest, branch, starts) in [
        ("x: 1", "main", true),
        ("only: [main]", "main", true),
        ("only: [main]", "other", false),
        ("only: {refs: [/^rel/]}", "release", true),
        ("only: [tags]", "main", false),
        ("except: [main]", "main", false),
        ("rules: [{if: '$CI_COMMIT_BRANCH == \"main\"'}]", "main", true),
        ("rules: [{if: '$CI_COMMIT_BRANCH == \"main\"'}]", "other", false),
        ("rules: [{if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH}]", "main", true),
        ("rules: [{if: $CI_COMMIT_TAG}]", "main", false),
        ("rules: [{if: '$CI_COMMIT_BRANCH =~ /^ma/ && $CI_PIPELINE_SOURCE == \"push\"'}]", "main", true),
        ("rules: [{if: '$CI_COMMIT_BRANCH == \"main\"', when: never}, {when: always}]", "main", false),
        ("when: never", "main", false),
    ] {
        assert_eq!(gitlab(rest, branch), Some(starts), "{rest} {branch}");
    }
}

#[test]
fn odd_files_are_read_or_refused() {
    let many = format!("a: {{script: [{}]}}", "docker push a,".repeat(2_000));
    assert!(Pipeline::read(many.as_bytes()).unwrap_err().to_string().contains("more are not read"));
    let units: String = (0..400).map(|job| format!("j{job}: {{script: x}}\n")).collect();
    assert!(Pipeline::read(units.as_bytes()).is_err());
    let circle = ".a: {extends: .b}\n.b: {extends: .a}\nc: {extends: [.a, .b], script: docker push a}\n";
    assert_eq!(told(circle), [("push", 3)]);
    let growing: String = (0..200).map(|n| format!("  V{}: $V{n}$V{n}$V{n}\n", n + 1)).collect();
    let growing = format!("variables:\n  V0: aaaaaaaa\n{growing}a: {{script: docker push $V200}}\n");
    assert_eq!(told(&growing), [("push", 203)]);
    for text in [
        "",
        "\0",
        "[]",
        "jobs: {a: 1}",
        "steps: [1, {args: {}}]",
        "a: {script: {b: c}}",
        "jobs: {a: {steps: [[]]}}",
    ] {
        let _ = Pipeline::read(text.as_bytes());
    }
}

#[test]
fn definitions_that_make_no_sense() {
    let around = Surroundings { takes_files: true, ..Surroundings::default() };
    for (fields, said) in [
        (json!({}), "asks nothing"),
        (json!({"steps": ["build", "build"]}), "names `build` twice"),
        (json!({"steps": ["test", "build"], "same_image": true}), "needs at least two"),
        (json!({"tests_before": "test"}), "tests do not come before tests"),
        (json!({"steps": ["build"], "path": "../x"}), "has to lie inside"),
        (json!({"steps": ["build"], "on": {"branch": ""}}), "`on.branch` is empty"),
    ] {
        let mistakes = kind("pipeline", &fields).mistakes(&around);
        assert!(mistakes.len() == 1 && mistakes[0].contains(said), "{fields}: {mistakes:?}");
    }
}
