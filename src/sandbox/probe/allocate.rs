//! `drydock probe --allocate <bytes>`: takes memory for real, to find out whether a bound is one.
//!
//! A limit that can be read need not be kept, and one that is kept cannot always be read; so
//! `builder.rs` and the doctor run this in a build step or a container and look how it ends.

use std::process::ExitCode;

use super::intruder::kernel;

/// It got and used all the memory it asked for: nothing bounds it.
pub(in crate::sandbox) const GOT_IT: u8 = 42;
/// The system refused the allocation: a bound, if an unusual one.
pub(in crate::sandbox) const REFUSED: u8 = 43;
pub(super) const USAGE: u8 = 2;

/// Allocates `amount` bytes and writes to every page. Where a bound is kept, the kernel ends the
/// process instead.
pub(super) fn allocate(amount: &str) -> ExitCode {
    let Ok(bytes) = amount.parse::<usize>() else { return ExitCode::from(USAGE) };
    let mut memory: Vec<u8> = Vec::new();
    if memory.try_reserve_exact(bytes).is_err() {
        return ExitCode::from(REFUSED);
    }
    memory.resize(bytes, 1);
    // Without a look at it, the memory could be optimised away.
    std::hint::black_box(&memory);
    ExitCode::from(GOT_IT)
}

/// `drydock probe --threads <number>`: starts that many threads that wait, for the limit on processes
/// (to the kernel a thread is one). Prints whose processes they are: the release of the kernel.
pub(super) fn threads(number: &str) -> ExitCode {
    let Ok(number) = number.parse::<usize>() else { return ExitCode::from(USAGE) };
    println!("{}", kernel());
    ExitCode::from(if start_threads(number) { GOT_IT } else { REFUSED })
}

/// Whether so many threads could be started. Each lives until the process ends.
pub(super) fn start_threads(number: usize) -> bool {
    (0..number).all(|_| {
        let wait_for_ever = || loop {
            std::thread::park();
        };
        std::thread::Builder::new().stack_size(64 << 10).spawn(wait_for_ever).is_ok()
    })
}
