//! What a system without process groups offers: the main process alone.
//! Does not know when or why it is to end.

use super::Exit;
use std::io;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

/// The exit of a child has to be looked for.
pub(super) const NOTIFIES: bool = false;

/// Nothing to prepare.
#[allow(clippy::unnecessary_wraps)] // The signature is the same on every system.
pub(super) fn prepare(_command: &mut Command, _record: Option<&Path>) -> io::Result<()> {
    Ok(())
}

/// Nobody notifies; see [`has_ended`].
#[allow(clippy::unnecessary_wraps)] // The signature is the same on every system.
pub(super) fn notify_exit(
    _child: &Child,
    _notify: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    Ok(())
}

/// Whether the child has ended.
pub(super) fn has_ended(child: &mut Child) -> bool {
    matches!(child.try_wait(), Ok(Some(_)))
}

/// There is no polite way.
pub(super) fn terminate(child: &mut Child) {
    kill(child);
}

/// Ends the child.
pub(super) fn kill(child: &mut Child) {
    // A child that is already gone is what was wanted.
    let _ = child.kill();
}

/// There is no group to wait for.
pub(super) fn end_group(_: &Child, _at_once: bool, _grace: Duration, _hurry: impl Fn() -> bool) {}

/// How a collected process ended.
pub(super) fn exit_of(status: ExitStatus) -> Exit {
    Exit::Code(status.code().unwrap_or(i32::MAX))
}
