//! What docker compose prints, in the words of our model: the same thing written in one way.
//!
//! Nothing is made equal here that means something else. Keys that our model does not have are taken away
//! by the caller where a finding of ours tells of them, and only there.

use serde_json::{Map, Value, json};

/// The JSON of `docker compose config`, as the JSON of our model; `root` is the folder of the project.
pub fn normal(mut theirs: Value, root: &str) -> Value {
    single_dollars(&mut theirs);
    let object = theirs.as_object_mut().unwrap();
    object.retain(|key, _| !key.starts_with("x-"));
    for service in section(object, "services") {
        normal_service(service, root);
    }
    for network in section(object, "networks") {
        network.remove("name");
        // Ours are bridges that the engine gives addresses to; anything else is refused.
        if network.get("driver").is_some_and(|driver| driver == "bridge" || driver == "default") {
            network.remove("driver");
        }
        if let Some(mut ipam) = network.remove("ipam") {
            if ipam.get("driver").is_some_and(|driver| driver == "default") {
                ipam.as_object_mut().unwrap().remove("driver");
            }
            if let Some(config) = ipam.as_object_mut().unwrap().remove("config") {
                network.insert("pools".into(), config);
            }
            assert_eq!(ipam, json!({}), "what is left of ipam");
        }
    }
    for volume in section(object, "volumes") {
        volume.remove("name");
        if volume.get("driver").is_some_and(|driver| driver == "local") {
            volume.remove("driver");
        }
    }
    for name in ["configs", "secrets"] {
        for file in section(object, name) {
            file.remove("name");
            file.remove("labels");
            inside(file, "file", root);
            // An empty content is left out.
            if name == "configs" && !file.contains_key("file") {
                file.entry("content").or_insert(json!(""));
            }
        }
    }
    theirs
}

/// What is printed can be read again, so each `$` in it is written `$$`.
fn single_dollars(value: &mut Value) {
    match value {
        Value::String(text) => *text = text.replace("$$", "$"),
        Value::Array(list) => list.iter_mut().for_each(single_dollars),
        Value::Object(map) => map.values_mut().for_each(single_dollars),
        _ => {}
    }
}

fn section<'o>(
    object: &'o mut Map<String, Value>,
    name: &str,
) -> impl Iterator<Item = &'o mut Map<String, Value>> + use<'o> {
    object
        .get_mut(name)
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten()
        .filter_map(|(_, value)| value.as_object_mut())
}

/// A path of the machine as one of the submission.
fn inside(object: &mut Map<String, Value>, key: &str, root: &str) {
    let Some(Value::String(path)) = object.get_mut(key) else { return };
    if let Some(rest) = path.strip_prefix(root) {
        let rest = rest.trim_start_matches('/');
        *path = if rest.is_empty() { ".".into() } else { rest.into() };
    }
}

/// A size that is written as a text.
fn number(object: &mut Map<String, Value>, key: &str) {
    if let Some(Value::String(text)) = object.get(key) {
        let number: u64 = text.parse().unwrap();
        object.insert(key.into(), json!(number));
    }
}

fn normal_service(service: &mut Map<String, Value>, root: &str) {
    service.retain(|key, _| !key.starts_with("x-"));
    let mut limits = Map::new();
    let mut replicas = service.remove("scale");
    if let Some(Value::Object(mut deploy)) = service.remove("deploy") {
        replicas = replicas.or(deploy.remove("replicas"));
        if let Some(bounds) = deploy.get_mut("resources").and_then(|resources| resources.get_mut("limits")) {
            let bounds = bounds.as_object_mut().unwrap();
            number(bounds, "memory");
            limits.extend(std::mem::take(bounds));
        }
        if let Some(policy) = deploy.get("restart_policy") {
            let most = policy.get("max_attempts").and_then(Value::as_u64).unwrap_or_default();
            let word = match policy.get("condition").and_then(Value::as_str) {
                Some("none") => Some("no".to_owned()),
                Some("on-failure") if most > 0 => Some(format!("on-failure:{most}")),
                Some("on-failure") => Some("on-failure".to_owned()),
                None | Some("any") => Some("always".to_owned()),
                Some(_) => None,
            };
            service.extend(word.map(|word| ("restart".to_owned(), json!(word))));
        }
        let left: Vec<&String> = deploy.keys().collect();
        let known = ["resources", "restart_policy", "placement", "mode"];
        assert!(left.iter().all(|key| known.contains(&key.as_str())), "what is left of deploy: {left:?}");
    }
    service.insert("replicas".into(), replicas.unwrap_or(json!(1)));
    number(service, "mem_limit");
    for (old, new) in [("mem_limit", "memory"), ("cpus", "cpus"), ("pids_limit", "pids")] {
        if let Some(value) = service.remove(old) {
            limits.entry(new).or_insert(value);
        }
    }
    if let Some(cpus) = limits.remove("cpus").and_then(|cpus| cpus.as_f64()) {
        limits.insert("cpu_millis".into(), json!((cpus * 1000.0).round() as u64));
    }
    limits.retain(|_, value| value.as_i64() != Some(-1));
    if !limits.is_empty() {
        service.insert("limits".into(), Value::Object(limits));
    }
    number(service, "shm_size");
    // The containers have no swap, and a finding says so.
    service.remove("memswap_limit");
    for volume in service.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten() {
        normal_volume(volume.as_object_mut().unwrap(), root);
    }
    for port in service.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        for key in ["mode", "name", "app_protocol"] {
            port.as_object_mut().unwrap().remove(key);
        }
    }
    // Every container has its own anyway.
    for key in ["ipc", "cgroup"] {
        if service.get(key).is_some_and(|value| value == "private") {
            service.remove(key);
        }
    }
    ulimits(service);
    hosts(service);
    tmpfs(service);
    for (key, folder) in [("secrets", "/run/secrets/"), ("configs", "/")] {
        file_mounts(service, key, folder);
    }
    for attachment in service.get_mut("networks").and_then(Value::as_object_mut).into_iter().flatten() {
        if attachment.1.is_null() {
            *attachment.1 = json!({});
        }
    }
    if let Some(links) = service.get_mut("links").and_then(Value::as_array_mut) {
        for link in links {
            let text = link.as_str().unwrap().to_owned();
            let (name, alias) = text.split_once(':').unwrap_or((&text, &text));
            *link = json!({"service": name, "alias": alias});
        }
    }
    for key in ["cap_add", "cap_drop"] {
        if let Some(Value::Array(names)) = service.get_mut(key) {
            for name in names.iter_mut() {
                let upper = name.as_str().unwrap().to_uppercase();
                *name = json!(upper.strip_prefix("CAP_").unwrap_or(&upper));
            }
            let mut seen = Vec::new();
            names.retain(|name| {
                !seen.contains(name) && {
                    seen.push(name.clone());
                    true
                }
            });
        }
    }
    if let Some(Value::Object(check)) = service.get_mut("healthcheck")
        && check.get("test").and_then(|test| test.get(0)).is_some_and(|word| word == "NONE")
    {
        check.remove("test");
        check.insert("disable".into(), json!(true));
    }
    if let Some(Value::Object(build)) = service.get_mut("build") {
        normal_build(build, root);
    }
}

fn normal_build(build: &mut Map<String, Value>, root: &str) {
    inside(build, "context", root);
    // An empty name is the usual one.
    if !build.contains_key("dockerfile_inline") {
        build.entry("dockerfile").or_insert(json!("Dockerfile"));
    }
    number(build, "shm_size");
    hosts(build);
    file_mounts(build, "secrets", "");
    if build.get("additional_contexts").is_some_and(|contexts| *contexts == json!({})) {
        build.remove("additional_contexts");
    }
    if let Some(contexts) = build.get_mut("additional_contexts").and_then(Value::as_object_mut) {
        let names: Vec<String> = contexts.keys().cloned().collect();
        for name in names {
            inside(contexts, &name, root);
        }
    }
}

fn normal_volume(volume: &mut Map<String, Value>, root: &str) {
    if volume.get("type").is_some_and(|kind| kind == "bind") {
        inside(volume, "source", root);
    }
    // Where nothing is at the source, a finding says what becomes of it.
    volume.remove("bind");
    for key in ["volume", "tmpfs"] {
        if let Some(Value::Object(mut options)) = volume.remove(key) {
            number(&mut options, "size");
            volume.extend(options);
        }
    }
}

fn file_mounts(service: &mut Map<String, Value>, key: &str, folder: &str) {
    for mount in service.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten() {
        let mount = mount.as_object_mut().unwrap();
        let target = mount.get("target").or(mount.get("source")).and_then(Value::as_str).unwrap();
        let target = if target.starts_with('/') { target.to_owned() } else { format!("{folder}{target}") };
        mount.insert("target".into(), json!(target));
    }
}

fn ulimits(service: &mut Map<String, Value>) {
    if service.get("ulimits").is_some_and(|limits| *limits == json!({})) {
        service.remove("ulimits");
    }
    for (_, limit) in service.get_mut("ulimits").and_then(Value::as_object_mut).into_iter().flatten() {
        if let Some(both) = limit.as_i64() {
            *limit = json!({"soft": both, "hard": both});
        }
    }
}

fn hosts(service: &mut Map<String, Value>) {
    let Some(Value::Array(lines)) = service.remove("extra_hosts") else { return };
    let mut hosts: Map<String, Value> = Map::new();
    for line in lines {
        let (name, address) = line.as_str().unwrap().split_once('=').unwrap();
        let list = hosts.entry(name).or_insert(json!([]));
        list.as_array_mut().unwrap().push(json!(address));
    }
    service.insert("extra_hosts".into(), Value::Object(hosts));
}

fn tmpfs(service: &mut Map<String, Value>) {
    let Some(list) = service.remove("tmpfs") else { return };
    let mut out = Map::new();
    for entry in list.as_array().unwrap() {
        let (target, options) =
            entry.as_str().unwrap().split_once(':').unwrap_or((entry.as_str().unwrap(), ""));
        let mut tmpfs = Map::new();
        for option in options.split(',') {
            match option.split_once('=') {
                // The cases have their sizes in MiB.
                Some(("size", size)) => {
                    let megabytes: u64 = size.trim_end_matches('m').parse().unwrap();
                    tmpfs.insert("size".into(), json!(megabytes << 20));
                }
                Some(("mode", mode)) => {
                    tmpfs.insert("mode".into(), json!(u32::from_str_radix(mode, 8).unwrap()));
                }
                _ => {}
            }
        }
        out.insert(target.to_owned(), Value::Object(tmpfs));
    }
    service.insert("tmpfs".into(), Value::Object(out));
}

/// Takes away what is at `path` (`services.web.ports[0].target`; from the first index on, the whole list).
pub fn take_away(value: &mut Value, path: &str) {
    let path = path.split('[').next().unwrap_or_default();
    // A name may have dots in it, so the longest key that is there is taken each time.
    let mut at = value;
    let mut rest = path;
    loop {
        let Some(map) = at.as_object_mut() else { return };
        let Some(key) = map
            .keys()
            .filter(|key| {
                rest == key.as_str() || rest.strip_prefix(key.as_str()).is_some_and(|r| r.starts_with('.'))
            })
            .max_by_key(|key| key.len())
            .cloned()
        else {
            return;
        };
        if rest == key {
            map.remove(&key);
            return;
        }
        rest = &rest[key.len() + 1..];
        at = map.get_mut(&key).unwrap();
    }
}
