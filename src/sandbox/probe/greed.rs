//! What a hostile program takes beside memory and processes: the processor, the disk, the log.
//!
//! The doctor runs these in a container or a build step, and looks how far they get.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use super::allocate::{REFUSED, USAGE, start_threads};
use crate::clock::Clock;

/// The exit code of [`step`] where everything is bounded; the other bits say what was not.
pub(in crate::sandbox) const STEP: u8 = 64;
pub(in crate::sandbox) const STEP_GOT_THREADS: u8 = 1;
pub(in crate::sandbox) const STEP_GOT_CPU: u8 = 2;
pub(in crate::sandbox) const STEP_HAS_NETWORK: u8 = 4;

/// So many times its share one may get in a second: the kernel counts it in periods, and each processor runs up to a
/// tick over it before it has to pay that back.
pub(in crate::sandbox) const TOLERANCE: u64 = 3;

/// Threads that burn at a time: more than a machine's share of one container should be.
const BURNERS: usize = 4;
/// How long one who is over a limit waits for what should come of it.
const WAIT: Duration = Duration::from_secs(30);

/// Keeps some processors busy for so many milliseconds and prints how much it got done, in rounds of its loop. Time
/// would be told by the kernel, and a container's own kernel counts in its own way.
pub(super) fn burn(millis: &str) -> ExitCode {
    let Ok(millis) = millis.parse() else { return ExitCode::from(USAGE) };
    println!("{}", rounds_in(Duration::from_millis(millis)));
    ExitCode::SUCCESS
}

fn burnt_millis(time: Duration) -> u64 {
    let before = own_cpu_millis();
    rounds_in(time);
    own_cpu_millis().saturating_sub(before)
}

/// How many of [`burn`]'s rounds a millisecond of a processor is worth on this machine, by trying for a fifth of a second.
pub(in crate::sandbox) fn rounds_per_milli() -> u64 {
    let time = Duration::from_millis(200);
    let before = own_thread_nanos();
    let rounds = rounds_of_one(time);
    // Where the kernel does not count them, this thread had a processor for itself as far as we know.
    let nanos = own_thread_nanos()
        .zip(before)
        .map_or(time.as_nanos(), |(after, before)| u128::from(after.saturating_sub(before)));
    u64::try_from(u128::from(rounds) * 1_000_000 / nanos.max(1)).unwrap_or(u64::MAX).max(1)
}

fn rounds_in(time: Duration) -> u64 {
    std::thread::scope(|scope| {
        // Fewer of them burn too.
        let others: Vec<_> = (1..BURNERS)
            .filter_map(|_| {
                let thread = std::thread::Builder::new().stack_size(64 << 10);
                thread.spawn_scoped(scope, || rounds_of_one(time)).ok()
            })
            .collect();
        let own = rounds_of_one(time);
        own + others.into_iter().filter_map(|other| other.join().ok()).sum::<u64>()
    })
}

fn rounds_of_one(time: Duration) -> u64 {
    let watch = Clock::system().stopwatch();
    let (mut number, mut rounds) = (0_u64, 0);
    while watch.elapsed() < time {
        // Some microseconds: who has little time gets some rounds done all the same.
        for _ in 0..1_000 {
            number = std::hint::black_box(number.wrapping_mul(31).wrapping_add(7));
        }
        rounds += 1;
    }
    rounds
}

/// How long this thread has been on a processor: the first field of its `schedstat` (the kernel's
/// `Documentation/scheduler/sched-stats.rst`).
fn own_thread_nanos() -> Option<u64> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split_ascii_whitespace().next()?.parse().ok()
}

/// The processor time of this process: fields 14 and 15 of `/proc/self/stat` (proc(5)).
fn own_cpu_millis() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 = after_name
        .split_ascii_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    ticks * 1000 / rustix::param::clock_ticks_per_second()
}

/// Writes up to so many bytes into its own file system, then waits to be ended for it.
pub(super) fn fill(bytes: &str) -> ExitCode {
    let Ok(bytes) = bytes.parse::<u64>() else { return ExitCode::from(USAGE) };
    let block = vec![1; 1 << 20];
    // Many files: how large one of them may be is another bound.
    for number in 0..bytes >> 20 {
        if std::fs::write(format!("/filled-{number}"), &block).is_err() {
            return ExitCode::from(REFUSED);
        }
    }
    std::thread::sleep(WAIT);
    ExitCode::SUCCESS
}

/// Prints until it is ended, and does nothing about being asked to end.
pub(super) fn flood() -> ExitCode {
    let lines = "drydock doctor: as much as you can take\n".repeat(1000);
    let mut stdout = std::io::stdout();
    loop {
        if stdout.write_all(lines.as_bytes()).is_err() {
            std::thread::sleep(WAIT);
            return ExitCode::SUCCESS;
        }
    }
}

/// What a build step can have: processor time, of which `permille` of one processor are allowed, a network, and
/// `threads`. The threads come last, because a step's bound on them comes a moment after it has begun.
pub(super) fn step(threads: &str, permille: &str) -> ExitCode {
    let (Ok(threads), Ok(permille)) = (threads.parse(), permille.parse::<u64>()) else {
        return ExitCode::from(USAGE);
    };
    let time = Duration::from_secs(1);
    let mut code = STEP;
    if burnt_millis(time) > permille * TOLERANCE {
        code |= STEP_GOT_CPU;
    }
    if has_network() {
        code |= STEP_HAS_NETWORK;
    }
    if start_threads(threads) {
        code |= STEP_GOT_THREADS;
    }
    ExitCode::from(code)
}

/// Whether there is a route to anywhere but itself (`/proc/net/route` leaves the loopback out).
fn has_network() -> bool {
    std::fs::read_to_string("/proc/net/route").is_ok_and(|table| table.lines().count() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_burnt_is_counted() {
        let burnt = burnt_millis(Duration::from_millis(100));
        assert!((10..=1000).contains(&burnt), "{burnt} ms");
        // The same work is worth about the same time, however busy the machine is.
        let (one, another) = (rounds_per_milli(), rounds_per_milli());
        assert!(one < another * 10 && another < one * 10, "{one} and {another} rounds");
        assert!(rounds_in(Duration::from_millis(20)) > 0);
    }
}
