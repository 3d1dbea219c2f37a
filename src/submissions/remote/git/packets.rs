//! Packets, in which git's protocol talks (git's manual, gitprotocol-common, "pkt-line Format").
//!
//! Forty lines are fewer than what it takes to put a library's readers on top of a body that is counted
//! while it is received.

use bytes::{Buf, Bytes, BytesMut};

use crate::submissions::remote::FetchError;
use crate::submissions::remote::client::{Answer, named};

/// A packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet {
    Data(Bytes),
    /// `0000`: the end of a list or an answer.
    Flush,
    /// `0001`: between the parts of one.
    Delimiter,
}

/// A body as packets.
pub(super) struct Packets {
    answer: Answer,
    buffer: BytesMut,
}

impl Packets {
    pub(super) fn new(answer: Answer) -> Self {
        Self { answer, buffer: BytesMut::new() }
    }

    /// The next packet; `None` at the end of the body.
    pub(super) async fn next(&mut self) -> Result<Option<Packet>, FetchError> {
        loop {
            if let Some(head) = self.buffer.get(..4) {
                let length =
                    std::str::from_utf8(head).ok().and_then(|hex| usize::from_str_radix(hex, 16).ok());
                match length {
                    Some(0) => {
                        self.buffer.advance(4);
                        return Ok(Some(Packet::Flush));
                    }
                    // 2 ends an answer where several come over one connection.
                    Some(1 | 2) => {
                        self.buffer.advance(4);
                        return Ok(Some(Packet::Delimiter));
                    }
                    Some(length @ 4..) if self.buffer.len() >= length => {
                        let mut packet = self.buffer.split_to(length);
                        packet.advance(4);
                        return Ok(Some(Packet::Data(packet.freeze())));
                    }
                    Some(4..) => {}
                    _ => return Err(self.garbled()),
                }
            }
            match self.answer.chunk().await? {
                Some(data) => self.buffer.extend_from_slice(&data),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(self.garbled()),
            }
        }
    }

    /// The next packet as a line without its end; `None` at a flush, a delimiter and the end.
    pub(super) async fn line(&mut self) -> Result<Option<String>, FetchError> {
        let Some(Packet::Data(data)) = self.next().await? else { return Ok(None) };
        Ok(Some(String::from_utf8_lossy(data.strip_suffix(b"\n").unwrap_or(&data)).into_owned()))
    }

    pub(super) fn garbled(&self) -> FetchError {
        FetchError::refused(format!(
            "{} does not answer as a git server does; look at the address, which is the one that `git clone` \
             takes.",
            named(&self.answer.url)
        ))
    }
}

/// Writes a line.
pub(super) fn line(out: &mut Vec<u8>, text: &str) {
    // Every text here is shorter than the 65,516 bytes that fit.
    out.extend_from_slice(format!("{:04x}{text}\n", text.len() + 5).as_bytes());
}

pub(super) const FLUSH: &[u8] = b"0000";
pub(super) const DELIMITER: &[u8] = b"0001";
