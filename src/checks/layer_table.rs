//! An image's layers as evidence: number, size, and the instruction that made each.

use std::fmt::Write as _;

use super::matcher;
use crate::submissions::saved_image::Config;
use crate::units::ByteSize;

/// A layer.
pub(super) struct Row {
    /// Of its files.
    pub(super) bytes: u64,
    /// Files, folders, links and marks.
    pub(super) entries: u64,
    /// Empty where the image does not tell.
    pub(super) instruction: String,
}

/// The layers from the bottom up, from the bytes and entries of each.
pub(super) fn rows(config: &Config, sizes: impl Iterator<Item = (u64, u64)>) -> Vec<Row> {
    let mut instructions = config.instructions().into_iter();
    sizes
        .map(|(bytes, entries)| Row { bytes, entries, instruction: instructions.next().unwrap_or_default() })
        .collect()
}

/// One line for each.
pub(super) fn shown(rows: &[Row]) -> String {
    let mut table = String::new();
    for (index, row) in rows.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = writeln!(
            table,
            "{:>3}  {:>10}  {:>6} entries  {}",
            index + 1,
            ByteSize(row.bytes).to_string(),
            row.entries,
            instruction(&row.instruction)
        );
    }
    table
}

/// An instruction on one line.
pub(super) fn instruction(text: &str) -> String {
    if text.trim().is_empty() {
        return "an instruction that the image does not tell".into();
    }
    matcher::shown(&text.split_whitespace().collect::<Vec<_>>().join(" ")).trim_matches('`').to_owned()
}
