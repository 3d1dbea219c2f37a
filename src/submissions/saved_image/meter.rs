//! How much of a saved image is read at most.

use std::cell::Cell;
use std::io::{self, Read};
use std::time::Duration;

use super::Unreadable;
use crate::clock::{Clock, Stopwatch};
use crate::units::{ByteSize, Span};

/// Bounds on reading one saved image: a small archive can unpack to a huge one.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Entries of the archive and of all its layers.
    pub entries: u64,
    /// Their names and link targets, in bytes.
    pub names_bytes: u64,
    /// Bytes after unpacking: layers, and what an onlooker unpacks in them.
    pub unpacked_bytes: u64,
    /// Wall clock, without what is waited for the source.
    pub within: Duration,
}

impl Default for Bounds {
    /// Room for the images of a class: the largest in wide use have some 200,000 files.
    fn default() -> Self {
        Self {
            entries: 500_000,
            names_bytes: 64 << 20,
            unpacked_bytes: 16 << 30,
            within: Duration::from_mins(4),
        }
    }
}

/// Counts against [`Bounds`].
pub struct Meter {
    bounds: Bounds,
    stopwatch: Stopwatch,
    /// What was waited for the source.
    waited: Cell<Duration>,
    entries: Cell<u64>,
    names_bytes: Cell<u64>,
    unpacked_bytes: Cell<u64>,
}

impl Meter {
    /// The time runs from here.
    #[must_use]
    pub fn new(bounds: Bounds, clock: &Clock) -> Self {
        Self {
            bounds,
            stopwatch: clock.stopwatch(),
            waited: Cell::default(),
            entries: Cell::new(0),
            names_bytes: Cell::new(0),
            unpacked_bytes: Cell::new(0),
        }
    }

    /// Reads from a source that is not ours to answer for: an engine that is slow, or others who read
    /// along.
    pub(super) fn waiting<R: Read>(&self, source: R) -> Waiting<'_, R> {
        Waiting { meter: self, source }
    }

    pub(super) fn entry(&self, names_bytes: usize) -> Result<(), Unreadable> {
        let entries = add(&self.entries, 1);
        let names_bytes = add(&self.names_bytes, names_bytes as u64);
        if entries > self.bounds.entries || names_bytes > self.bounds.names_bytes {
            return Err(Unreadable::Refused(format!(
                "it has more than {} files or very long names, more than is looked at",
                self.bounds.entries
            )));
        }
        Ok(())
    }

    /// Counts bytes that came out of something packed.
    ///
    /// # Errors
    /// When there are too many of them, or the time is over.
    pub fn unpacked(&self, bytes: usize) -> Result<(), Unreadable> {
        if add(&self.unpacked_bytes, bytes as u64) > self.bounds.unpacked_bytes {
            return Err(Unreadable::Refused(format!(
                "it unpacks to more than {}, more than is looked at",
                ByteSize(self.bounds.unpacked_bytes)
            )));
        }
        if self.stopwatch.elapsed().saturating_sub(self.waited.get()) > self.bounds.within {
            return Err(Unreadable::Refused(format!(
                "it takes longer than {} to read, longer than is waited",
                Span(self.bounds.within)
            )));
        }
        Ok(())
    }

    /// Reads to the end, counting.
    ///
    /// # Errors
    /// The reader's and [`Self::unpacked`]'s.
    pub fn skip(&self, source: &mut dyn Read) -> io::Result<u64> {
        let mut buffer = vec![0; 64 << 10];
        let mut skipped = 0;
        loop {
            let read = source.read(&mut buffer)?;
            if read == 0 {
                return Ok(skipped);
            }
            self.unpacked(read)?;
            skipped += read as u64;
        }
    }
}

/// Keeps the time that reading takes out of a meter's.
pub(super) struct Waiting<'m, R> {
    meter: &'m Meter,
    source: R,
}

impl<R: Read> Read for Waiting<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let before = self.meter.stopwatch.elapsed();
        let read = self.source.read(buffer);
        let took = self.meter.stopwatch.elapsed().saturating_sub(before);
        self.meter.waited.set(self.meter.waited.get() + took);
        read
    }
}

fn add(count: &Cell<u64>, more: u64) -> u64 {
    count.set(count.get().saturating_add(more));
    count.get()
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    /// Takes its time.
    struct Slow;

    impl Read for Slow {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            sleep(Duration::from_millis(700));
            Ok(0)
        }
    }

    #[test]
    fn what_the_source_takes_does_not_count() {
        let bounds = Bounds { within: Duration::from_millis(500), ..Bounds::default() };
        let meter = Meter::new(bounds, &Clock::system());
        meter.skip(&mut meter.waiting(Slow)).unwrap();
        assert_eq!(meter.unpacked(1), Ok(()));
        sleep(Duration::from_millis(600));
        assert!(meter.unpacked(1).unwrap_err().to_string().contains("longer than 500 ms"));
    }
}
