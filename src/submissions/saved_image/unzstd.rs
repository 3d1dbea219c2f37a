//! Reads zstd data of one or several frames.

use std::io::{self, Chain, Cursor, Read};

use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

/// How a frame begins (RFC 8878, 3.1.1).
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A source whose first four bytes were read ahead.
type Begun<R> = Chain<Cursor<[u8; 4]>, R>;

/// The unpacked bytes of all frames after one another. Frames that hold no data, such as an index,
/// are passed over (RFC 8878, 3.1.2).
pub struct Unzstd<R: Read> {
    state: State<R>,
}

enum State<R: Read> {
    Between(R),
    Inside(Box<StreamingDecoder<Begun<R>, FrameDecoder>>),
    Ended,
}

/// Whether this is how zstd data begins.
#[must_use]
pub fn is_zstd(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

impl<R: Read> Unzstd<R> {
    /// Reads from where the first frame begins.
    pub fn new(packed: R) -> Self {
        Self { state: State::Between(packed) }
    }

    /// To the next frame with data in it, or to the end.
    fn open(mut packed: R) -> io::Result<State<R>> {
        loop {
            let mut magic = [0; 4];
            if packed.read(&mut magic[..1])? == 0 {
                return Ok(State::Ended);
            }
            packed.read_exact(&mut magic[1..])?;
            if magic == MAGIC {
                let begun = Cursor::new(magic).chain(packed);
                let frame = StreamingDecoder::new(begun).map_err(io::Error::other)?;
                return Ok(State::Inside(Box::new(frame)));
            }
            if u32::from_le_bytes(magic) & 0xffff_fff0 != 0x184d_2a50 {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let mut length = [0; 4];
            packed.read_exact(&mut length)?;
            let length = u64::from(u32::from_le_bytes(length));
            if io::copy(&mut (&mut packed).take(length), &mut io::sink())? < length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

impl<R: Read> Read for Unzstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if let State::Inside(frame) = &mut self.state {
                let read = frame.read(buffer)?;
                if read > 0 {
                    return Ok(read);
                }
            }
            self.state = match std::mem::replace(&mut self.state, State::Ended) {
                State::Between(packed) => Self::open(packed)?,
                State::Inside(frame) => State::Between(frame.into_inner().into_inner().1),
                State::Ended => return Ok(0),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn unpacked(packed: &[u8]) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        Unzstd::new(packed).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn frames_follow_one_another() {
        let one = compress_to_vec(&b"one"[..], CompressionLevel::Fastest);
        let two = compress_to_vec(&vec![b'2'; 300_000][..], CompressionLevel::Fastest);
        let index = [&0x184d_2a5e_u32.to_le_bytes()[..], &5_u32.to_le_bytes(), b"index"].concat();
        let all = [&one[..], &index, &two, &index].concat();
        let read = unpacked(&all).unwrap();
        assert_eq!(read.len(), 300_003);
        assert!(read.starts_with(b"one22"));
        assert_eq!(unpacked(b"").unwrap(), b"");
        for cut in [1, 3, one.len() - 1, one.len() + 6, one.len() + 10, all.len() - 1] {
            assert!(unpacked(&all[..cut]).is_err(), "{cut}");
        }
        assert!(unpacked(&[&one[..], b"rest"].concat()).is_err());
    }
}
