//! Bytes to a service that may do its worst, and what it answers.

use std::convert::Infallible;
use std::net::IpAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::{Pieces, silence};
use crate::sandbox::network::{Silence, TcpEnd, TcpExchange};
use crate::sandbox::protocol::Reply;

/// The most that is handed on of an answer, whatever the caller asks.
const ANSWER_BYTES: u64 = 1 << 20;
/// The most that is handed on at once.
const PIECE_BYTES: usize = 16 << 10;
/// Between two pieces, so that a service which sends byte by byte does not make a line of each.
const PAUSE: Duration = Duration::from_millis(5);

/// Sends and reads, at most `exchange.within` long.
pub(super) async fn exchange(address: IpAddr, exchange: TcpExchange, pieces: &Pieces) -> Reply {
    let TcpExchange { port, send, half_close, within, cap_bytes } = exchange;
    let cap = usize::try_from(cap_bytes.min(ANSWER_BYTES)).unwrap_or(usize::MAX);
    let mut connected = false;
    let talking = async {
        let stream = TcpStream::connect((address, port)).await.map_err(|error| silence(&error))?;
        connected = true;
        // Small requests and answers: do not wait for more to send.
        let _ = stream.set_nodelay(true);
        let (reader, writer) = stream.into_split();
        // Side by side: a service may answer before it has read everything.
        tokio::select! {
            end = receive(reader, cap, pieces) => Ok(end),
            never = transmit(writer, &send, half_close) => match never {},
        }
    };
    let talked = tokio::time::timeout(within, talking).await;
    match talked {
        Ok(Ok(end)) => Reply::Ended(end),
        Ok(Err(silence)) => Reply::Silent(silence),
        Err(_) if connected => Reply::Ended(TcpEnd::TimedOut),
        Err(_) => Reply::Silent(Silence::TimedOut),
    }
}

/// Sends and keeps our side open (or closes it, if asked); never ends. A service that does not want
/// to read is seen by whoever reads from it.
async fn transmit(mut writer: OwnedWriteHalf, send: &[u8], half_close: bool) -> Infallible {
    let written = writer.write_all(send).await;
    if written.is_ok() && half_close {
        let _ = writer.shutdown().await;
    }
    std::future::pending().await
}

async fn receive(mut reader: OwnedReadHalf, cap: usize, pieces: &Pieces) -> TcpEnd {
    let mut left = cap;
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        match reader.read(&mut buffer).await {
            Ok(0) => return TcpEnd::Closed,
            Ok(read) => {
                let kept = read.min(left);
                left -= kept;
                pieces.send(Reply::Piece(buffer[..kept].to_vec())).await;
                if kept < read {
                    return TcpEnd::Full;
                }
            }
            Err(_) => return TcpEnd::Reset,
        }
        tokio::time::sleep(PAUSE).await;
    }
}
