//! Which files the running executable consists of: what the system has mapped of it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::net::ToSocketAddrs;
use std::process::ExitCode;

use crate::sandbox::protocol::Objects;

/// Prints the [`Objects`] of this process as JSON.
pub(super) fn print() -> ExitCode {
    // A C library may load what it resolves names with only when the first name is looked up.
    let _ = ("localhost", 0).to_socket_addrs();
    match find() {
        Ok(objects) => {
            println!("{}", serde_json::json!(objects));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("cannot read what this process has mapped: {error}");
            ExitCode::FAILURE
        }
    }
}

fn find() -> io::Result<Objects> {
    let mut executable = File::open("/proc/self/exe")?;
    let own_path = std::fs::read_link("/proc/self/exe")?;
    let interpreter = interpreter(&mut executable)?;
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let own_path = own_path.to_string_lossy();
    let mut objects: Vec<String> = mapped_files(&maps)
        .filter(|path| *path != own_path && Some(*path) != interpreter.as_deref())
        .filter(|path| is_elf(path))
        .map(str::to_owned)
        .collect();
    objects.sort_unstable();
    objects.dedup();
    Ok(Objects { interpreter, objects })
}

/// Paths in `/proc/<pid>/maps`: the sixth column, where it begins with a slash.
fn mapped_files(maps: &str) -> impl Iterator<Item = &str> {
    maps.lines().filter_map(|line| line.find('/').map(|start| &line[start..]))
}

/// Locale archives and caches are mapped too; only shared objects are needed.
fn is_elf(path: &str) -> bool {
    let mut magic = [0; 4];
    File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *b"\x7fELF"
}

/// The path in the `PT_INTERP` program header (System V ABI, "Program Header"), `None` without one.
fn interpreter(file: &mut (impl Read + Seek)) -> io::Result<Option<String>> {
    const PT_INTERP: u64 = 3;
    let mut header = [0; 64];
    file.read_exact(&mut header)?;
    let malformed = || io::Error::other("the executable is not an ELF file of this machine");
    if &header[..4] != b"\x7fELF" {
        return Err(malformed());
    }
    // 1: 32 bits, 2: 64 bits; the byte order is this machine's, for it runs here.
    let wide = header[4] == 2;
    let (offset, entry_size, entries) = if wide {
        (number(&header[32..40]), number(&header[54..56]), number(&header[56..58]))
    } else {
        (number(&header[28..32]), number(&header[42..44]), number(&header[44..46]))
    };
    let least = if wide { 56 } else { 32 };
    if entry_size < least || entry_size > 4096 {
        return Err(malformed());
    }
    for index in 0..entries {
        file.seek(SeekFrom::Start(offset + index * entry_size))?;
        let mut entry = [0; 56];
        let length = if wide { 56 } else { 32 };
        file.read_exact(&mut entry[..length])?;
        if number(&entry[0..4]) != PT_INTERP {
            continue;
        }
        let (start, size) = if wide {
            (number(&entry[8..16]), number(&entry[32..40]))
        } else {
            (number(&entry[4..8]), number(&entry[16..20]))
        };
        file.seek(SeekFrom::Start(start))?;
        let mut path = Vec::new();
        file.take(size.min(4096)).read_to_end(&mut path)?;
        path.retain(|byte| *byte != 0);
        return String::from_utf8(path).map(Some).map_err(|_| malformed());
    }
    Ok(None)
}

/// A number in this machine's byte order, at most eight bytes.
fn number(bytes: &[u8]) -> u64 {
    let fold = |value: u64, byte: &u8| (value << 8) | u64::from(*byte);
    if cfg!(target_endian = "little") { bytes.iter().rev().fold(0, fold) } else { bytes.iter().fold(0, fold) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_executable_names_its_loader_and_its_objects() {
        let objects = find().unwrap();
        if cfg!(target_env = "gnu") {
            assert!(objects.interpreter.is_some_and(|path| path.starts_with('/')));
            assert!(objects.objects.iter().any(|path| path.contains("libc.so")), "{:?}", objects.objects);
        }
    }

    #[test]
    fn a_path_with_spaces_is_kept_whole() {
        let maps = "7f00-7f01 r--p 00000000 08:01 42   /opt/my libs/a.so\n7f02-7f03 rw-p 0 00:00 0 [heap]\n";
        assert_eq!(mapped_files(maps).collect::<Vec<_>>(), ["/opt/my libs/a.so"]);
    }
}
