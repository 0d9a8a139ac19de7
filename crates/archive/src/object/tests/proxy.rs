//! A server in front of another that is slow, loses answers, falls silent or dies in the middle. Also used by the end-to-end tests.
//! Does not know what passes through it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// More than any test needs; a fault is no hang.
const LONG: Duration = Duration::from_mins(1);

/// What is wrong with it; nothing, at first.
#[derive(Default)]
pub(super) struct Faults {
    /// So many bytes of requests pass, over all connections; then all connections are cut, and none is accepted until this is set anew.
    pub(super) bytes: Mutex<Option<usize>>,
    /// So many answers are thrown away, and their connections cut.
    pub(super) lost: AtomicUsize,
    /// So many answers before that pass.
    pub(super) spared: AtomicUsize,
    /// How long each piece of an answer waits.
    pub(super) delay: Mutex<Duration>,
    /// No single answer gets further than so many bytes.
    pub(super) most: Mutex<Option<usize>>,
    silence: Mutex<Silence>,
    changed: Condvar,
}

#[derive(Default)]
struct Silence {
    /// So many answers pass, and the next wait until this is `None`.
    after: Option<usize>,
    /// How many wait.
    waiting: usize,
}

impl Faults {
    /// Falls silent after so many answers.
    pub(super) fn fall_silent(&self, after: usize) {
        self.silence.lock().unwrap().after = Some(after);
    }

    /// Lets through what waits, and all that comes.
    pub(super) fn speak(&self) {
        let mut silence = self.silence.lock().unwrap();
        silence.after = None;
        self.changed.notify_all();
        let waits = |silence: &mut Silence| silence.waiting > 0;
        drop(self.changed.wait_while(silence, waits).unwrap());
    }

    /// Waits until something was done for a client that is not told of it.
    pub(super) fn until_silent(&self) {
        let silence = self.silence.lock().unwrap();
        let waited = self
            .changed
            .wait_timeout_while(silence, LONG, |silence| silence.waiting == 0);
        assert!(!waited.unwrap().1.timed_out(), "nothing was asked");
    }

    /// Whether a client waits to be told.
    pub(super) fn is_silent(&self) -> bool {
        self.silence.lock().unwrap().waiting > 0
    }

    fn keep_silent(&self) {
        let mut silence = self.silence.lock().unwrap();
        match &mut silence.after {
            None => return,
            Some(0) => {}
            Some(left) => {
                *left -= 1;
                return;
            }
        }
        silence.waiting += 1;
        self.changed.notify_all();
        let waits = |silence: &mut Silence| silence.after.is_some();
        let mut silence = self.changed.wait_while(silence, waits).unwrap();
        silence.waiting -= 1;
        self.changed.notify_all();
    }
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
    // Of the answer that is on its way: a client asks one thing after the other.
    let answered = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            requests(client, &server, faults, &answered);
            cut(client, &server);
        });
        scope.spawn(|| {
            answers(client, &server, faults, &answered);
            cut(client, &server);
        });
    });
}

fn cut(client: &TcpStream, server: &TcpStream) {
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}

fn requests(
    mut client: &TcpStream,
    mut server: &TcpStream,
    faults: &Faults,
    answered: &AtomicUsize,
) {
    let mut buffer = [0; 16 << 10];
    while let Ok(read @ 1..) = client.read(&mut buffer) {
        answered.store(0, Ordering::SeqCst);
        let mut bytes = faults.bytes.lock().unwrap();
        let allowed = bytes.map_or(read, |left| left.min(read));
        *bytes = bytes.map(|left| left - allowed);
        drop(bytes);
        if server.write_all(&buffer[..allowed]).is_err() || allowed < read {
            return;
        }
    }
}

fn answers(
    mut client: &TcpStream,
    mut server: &TcpStream,
    faults: &Faults,
    answered: &AtomicUsize,
) {
    let take = |from: &AtomicUsize| {
        from.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            left.checked_sub(1)
        })
        .is_ok()
    };
    let mut buffer = [0; 16 << 10];
    while let Ok(read @ 1..) = server.read(&mut buffer) {
        let before = answered.fetch_add(read, Ordering::SeqCst);
        let begins = before == 0;
        if begins && !take(&faults.spared) && take(&faults.lost) {
            return;
        }
        let delay = *faults.delay.lock().unwrap();
        if !delay.is_zero() {
            std::thread::sleep(delay);
        }
        if begins {
            faults.keep_silent();
        }
        let most = faults.most.lock().unwrap().unwrap_or(usize::MAX);
        let allowed = most.saturating_sub(before).min(read);
        if client.write_all(&buffer[..allowed]).is_err() {
            return;
        }
        if allowed < read {
            // For ever, as far as the client would wait: it ends this.
            let mut client = client;
            let _ = client.read(&mut [0]);
            return;
        }
    }
}
