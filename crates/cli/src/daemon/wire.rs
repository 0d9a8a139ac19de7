//! How messages go over the socket: three lines from the client, two from the session, then a frame.
//! Does not know what they mean.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::format::MAGIC;

/// The version that has to be the same on both sides.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// A line is not longer.
const LINE: u64 = 200;
/// A frame is not longer, in bytes: 10,000 paths of 4 KiB fit in.
const FRAME: u32 = 64 << 20;

/// What is written at once: the lines, and a frame if there is one.
pub(super) fn message<T: Serialize>(lines: &[&str], frame: Option<&T>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for line in lines {
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
    }
    if let Some(frame) = frame {
        let body = postcard::to_stdvec(frame).map_err(io::Error::other)?;
        let length = u32::try_from(body.len()).map_err(io::Error::other)?;
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&body);
    }
    Ok(bytes)
}

/// One side's view of a connection.
#[derive(Debug)]
pub(super) struct Wire<S> {
    stream: BufReader<S>,
}

impl<S: Read + Write> Wire<S> {
    pub(super) fn new(stream: S) -> Wire<S> {
        Wire {
            stream: BufReader::new(stream),
        }
    }

    pub(super) fn stream(&self) -> &S {
        self.stream.get_ref()
    }

    pub(super) fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(message)
    }

    pub(super) fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        (&mut self.stream).take(LINE).read_line(&mut line)?;
        let line = line.strip_suffix('\n').ok_or(io::ErrorKind::InvalidData)?;
        Ok(line.to_owned())
    }

    /// Reads the two lines each side begins with: the version, or `None` where even those are of another kind.
    pub(super) fn hello(&mut self) -> io::Result<Option<String>> {
        let magic = self.line()?;
        let version = self.line()?;
        Ok((magic == MAGIC).then_some(version))
    }

    pub(super) fn frame<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length);
        if length > FRAME {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut body = Vec::new();
        (&mut self.stream)
            .take(length.into())
            .read_to_end(&mut body)?;
        postcard::from_bytes(&body).map_err(io::Error::other)
    }
}

/// Whether the other end of a socket is a process of this user, or of root.
pub(super) fn is_own(socket: impl AsFd) -> bool {
    #[cfg(target_os = "linux")]
    {
        let own = rustix::process::geteuid();
        rustix::net::sockopt::socket_peercred(socket).is_ok_and(|peer| is_trusted(peer.uid, own))
    }
    #[cfg(not(target_os = "linux"))]
    {
        // The rights of the socket's file say who may connect.
        let _ = socket;
        true
    }
}

/// Whether a user is answered, and asked, by another: only one that may do all that the other may.
#[cfg(target_os = "linux")]
fn is_trusted(peer: rustix::process::Uid, own: rustix::process::Uid) -> bool {
    peer == own || peer.is_root()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn only_this_user_and_root_are_trusted() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(is_own(&one));
        let user = rustix::process::Uid::from_raw;
        assert!(is_trusted(user(1000), user(1000)) && is_trusted(user(0), user(1000)));
        assert!(!is_trusted(user(1001), user(1000)) && !is_trusted(user(1000), user(0)));
        assert!(
            !is_own(std::fs::File::open("/dev/null").unwrap()),
            "no socket"
        );
    }

    #[test]
    fn what_is_sent_is_read_and_damage_is_an_error() {
        let whole = message(&[MAGIC, VERSION, "ask"], Some(&(1_u8, "two"))).unwrap();
        let mut wire = Wire::new(Cursor::new(whole.clone()));
        assert_eq!(wire.hello().unwrap().as_deref(), Some(VERSION));
        assert_eq!(wire.line().unwrap(), "ask");
        assert_eq!(wire.frame::<(u8, String)>().unwrap(), (1, "two".to_owned()));
        for length in 0..whole.len() {
            let mut wire = Wire::new(Cursor::new(whole[..length].to_vec()));
            let read = wire
                .hello()
                .and_then(|_| wire.line())
                .and_then(|_| wire.frame::<(u8, String)>());
            assert!(read.is_err(), "{length} bytes");
        }
        let mut long = vec![b'x'; 1000];
        long.push(b'\n');
        assert!(Wire::new(Cursor::new(long)).line().is_err());
        let huge = [&u32::MAX.to_le_bytes()[..], b"x"].concat();
        assert!(Wire::new(Cursor::new(huge)).frame::<u8>().is_err());
        let other = message::<()>(&["larder session 9", "x", "ask"], None).unwrap();
        assert_eq!(Wire::new(Cursor::new(other)).hello().unwrap(), None);
    }
}
