//! Keys pressed on a terminal, one at a time, while the program goes on.
//! Does not know what they mean to the workspace.

use std::sync::{Arc, Mutex, PoisonError};

use crate::watch::Waker;

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// `r`: run again.
    Again,
    /// `f`: run although nothing changed.
    Force,
    /// `q`: end.
    Quit,
}

/// Keys that wait to be taken. The terminal is as it was once this is dropped.
pub(super) struct Keys {
    pressed: Arc<Mutex<Option<Key>>>,
    #[cfg(unix)]
    before: Option<rustix::termios::Termios>,
}

impl Keys {
    /// Nobody listens: there is no terminal.
    fn none() -> Keys {
        Keys {
            pressed: Arc::default(),
            #[cfg(unix)]
            before: None,
        }
    }

    /// Listens on standard input if that is a terminal that this program is in the foreground of; each key uses `waker`.
    #[cfg(unix)]
    pub(super) fn listen(waker: Waker) -> Keys {
        use rustix::termios;
        use std::io::Read as _;

        let stdin = std::io::stdin();
        let foreground =
            termios::tcgetpgrp(&stdin).is_ok_and(|group| group == rustix::process::getpgrp());
        let Ok(before) = termios::tcgetattr(&stdin) else {
            return Keys::none();
        };
        if !foreground {
            return Keys::none();
        }
        let mut raw = before.clone();
        // Keys come as they are pressed and are not shown; those that send signals still do.
        raw.local_modes &= !(termios::LocalModes::ICANON | termios::LocalModes::ECHO);
        if termios::tcsetattr(&stdin, termios::OptionalActions::Now, &raw).is_err() {
            return Keys::none();
        }
        let pressed: Arc<Mutex<Option<Key>>> = Arc::default();
        let told = Arc::clone(&pressed);
        let read = move || {
            let mut byte = [0];
            while let Ok(1) = std::io::stdin().lock().read(&mut byte) {
                let key = match byte[0] {
                    b'r' | b'R' => Key::Again,
                    b'f' | b'F' => Key::Force,
                    b'q' | b'Q' => Key::Quit,
                    _ => continue,
                };
                *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(key);
                waker.wake();
            }
        };
        // It waits in a read until the program ends. Should it not start, there are no keys.
        let _ = std::thread::Builder::new()
            .name("larder-keys".into())
            .spawn(read);
        Keys {
            pressed,
            before: Some(before),
        }
    }

    /// Elsewhere nobody listens.
    #[cfg(not(unix))]
    pub(super) fn listen(_waker: Waker) -> Keys {
        Keys::none()
    }

    /// Whether keys are listened for.
    pub(super) fn are_heard(&self) -> bool {
        #[cfg(unix)]
        return self.before.is_some();
        #[cfg(not(unix))]
        return false;
    }

    /// The key that waits, without taking it.
    pub(super) fn waiting(&self) -> Option<Key> {
        *self.pressed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the key that waits.
    pub(super) fn take(&self) -> Option<Key> {
        self.pressed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

#[cfg(unix)]
impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // A terminal that is gone needs no mending.
            let _ = rustix::termios::tcsetattr(
                std::io::stdin(),
                rustix::termios::OptionalActions::Now,
                before,
            );
        }
    }
}
