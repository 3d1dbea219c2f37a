//! How a later file, or an extending service, is laid over what was there (Compose specification,
//! 13-merge): maps key by key, lists one after the other, and a few keys in their own way.

use super::finding::{Findings, KeyPath, Origin};
use super::item::{Field, Item, Map, Value};
use super::shape::MAX_VALUES;

/// The most subnets of a network that are laid over others; each is compared with each.
const MAX_POOLS: usize = 64;

/// Lays `over` over `base`. What does not fit together is told, and stays as it was.
pub(super) fn merge(base: Item, over: Item, path: &KeyPath, findings: &mut Findings) -> Item {
    match path.parts().as_slice() {
        ["services", _, "command" | "entrypoint"]
        | ["services", _, "healthcheck", "test"]
        | ["services", _, "ulimits", _] => over,
        ["services", _, "build"] => merge_maps(context_as_map(base), context_as_map(over), path, findings),
        ["services", _, "build", "args" | "additional_contexts" | "labels"]
        | ["services", _, "deploy", "labels"]
        | ["networks" | "volumes", _, "labels"]
        | [
            "services",
            _,
            "annotations" | "dns" | "dns_opt" | "dns_search" | "env_file" | "label_file" | "environment"
            | "labels" | "sysctls" | "tmpfs",
        ] => appended(base, over),
        ["services", _, "extra_hosts"] | ["services", _, "build", "extra_hosts"] => hosts(base, over),
        ["services", _, "depends_on"] => merge_maps(
            names_as_map(base, Some("service_started")),
            names_as_map(over, Some("service_started")),
            path,
            findings,
        ),
        ["services", _, "networks"] => {
            merge_maps(names_as_map(base, None), names_as_map(over, None), path, findings)
        }
        ["services", _, "logging"] => {
            let driver = |item: &Item| item.get("driver").and_then(Item::text).map(str::to_owned);
            match (driver(&base), driver(&over)) {
                (Some(one), Some(two)) if one != two => over,
                _ => merge_maps(base, over, path, findings),
            }
        }
        ["networks", _, "ipam", "config"] => pools(base, over, path, findings),
        _ => plain(base, over, path, findings),
    }
}

fn plain(mut base: Item, mut over: Item, path: &KeyPath, findings: &mut Findings) -> Item {
    match (&mut base.value, &mut over.value) {
        (_, Value::Null) => base,
        (Value::Map(_), Value::Map(_)) => merge_maps(base, over, path, findings),
        (Value::List(list), Value::List(more)) => {
            list.append(more);
            base
        }
        (Value::Map(_) | Value::List(_), _) => {
            let message =
                format!("{} cannot be laid over {} from {}", over.described(), base.described(), base.at);
            findings.mistake("cannot-merge", &over.at, path, message);
            base
        }
        _ => over,
    }
}

fn merge_maps(mut base: Item, over: Item, path: &KeyPath, findings: &mut Findings) -> Item {
    let (Value::Map(map), at) = (over.value, over.at) else { return base };
    let Some(into) = base.map_mut() else { return Item::new(at, Value::Map(map)) };
    for (key, field) in map {
        match into.get_mut(&key) {
            Some(there) if !key.starts_with("x-") => {
                let was = std::mem::replace(&mut there.item, Item::new(at.clone(), Value::Null));
                there.key = field.key;
                there.item = merge(was, field.item, &path.key(&key), findings);
            }
            _ => {
                into.insert(key, field);
            }
        }
    }
    base
}

/// `build: folder` as `build: {context: folder}`.
fn context_as_map(item: Item) -> Item {
    if item.text().is_none() {
        return item;
    }
    let at = item.at.clone();
    map_of(&at, [("context", item)])
}

/// A list of names as a map, of nothing or of the condition that a name alone stands for.
pub(super) fn names_as_map(item: Item, condition: Option<&str>) -> Item {
    let Value::List(list) = item.value else { return item };
    let names = list.into_iter().enumerate().map(|(index, item)| {
        // What is no name keeps its value, so that its shape is told.
        let Some(name) = item.text().map(str::to_owned) else {
            return (format!("[{index}]"), Field { key: item.at.clone(), item });
        };
        let value = match condition {
            None => Item::new(item.at.clone(), Value::Null),
            Some(condition) => map_of(
                &item.at,
                [
                    ("condition", Item::text_at(&item.at, condition)),
                    ("required", Item::new(item.at.clone(), Value::Bool(true))),
                ],
            ),
        };
        (name, Field { key: item.at, item: value })
    });
    Item { value: Value::Map(names.collect()), at: item.at }
}

/// A map made by us, all of whose keys stand at one place.
pub(super) fn map_of<const N: usize>(at: &Origin, entries: [(&str, Item); N]) -> Item {
    let entries = entries.into_iter().map(|(key, item)| (key.to_owned(), Field { key: at.clone(), item }));
    Item::new(at.clone(), Value::Map(entries.collect()))
}

/// Both as lists, one after the other.
fn appended(base: Item, over: Item) -> Item {
    let at = base.at.clone();
    let mut list = as_list(base);
    list.extend(as_list(over));
    Item::new(at, Value::List(list))
}

fn hosts(base: Item, over: Item) -> Item {
    let at = base.at.clone();
    let mut list = as_list(base);
    for item in as_list(over) {
        // So many are refused by their shape; nothing is compared with all of them.
        if list.len() > MAX_VALUES || !list.iter().any(|there| there.same(&item)) {
            list.push(item);
        }
    }
    Item::new(at, Value::List(list))
}

/// `{A: 1}` as `[A=1]`, in the order of the texts.
fn as_list(item: Item) -> Vec<Item> {
    match item.value {
        Value::List(list) => list,
        Value::Text(_) | Value::Path(_) => vec![item],
        Value::Map(map) => {
            let mut list = Vec::new();
            for (key, Field { key: at, item }) in map {
                match &item.value {
                    Value::Null => list.push(Item::text_at(&at, key)),
                    // It has no place in such a list, which its shape tells.
                    Value::Map(_) => list.push(item),
                    Value::List(values) => list.extend(values.iter().map(|value| {
                        let text = format!("{key}={}", value.printed().unwrap_or_default());
                        Item::text_at(&value.at, text)
                    })),
                    _ => {
                        let text = format!("{key}={}", item.printed().unwrap_or_default());
                        list.push(Item::text_at(&item.at, text));
                    }
                }
            }
            list.sort_by(|one, two| one.text().cmp(&two.text()));
            list
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => Vec::new(),
    }
}

/// Address pools of a network: those of the same subnet are one.
fn pools(base: Item, over: Item, path: &KeyPath, findings: &mut Findings) -> Item {
    let at = base.at.clone();
    let (Value::List(pools), Value::List(more)) = (base.value, over.value) else {
        return Item::new(at, Value::List(Vec::new()));
    };
    if pools.len().max(more.len()) > MAX_POOLS {
        let message = format!("a network has at most {MAX_POOLS} subnets here");
        findings.refuse("too-many", &at, path, message);
        return Item::new(at, Value::List(pools));
    }
    let subnet = |item: &Item| item.get("subnet").and_then(Item::text).map(str::to_owned);
    let mut out: Vec<Item> = Vec::new();
    for pool in &pools {
        for other in &more {
            if subnet(other) != subnet(pool) && !out.iter().any(|there| subnet(there) == subnet(other)) {
                out.push(other.clone());
                continue;
            }
            let merged = merge_maps(pool.clone(), other.clone(), path, findings);
            match out.iter_mut().find(|there| subnet(there) == subnet(&merged)) {
                Some(there) => *there = merged,
                None => out.push(merged),
            }
        }
    }
    Item::new(at, Value::List(out))
}

/// Leaves of each list whose values have a key of their own only the last one of a key, in the place of
/// the first: variables by name, ports by what they publish, mounts by where they are.
pub(super) fn enforce_unique(root: &mut Item, findings: &mut Findings) {
    unique_at(root, &KeyPath::default(), findings);
}

fn unique_at(item: &mut Item, path: &KeyPath, findings: &mut Findings) {
    match &mut item.value {
        Value::Map(map) => {
            for (key, field) in map {
                unique_at(&mut field.item, &path.key(key), findings);
            }
        }
        Value::List(list) => {
            let Some(index) = index_of(&path.parts()) else { return };
            let mut seen: indexmap::IndexMap<String, Item> = indexmap::IndexMap::new();
            for (at, entry) in std::mem::take(list).into_iter().enumerate() {
                if let Some(key) = index(&entry) {
                    seen.insert(key, entry);
                    continue;
                }
                // Only a mount can lack its key; other wrong values are told by their shape.
                if entry.map().is_some() && path.parts().last() == Some(&"volumes") {
                    let message = "the mount has no `target`, the path in the container where it is to be";
                    findings.mistake("missing-key", &entry.at, &path.index(at), message);
                }
                seen.insert(format!("\0{at}"), entry);
            }
            *list = seen.into_values().collect();
        }
        _ => {}
    }
}

type Index = fn(&Item) -> Option<String>;

fn index_of(path: &[&str]) -> Option<Index> {
    Some(match path {
        ["networks", _, "labels"]
        | ["services", _, "build", "args" | "additional_contexts" | "tags" | "labels"]
        | ["services", _, "deploy", "labels"]
        | ["services", _, "networks", _, "aliases" | "link_local_ips"]
        | [
            "services",
            _,
            "annotations" | "cap_add" | "cap_drop" | "dns" | "dns_opt" | "dns_search" | "environment"
            | "labels" | "links" | "profiles" | "sysctls" | "tmpfs",
        ] => |item| item.text().map(|text| text.split_once('=').map_or(text, |(key, _)| key).to_owned()),
        ["services", _, "expose"] => Item::printed,
        ["services", _, "configs"] => |item| Some(mount_key(item, "")),
        ["services", _, "secrets"] => |item| Some(mount_key(item, "/run/secrets")),
        ["services", _, "env_file"] => |item| item.get("path").unwrap_or(item).text().map(str::to_owned),
        ["services", _, "volumes"] => |item| match item.text() {
            Some(text) => super::short::volume(text).ok().map(|volume| volume.target),
            None => item.get("target").and_then(Item::text).map(str::to_owned),
        },
        ["services", _, "ports"] => port_key,
        _ => return None,
    })
}

fn mount_key(item: &Item, folder: &str) -> String {
    if let Some(name) = item.text() {
        return format!("{folder}/{name}");
    }
    let text = |key: &str| item.get(key).and_then(Item::text);
    text("target").map_or_else(|| format!("{folder}/{}", text("source").unwrap_or_default()), str::to_owned)
}

fn port_key(item: &Item) -> Option<String> {
    let Some(map) = item.map() else { return item.printed() };
    let part = |key: &str, default: &str| {
        map.get(key).and_then(|field| field.item.printed()).unwrap_or_else(|| default.to_owned())
    };
    Some(format!(
        "{}:{}:{}/{}",
        part("host_ip", "0.0.0.0"),
        part("published", ""),
        part("target", ""),
        part("protocol", "tcp")
    ))
}

/// The map, made where the key is missing or holds nothing.
pub(super) fn entry_map<'m>(map: &'m mut Map, key: &str, at: &Origin) -> Option<&'m mut Map> {
    let field = map
        .entry(key.to_owned())
        .or_insert_with(|| Field { key: at.clone(), item: Item::new(at.clone(), Value::Map(Map::new())) });
    if field.item.is_null() {
        field.item.value = Value::Map(Map::new());
    }
    field.item.map_mut()
}
