//! A panic on a worker: an executor of a host may have one.

use std::io;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use larder::execute::{Cancel, End, Executor, Spec, Stream};
use larder::plan::Plan;
use larder::session::run::Options;
use larder::session::{Session, Surroundings};

use crate::common::{Host, show};

struct Panics;

impl Executor for Panics {
    fn run(
        &self,
        _: &Spec,
        _: &mut (dyn FnMut(Stream, &[u8]) + Send),
        _: &Cancel,
    ) -> io::Result<End> {
        std::panic::resume_unwind(Box::new("an executor's mistake"));
    }
}

/// The other workers wait for the step that was taken; nobody would end it.
#[test]
fn a_panic_of_an_executor_ends_the_run_for_all_workers() {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let config =
            "[tasks.a]\ncommand = \"a\"\n[tasks.b]\ncommand = \"b\"\ndepends-on = [\"a\"]\n";
        let host = Host::new(&[("larder.toml", config)]);
        let around = Surroundings {
            env: &host.env,
            cache_dir: Some(host.root.path().join("cache")),
            executor: &Panics,
            cancel: Cancel::new(),
            clock: &host.clock,
            options: None,
            incremental: true,
            incremental_dir: None,
        };
        let mut session = Session::load(&host.path(""), around).unwrap();
        let plan = Plan::new(&session.workspace, (0..2).collect(), false).unwrap();
        let options = Options {
            concurrency: NonZeroUsize::new(2).unwrap(),
            ..Options::plain()
        };
        let run = || session.run(&plan, &options, &show()).map(|_| ());
        let panicked = catch_unwind(AssertUnwindSafe(run)).is_err();
        tell.send(panicked).unwrap();
    });
    assert!(told.recv_timeout(Duration::from_mins(1)).unwrap());
}
