//! Compose files that reach for the machine, for other stacks, or for the time of whoever reads them.

use super::arena::{Arena, Attack};

/// A service with one more key.
fn service(what: &'static str, key: &str) -> Attack {
    Attack::compose(
        what,
        &format!("services:\n  web:\n    image: busybox:1.37\n    command: sleep 60\n    {key}\nvolumes: {{v: {{}}}}\n"),
    )
    .says("compose.yaml:")
}

fn top(what: &'static str, rest: &str) -> Attack {
    Attack::compose(
        what,
        &format!("services: {{web: {{image: 'busybox:1.37', command: sleep 60, networks: [n], volumes: ['v:/v']}}}}\n{rest}\n"),
    )
    .says("compose.yaml:")
}

/// The list of the sandbox's design, key by key: each is named with its line, and nothing is started.
#[tokio::test(flavor = "multi_thread")]
async fn what_reaches_for_the_machine_is_refused() {
    let arena = Arena::open().await;
    let keys = [
        ("privileged", "privileged: true"),
        ("privileged by a variable", "privileged: ${P:-true}"),
        ("pid of the host", "pid: host"),
        ("pid of a container", "pid: 'container:x'"),
        ("ipc of the host", "ipc: host"),
        ("network of the host", "network_mode: host"),
        ("network of a container", "network_mode: 'container:drydock'"),
        ("the default network", "network_mode: bridge"),
        ("uts of the host", "uts: host"),
        ("users of the host", "userns_mode: host"),
        ("cgroups of the host", "cgroup: host"),
        ("cgroup_parent", "cgroup_parent: /"),
        ("devices", "devices: ['/dev/sda:/dev/sda']"),
        ("device rules", "device_cgroup_rules: ['a *:* rwm']"),
        ("gpus", "gpus: all"),
        ("all capabilities", "cap_add: [ALL]"),
        ("one capability", "cap_add: [SYS_ADMIN]"),
        ("a capability in other letters", "cap_add: [cap_sys_admin]"),
        ("no seccomp", "security_opt: ['seccomp:unconfined']"),
        ("no apparmor", "security_opt: ['apparmor=unconfined']"),
        ("no labels", "security_opt: ['label:disable']"),
        ("systempaths", "security_opt: ['systempaths=unconfined']"),
        ("sysctls", "sysctls: {net.ipv4.ip_forward: 1}"),
        ("oom", "oom_kill_disable: true"),
        ("oom score", "oom_score_adj: -1000"),
        ("runtime", "runtime: runc"),
        ("volumes of others", "volumes_from: ['container:x']"),
        ("external links", "external_links: [x]"),
        ("the engine's socket", "volumes: ['/var/run/docker.sock:/s']"),
        ("the engine's socket by a key", "use_api_socket: true"),
        ("the root", "volumes: ['/:/host']"),
        ("the root in long form", "volumes: [{type: bind, source: /, target: /host}]"),
        ("a home", "volumes: ['~/.ssh:/s']"),
        ("a folder above", "volumes: ['../..:/s']"),
        ("a folder above by a variable", "volumes: ['${X:-..}/..:/s']"),
        ("a way through a folder", "volumes: ['./a/../../b:/s']"),
        ("a named pipe", "volumes: [{type: npipe, source: x, target: /s}]"),
        ("a cluster's volume", "volumes: [{type: cluster, source: x, target: /s}]"),
        ("over the kernel", "volumes: ['v:/proc']"),
        ("a file of variables above", "env_file: ../../../../proc/self/environ"),
        ("an absolute file of variables", "env_file: /proc/self/environ"),
        ("labels from a file above", "label_file: /etc/passwd"),
        ("a build above", "build: ../.."),
        ("a build of git", "build: 'https://127.0.0.1/x.git'"),
        ("a build by ssh", "build: {context: ., ssh: [default]}"),
        ("a privileged build", "build: {context: ., privileged: true}"),
        ("a build with entitlements", "build: {context: ., entitlements: [security.insecure]}"),
        ("a build on the host", "build: {context: ., network: host}"),
        ("a build with a way out", "build: {context: ., additional_contexts: {x: /etc}}"),
        ("a cache elsewhere", "build: {context: ., cache_to: ['type=local,dest=/tmp/x']}"),
        ("a Dockerfile above", "build: {context: ., dockerfile: ../../x}"),
        ("extends above", "extends: {file: ../x.yaml, service: web}"),
        ("extends itself", "extends: web"),
        (
            "logs over the network",
            "logging: {driver: syslog, options: {syslog-address: 'udp://127.0.0.1:514'}}",
        ),
        ("a provider", "provider: {type: evil}"),
        ("an account", "credential_spec: {file: x}"),
        ("a privileged hook", "post_start: [{command: id, privileged: true}]"),
        ("devices by deploy", "deploy: {resources: {reservations: {devices: [{capabilities: [gpu]}]}}}"),
        ("a key that nobody knows", "privileges: true"),
    ];
    let mut attacks: Vec<Attack> = keys.into_iter().map(|(what, key)| service(what, key)).collect();
    attacks.extend([
        top(
            "a bind by the back door",
            "networks: {n: {}}\nvolumes: {v: {driver_opts: {type: none, o: bind, device: /}}}",
        ),
        top(
            "a file system over the network",
            "networks: {n: {}}\nvolumes: {v: {driver_opts: {type: nfs, o: 'addr=127.0.0.1', device: ':/'}}}",
        ),
        top("a driver of volumes", "networks: {n: {}}\nvolumes: {v: {driver: evil}}"),
        top(
            "a volume of another stack",
            "networks: {n: {}}\nvolumes: {v: {external: true, name: drydock-x}}",
        ),
        top(
            "a network of another stack",
            "networks: {n: {external: true, name: drydock-x}}\nvolumes: {v: {}}",
        ),
        top("the network of the machine", "networks: {n: {external: true, name: host}}\nvolumes: {v: {}}"),
        top("the default bridge", "networks: {n: {external: true, name: bridge}}\nvolumes: {v: {}}"),
        top(
            "a driver of networks",
            "networks: {n: {driver: macvlan, driver_opts: {parent: eth0}}}\nvolumes: {v: {}}",
        ),
        top("a name of the host's network", "networks: {n: {driver: host}}\nvolumes: {v: {}}"),
        top(
            "a secret of the server",
            "networks: {n: {}}\nvolumes: {v: {}}\nsecrets: {s: {environment: PATH}}\ninclude: []",
        ),
        top(
            "a secret of the machine",
            "networks: {n: {}}\nvolumes: {v: {}}\nsecrets: {s: {file: /etc/shadow}}",
        ),
        top(
            "a config of the machine",
            "networks: {n: {}}\nvolumes: {v: {}}\nconfigs: {s: {file: ../../etc/shadow}}",
        ),
        top(
            "includes from elsewhere",
            "networks: {n: {}}\nvolumes: {v: {}}\ninclude: ['https://127.0.0.1/x.yaml']",
        ),
        top("includes above", "networks: {n: {}}\nvolumes: {v: {}}\ninclude: [../x.yaml]"),
        top("includes itself", "networks: {n: {}}\nvolumes: {v: {}}\ninclude: [compose.yaml]"),
    ]);
    arena.run(attacks).await;
    arena.close().await;
}

/// Files that are small and mean much. From: the YAML alias bomb ("billion laughs", CVE-2022-21698-like for parsers, go-yaml's
/// CVE-2022-3064), docker/compose issues on recursive `extends` and `include`.
#[tokio::test(flavor = "multi_thread")]
async fn a_small_file_is_not_a_large_one() {
    let arena = Arena::open().await;
    let mut laughs = String::from("x-a: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for level in 1..12 {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        laughs.push_str(&format!("x-{level}: &a{level} [{below}]\n"));
    }
    let bomb = format!("{laughs}services: {{web: {{image: 'busybox:1.37', command: *a11}}}}\n");
    let many: String = (0..1000).map(|number| format!("  s{number}: {{image: 'busybox:1.37'}}\n")).collect();
    let deep = format!(
        "services: {{web: {{image: x, environment: {}{} }}}}\n",
        "[".repeat(20_000),
        "]".repeat(20_000)
    );
    let merges: String = (1..3000).map(|n| format!("x-{n}: &m{n} {{<<: *m{}, k{n}: v}}\n", n - 1)).collect();
    let merges = format!("x-0: &m0 {{image: x}}\n{merges}services: {{web: *m2999}}\n");
    let variables =
        format!("services: {{web: {{image: '{}x{}'}}}}\n", "${A:-".repeat(5000), "}".repeat(5000));
    let mut dotenv = String::from("A0=lolololololololololol\n");
    for level in 1..30 {
        let below = format!("${{A{}}}", level - 1).repeat(10);
        dotenv.push_str(&format!("A{level}={below}\n"));
    }
    let link = "services: {web: {image: 'busybox:1.37', env_file: way}}\n";
    arena
        .run(vec![
            Attack::compose("a bomb of aliases", &bomb),
            Attack::compose("a thousand services", &format!("services:\n{many}")).says("1000 services"),
            Attack::compose("many containers", "services: {web: {image: 'busybox:1.37', scale: 100000}}\n"),
            Attack::compose("a deep tree", &deep),
            Attack::compose("a chain of merges", &merges),
            Attack::compose("a chain of variables", &variables),
            Attack::compose("variables that grow", "services: {web: {image: 'busybox:1.37', command: 'echo ${A29}'}}\n").file(".env", dotenv),
            Attack::compose("a link to the server's variables", link),
            Attack::compose("not YAML", "\0\u{feff}%TAG ! tag:evil\n--- !!python/object:os.system 'id'\n"),
            Attack::compose("two documents", "services: {}\n---\nservices: {web: {image: x, privileged: true}}\n"),
            Attack::compose("keys twice", "services: {web: {image: 'busybox:1.37', privileged: false, privileged: true}}\n"),
            // Names that are the neighbour's, the pod's, or nobody's.
            Attack::compose(
                "names of others",
                "services:\n  localhost: {image: 'busybox:1.37', container_name: drydock-probe, command: sleep 60, hostname: app, networks: {default: {aliases: [app, neighbour, host.docker.internal]}}}\n",
            )
            .passes(),
            // A folder of the submission is a copy in a volume, which nothing propagates to.
            Attack::compose(
                "propagation",
                "services: {web: {image: 'busybox:1.37', command: sleep 60, volumes: [{type: bind, source: ., target: /s, bind: {propagation: shared}}]}}\n",
            )
            .passes(),
            Attack::compose(
                "images of others",
                "services: {web: {image: 'sha256:0000', command: sleep 60}}\n",
            ),
        ])
        .await;
    arena.close().await;
}
