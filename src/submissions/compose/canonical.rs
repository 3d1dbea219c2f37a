//! Short forms turned into long ones, so that what reads the model sees one form of each key.

use super::files::{Files, is_remote};
use super::finding::{Findings, KeyPath, Origin};
use super::item::{Field, Item, Located, Map, Value};
use super::merge::{map_of, names_as_map};
use super::short;

/// Gives every service's keys their long form. What cannot be understood is told and left out.
pub(super) fn canonical(root: &mut Item, findings: &mut Findings) {
    let Some(services) = root.map_mut().and_then(|map| map.get_mut("services")) else { return };
    let Some(services) = services.item.map_mut() else { return };
    for (name, service) in services {
        let path = KeyPath::of(&["services", name]);
        if let Some(service) = service.item.map_mut() {
            canonical_service(service, &path, findings);
        }
    }
}

fn canonical_service(service: &mut Map, path: &KeyPath, findings: &mut Findings) {
    for (key, Field { item, .. }) in service.iter_mut() {
        let path = path.key(key);
        match key.as_str() {
            "build" => build(item, &path, findings),
            "depends_on" => depends_on(item),
            "networks" => replace(item, |item| names_as_map(item, None)),
            "env_file" => {
                listed(item);
                each(item, |entry| {
                    let at = entry.at.clone();
                    if entry.text().is_some() {
                        replace(entry, |text| map_of(&at, [("path", text)]));
                    }
                });
            }
            "dns" | "label_file" => {
                listed(item);
                if let Some(list) = item.list_mut() {
                    list.retain(|entry| entry.text() != Some("") && !entry.is_null());
                }
            }
            "extends" if item.text().is_some() => {
                let at = item.at.clone();
                replace(item, |name| map_of(&at, [("service", name)]));
            }
            "secrets" | "configs" => each(item, file_mount),
            "volumes" => volumes(item, &path, findings),
            "ports" => ports(item, &path, findings),
            _ => {}
        }
    }
}

fn replace(item: &mut Item, with: impl FnOnce(Item) -> Item) {
    let was = std::mem::replace(item, Item::new(item.at.clone(), Value::Null));
    *item = with(was);
}

fn each(item: &mut Item, change: impl FnMut(&mut Item)) {
    item.list_mut().into_iter().flatten().for_each(change);
}

/// A text alone as a list of one.
fn listed(item: &mut Item) {
    if item.text().is_some() {
        replace(item, |text| Item { at: text.at.clone(), value: Value::List(vec![text]) });
    }
}

fn file_mount(entry: &mut Item) {
    if entry.text().is_some() {
        let at = entry.at.clone();
        replace(entry, |name| map_of(&at, [("source", name)]));
    }
}

fn build(item: &mut Item, path: &KeyPath, findings: &mut Findings) {
    if item.text().is_some() {
        let at = item.at.clone();
        replace(item, |folder| map_of(&at, [("context", folder)]));
    }
    let Some(map) = item.map_mut() else { return };
    if let Some(field) = map.get_mut("secrets") {
        each(&mut field.item, file_mount);
    }
    if let Some(Field { item, .. }) = map.get_mut("additional_contexts")
        && let Value::List(list) = &item.value
    {
        let path = path.key("additional_contexts");
        let mut contexts = Map::new();
        for (index, entry) in list.iter().enumerate() {
            match entry.text().and_then(|text| text.split_once('=')) {
                Some((name, context)) => {
                    let field = Field { key: entry.at.clone(), item: Item::text_at(&entry.at, context) };
                    contexts.insert(name.to_owned(), field);
                }
                None => findings.mistake(
                    "wrong-value",
                    &entry.at,
                    &path.index(index),
                    format!("expected `name=context`, found {}", entry.described()),
                ),
            }
        }
        item.value = Value::Map(contexts);
    }
}

fn depends_on(item: &mut Item) {
    replace(item, |item| names_as_map(item, Some("service_started")));
    for field in item.map_mut().into_iter().flatten().map(|(_, field)| field) {
        let at = field.item.at.clone();
        let Some(map) = field.item.map_mut() else { continue };
        for (key, value) in
            [("condition", Value::Text("service_started".into())), ("required", Value::Bool(true))]
        {
            map.entry(key.into())
                .or_insert_with(|| Field { key: at.clone(), item: Item::new(at.clone(), value) });
        }
    }
}

fn volumes(item: &mut Item, path: &KeyPath, findings: &mut Findings) {
    let Some(list) = item.list_mut() else { return };
    for (index, entry) in list.iter_mut().enumerate() {
        let Some(text) = entry.text() else { continue };
        match short::volume(text) {
            Ok(volume) => *entry = long_volume(&volume, &entry.at),
            Err(message) => {
                findings.mistake("wrong-value", &entry.at, &path.index(index), message);
                entry.value = Value::Null;
            }
        }
    }
    list.retain(|entry| !entry.is_null());
}

fn long_volume(volume: &short::Volume, at: &Origin) -> Item {
    let text = |text: &str| Item::text_at(at, text);
    let boolean = |value| Item::new(at.clone(), Value::Bool(value));
    let mut item = map_of(
        at,
        [
            ("type", text(if volume.is_bind { "bind" } else { "volume" })),
            ("target", text(&short::clean_target(&volume.target))),
        ],
    );
    let Some(map) = item.map_mut() else { return item };
    let mut put = |key: &str, item| {
        map.insert(key.to_owned(), Field { key: at.clone(), item });
    };
    if !volume.source.is_empty() {
        put("source", text(&volume.source));
    }
    if volume.read_only {
        put("read_only", boolean(true));
    }
    let mut bind = map_of(at, []);
    if let Some(map) = bind.map_mut() {
        let mut put = |key: &str, item| {
            map.insert(key.to_owned(), Field { key: at.clone(), item });
        };
        if let Some(propagation) = &volume.propagation {
            put("propagation", text(propagation));
        }
        if let Some(selinux) = &volume.selinux {
            put("selinux", text(selinux));
        }
        if volume.is_bind {
            put("create_host_path", boolean(true));
        }
        if !map.is_empty() {
            put_outer(&mut item, "bind", bind, at);
        }
    }
    if volume.no_copy {
        put_outer(&mut item, "volume", map_of(at, [("nocopy", boolean(true))]), at);
    }
    item
}

fn put_outer(item: &mut Item, key: &str, value: Item, at: &Origin) {
    if let Some(map) = item.map_mut() {
        map.insert(key.to_owned(), Field { key: at.clone(), item: value });
    }
}

fn ports(item: &mut Item, path: &KeyPath, findings: &mut Findings) {
    let Value::List(list) = &item.value else { return };
    let mut out = Vec::new();
    for (index, entry) in list.iter().enumerate() {
        let text = match &entry.value {
            Value::Int(number) => number.to_string(),
            Value::Text(text) => text.clone(),
            Value::Map(_) => {
                out.push(entry.clone());
                continue;
            }
            _ => {
                let message = format!("{} is no port", entry.described());
                findings.mistake("wrong-value", &entry.at, &path.index(index), message);
                continue;
            }
        };
        match short::ports(&text) {
            Ok(ports) => out.extend(ports.iter().map(|port| long_port(port, &entry.at))),
            Err(message) => findings.mistake("wrong-value", &entry.at, &path.index(index), message),
        }
    }
    item.value = Value::List(out);
}

fn long_port(port: &short::Port, at: &Origin) -> Item {
    let text = |text: &str| Item::text_at(at, text);
    let mut item = map_of(
        at,
        [
            ("mode", text("ingress")),
            ("target", Item::new(at.clone(), Value::Int(i64::from(port.target)))),
            ("protocol", text(&port.protocol)),
        ],
    );
    if !port.published.is_empty() {
        put_outer(&mut item, "published", text(&port.published), at);
    }
    if !port.host_ip.is_empty() {
        put_outer(&mut item, "host_ip", text(&port.host_ip), at);
    }
    item
}

/// Resolves every path that is not resolved yet against the folder of the files that it was written in,
/// and gives builds without a context that folder.
pub(super) fn resolve_paths(root: &mut Item, folder: &str, default_context: bool, files: &Files<'_>) {
    let Some(root) = root.map_mut() else { return };
    let locate = |item: &mut Item| {
        if let Value::Text(written) = &item.value {
            let inside = files.locate(folder, written);
            item.value = Value::Path(Located { written: written.clone(), inside });
        }
    };
    let context = |item: &mut Item| {
        if item.text().is_some_and(|text| !is_remote(text) && !text.starts_with("service:")) {
            locate(item);
        }
    };
    for section in ["configs", "secrets"] {
        let objects = root.get_mut(section).and_then(|field| field.item.map_mut());
        for field in objects.into_iter().flatten().map(|(_, field)| field) {
            if let Some(file) = field.item.map_mut().and_then(|map| map.get_mut("file")) {
                locate(&mut file.item);
            }
        }
    }
    let services = root.get_mut("services").and_then(|field| field.item.map_mut());
    for service in services.into_iter().flatten().filter_map(|(_, field)| field.item.map_mut()) {
        if let Some(Field { item, .. }) = service.get_mut("build") {
            let at = item.at.clone();
            if let Some(build) = item.map_mut() {
                if default_context && !build.contains_key("context") {
                    build.insert("context".into(), Field { key: at.clone(), item: Item::text_at(&at, ".") });
                }
                if let Some(field) = build.get_mut("context") {
                    context(&mut field.item);
                }
                let more = build.get_mut("additional_contexts").and_then(|field| field.item.map_mut());
                more.into_iter().flatten().for_each(|(_, field)| context(&mut field.item));
            }
        }
        if let Some(field) = service.get_mut("env_file") {
            each(&mut field.item, |entry| {
                if let Some(field) = entry.map_mut().and_then(|map| map.get_mut("path")) {
                    locate(&mut field.item);
                }
            });
        }
        if let Some(field) = service.get_mut("label_file") {
            each(&mut field.item, locate);
        }
        if let Some(map) = service.get_mut("extends").and_then(|field| field.item.map_mut())
            && let Some(field) = map.get_mut("file")
            && field.item.text().is_some_and(|text| !is_remote(text))
        {
            locate(&mut field.item);
        }
        if let Some(field) = service.get_mut("volumes") {
            each(&mut field.item, |entry| {
                if entry.get("type").and_then(Item::text) == Some("bind")
                    && let Some(field) = entry.map_mut().and_then(|map| map.get_mut("source"))
                {
                    locate(&mut field.item);
                }
            });
        }
    }
}
