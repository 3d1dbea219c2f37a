//! Reads gzip data of one or several members, and stops where they end.

use std::io::{self, Read};

use flate2::bufread::GzDecoder;

/// The unpacked bytes of all members after one another (RFC 1952, 2.2). What follows the last member
/// and is no member is left alone, as gzip does.
pub(super) struct Gunzip<'a> {
    member: Option<GzDecoder<&'a [u8]>>,
}

impl<'a> Gunzip<'a> {
    pub(super) fn new(packed: &'a [u8]) -> Self {
        Self { member: Some(GzDecoder::new(packed)) }
    }
}

/// Whether this is how a gzip member begins: the magic and the method, deflate.
pub(super) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b, 8])
}

impl Read for Gunzip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        // Members may be empty, so the end of one says nothing about the next.
        while let Some(member) = &mut self.member {
            let read = member.read(buffer)?;
            if read > 0 {
                return Ok(read);
            }
            let rest = self.member.take().map_or(&[][..], GzDecoder::into_inner);
            self.member = is_gzip(rest).then(|| GzDecoder::new(rest));
        }
        Ok(0)
    }
}
