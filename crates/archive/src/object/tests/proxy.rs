//! A server in front of another that is slow, loses answers or dies in the middle.
//! Does not know what passes through it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What is wrong with it; nothing, at first.
#[derive(Default)]
pub(super) struct Faults {
    /// So many bytes of requests pass, over all connections; then all connections are cut, and none is accepted until this is set anew.
    pub(super) bytes: Mutex<Option<usize>>,
    /// So many answers are read and thrown away, and their connections cut.
    pub(super) lost: AtomicUsize,
    /// So many answers before that pass.
    pub(super) spared: AtomicUsize,
    /// How long each piece of an answer waits.
    pub(super) delay: Mutex<Duration>,
}

/// Begins to listen; gives its address. Ends with the process.
pub(super) fn start(upstream: SocketAddr, faults: &Arc<Faults>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let faults = Arc::clone(faults);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let faults = Arc::clone(&faults);
            std::thread::spawn(move || pass(&client, upstream, &faults));
        }
    });
    address
}

fn pass(client: &TcpStream, upstream: SocketAddr, faults: &Arc<Faults>) {
    let Ok(server) = TcpStream::connect(upstream) else {
        return;
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            requests(client, &server, faults);
            cut(client, &server);
        });
        scope.spawn(|| {
            answers(client, &server, faults);
            cut(client, &server);
        });
    });
}

fn cut(client: &TcpStream, server: &TcpStream) {
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}

fn requests(mut client: &TcpStream, mut server: &TcpStream, faults: &Faults) {
    let mut buffer = [0; 16 << 10];
    while let Ok(read @ 1..) = client.read(&mut buffer) {
        let mut bytes = faults.bytes.lock().unwrap();
        let allowed = bytes.map_or(read, |left| left.min(read));
        *bytes = bytes.map(|left| left - allowed);
        drop(bytes);
        if server.write_all(&buffer[..allowed]).is_err() || allowed < read {
            return;
        }
    }
}

fn answers(mut client: &TcpStream, mut server: &TcpStream, faults: &Faults) {
    let take = |from: &AtomicUsize| {
        from.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            left.checked_sub(1)
        })
        .is_ok()
    };
    let mut buffer = [0; 16 << 10];
    while let Ok(read @ 1..) = server.read(&mut buffer) {
        if !take(&faults.spared) && take(&faults.lost) {
            return;
        }
        let delay = *faults.delay.lock().unwrap();
        if !delay.is_zero() {
            std::thread::sleep(delay);
        }
        if client.write_all(&buffer[..read]).is_err() {
            return;
        }
    }
}
