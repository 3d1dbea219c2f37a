//! How much of an image's bytes lie in its layers more than once or in vain, by the formulas of dive
//! (<https://github.com/wagoodman/dive>, `dive/filetree/efficiency.go` and `dive/image/analysis.go`
//! of 0.13), so that the figures are those that its users know.
//!
//! What counts are the leaves of each layer's tree: files, links, empty folders and whiteouts. For
//! each path: the sum of its sizes over all layers, and the least of them. The efficiency is the sum
//! of the least over the sum of all; wasted are all bytes of the paths that are in more than one
//! layer. A whiteout of a folder has the size of all that it removes, one of a file 0. As in dive,
//! opaque folders hide what is below without being counted, and a hard link has no size of its own.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read;

use crate::submissions::saved_image::{Entry, Kind, Look, Mark, Unreadable};

/// The entries of a layer.
#[derive(Default)]
pub(super) struct Listing {
    /// By path, and whether it is a whiteout of it.
    nodes: BTreeMap<(Vec<u8>, bool), Node>,
    /// Bytes of all its files.
    pub(super) bytes: u64,
    /// Number of entries.
    pub(super) entries: u64,
}

#[derive(Clone, Copy)]
struct Node {
    bytes: u64,
    is_folder: bool,
}

impl Look for Listing {
    fn entry(&mut self, entry: &Entry, _: &mut dyn Read) -> Result<(), Unreadable> {
        self.bytes = self.bytes.saturating_add(entry.size);
        self.entries += 1;
        let node = Node { bytes: entry.size, is_folder: entry.kind == Kind::Directory };
        let key = match entry.mark() {
            Some(Mark::Removed(path)) => (path, true),
            Some(Mark::Opaque(_) | Mark::Private) => return Ok(()),
            None => (entry.path.clone(), false),
        };
        if !key.0.is_empty() {
            self.nodes.insert(key, node);
        }
        Ok(())
    }
}

/// What dive says of an image.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Efficiency {
    /// From 0 to 1.
    pub(super) score: f64,
    /// All bytes of paths that are in more than one layer.
    pub(super) wasted_bytes: u64,
    /// The wasted bytes over the bytes of all layers but the first; more than 1 where the first
    /// layer's bytes are wasted too.
    pub(super) user_wasted: f64,
    /// The paths that are wasted, the largest first.
    pub(super) wasted: Vec<Wasted>,
}

/// A path that is in more than one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wasted {
    pub(super) path: Vec<u8>,
    pub(super) bytes: u64,
    /// In how many layers it is.
    pub(super) times: u32,
}

#[derive(Clone, Copy)]
struct Path {
    sum: u64,
    least: u64,
    times: u32,
}

impl Efficiency {
    /// Of layers from the bottom up.
    pub(super) fn of(layers: &[&Listing]) -> Self {
        let mut paths: HashMap<&[u8], Path> = HashMap::new();
        let mut stacked: BTreeMap<&[u8], Node> = BTreeMap::new();
        for layer in layers {
            let folders = folders_with_content(layer);
            for ((path, removed), node) in &layer.nodes {
                if !removed && folders.contains(path.as_slice()) {
                    continue;
                }
                let bytes = if *removed { removed_bytes(&stacked, path) } else { node.bytes };
                let seen = paths.entry(path).or_insert(Path { sum: 0, least: bytes, times: 0 });
                seen.sum = seen.sum.saturating_add(bytes);
                seen.least = seen.least.min(bytes);
                seen.times += 1;
            }
            for (path, removed) in layer.nodes.keys() {
                if *removed {
                    let below: Vec<&[u8]> = tree(&stacked, path).map(|(path, _)| path).collect();
                    for path in below {
                        stacked.remove(path);
                    }
                }
            }
            let kept = layer.nodes.iter().filter(|((_, removed), _)| !removed);
            stacked.extend(kept.map(|((path, _), node)| (path.as_slice(), *node)));
        }
        let total = |of: fn(&Path) -> u64| paths.values().map(of).fold(0, u64::saturating_add);
        let (all, least) = (total(|path| path.sum), total(|path| path.least));
        let mut wasted: Vec<Wasted> = paths
            .iter()
            .filter(|(_, path)| path.times > 1)
            .map(|(path, seen)| Wasted { path: path.to_vec(), bytes: seen.sum, times: seen.times })
            .collect();
        wasted.sort_unstable_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.path.cmp(&b.path)));
        let wasted_bytes = wasted.iter().map(|wasted| wasted.bytes).fold(0, u64::saturating_add);
        let user_bytes = layers.iter().skip(1).map(|layer| layer.bytes).fold(0, u64::saturating_add);
        Self {
            score: ratio(least, all).unwrap_or(1.0),
            wasted_bytes,
            user_wasted: if wasted_bytes == 0 {
                0.0
            } else {
                ratio(wasted_bytes, user_bytes).unwrap_or(f64::INFINITY)
            },
            wasted,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "no image has 2^53 bytes")]
fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The folders that are no leaves, because the layer has something in them.
fn folders_with_content(layer: &Listing) -> HashSet<&[u8]> {
    let mut folders = HashSet::new();
    for (path, _) in layer.nodes.keys() {
        let mut path = path.as_slice();
        while let Some(slash) = path.iter().rposition(|byte| *byte == b'/') {
            path = &path[..slash];
            if !folders.insert(path) {
                break;
            }
        }
    }
    folders
}

/// What a whiteout removes: all of a folder; of a file dive counts nothing.
fn removed_bytes(stacked: &BTreeMap<&[u8], Node>, path: &[u8]) -> u64 {
    match stacked.get(path) {
        Some(node) if node.is_folder => {
            tree(stacked, path).map(|(_, node)| node.bytes).fold(0, u64::saturating_add)
        }
        _ => 0,
    }
}

/// A path and all below it.
fn tree<'s, 'n>(
    stacked: &'s BTreeMap<&'n [u8], Node>,
    path: &[u8],
) -> impl Iterator<Item = (&'n [u8], Node)> + use<'s, 'n> {
    let below = [path, b"/"].concat();
    // The byte after the slash: all paths below lie before it.
    let end = [path, b"0"].concat();
    let itself = stacked.get_key_value(path);
    let inside = stacked.range::<[u8], _>((
        std::ops::Bound::Included(below.as_slice()),
        std::ops::Bound::Excluded(end.as_slice()),
    ));
    itself.into_iter().chain(inside).map(|(path, node)| (*path, *node)).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(entries: &[(&str, u64)]) -> Listing {
        let mut listing = Listing::default();
        for (path, size) in entries {
            let kind = if path.ends_with('/') { Kind::Directory } else { Kind::File };
            let path = path.trim_end_matches('/').as_bytes().to_vec();
            let entry = Entry { path, kind, size: *size, target: Vec::new() };
            listing.entry(&entry, &mut std::io::empty()).expect("no trouble");
        }
        listing
    }

    fn of(layers: &[Listing]) -> Efficiency {
        Efficiency::of(&layers.iter().collect::<Vec<_>>())
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-9, "{a} and {b}");
    }

    #[test]
    fn the_figures_are_those_of_dives_own_test() {
        let found = of(&[
            layer(&[("etc/nginx/nginx.conf", 2000), ("etc/nginx/public", 3000)]),
            layer(&[("etc/nginx/nginx.conf", 5000), ("etc/athing", 10_000)]),
            layer(&[("etc/.wh.nginx", 0)]),
        ]);
        close(found.score, 0.75);
        let wasted = Wasted { path: b"etc/nginx/nginx.conf".to_vec(), bytes: 7000, times: 2 };
        assert_eq!((found.wasted_bytes, found.wasted), (7000, vec![wasted]));
        close(found.user_wasted, 7000.0 / 15_000.0);
    }

    #[test]
    fn a_file_that_is_removed_is_wasted() {
        let found = of(&[layer(&[("a", 10)]), layer(&[("big", 80), ("b", 10)]), layer(&[(".wh.big", 0)])]);
        close(found.score, 0.2);
        assert_eq!(found.wasted_bytes, 80);
        close(found.user_wasted, 80.0 / 90.0);
    }

    #[test]
    fn a_folder_that_is_removed_has_the_size_of_what_was_in_it() {
        let found = of(&[
            layer(&[("var/", 0), ("var/x", 30), ("var/y/", 0), ("var/y/z", 20), ("var0", 7)]),
            layer(&[(".wh.var", 0)]),
            layer(&[("var/", 0), ("var/.wh..wh..opq", 0), ("var/x", 5)]),
        ]);
        // 30 or 5 of x, 20 of z, 7, and 50 of the folder.
        close(found.score, 82.0 / 112.0);
        assert_eq!(found.wasted.len(), 1);
        assert_eq!((found.wasted[0].bytes, found.wasted[0].times), (35, 2));
    }

    #[test]
    fn an_image_without_files_wastes_nothing() {
        for layers in [vec![], vec![layer(&[])], vec![layer(&[("a", 0)]), layer(&[("a", 0)])]] {
            let found = of(&layers);
            close(found.score, 1.0);
            close(found.user_wasted, 0.0);
        }
        assert!(of(&[layer(&[("a", 5)]), layer(&[(".wh.a", 0)])]).user_wasted.is_infinite());
    }
}
