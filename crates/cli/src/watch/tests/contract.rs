//! The contract of a watcher, which the real ones and the double all keep.
//! Knows nothing of workspaces.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::portable::Portable;
use super::super::scripted::Script;
use super::super::watcher::{Event, WatchError, Watcher, system};

/// A watcher, a folder, and who tells what was done there, if that is a script.
struct World {
    watcher: Box<dyn Watcher>,
    base: PathBuf,
    script: Option<Script>,
    _dir: tempfile::TempDir,
}

impl World {
    fn new(watcher: Box<dyn Watcher>, script: Option<Script>) -> World {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        for folder in ["in/deep", "out", "cookies"] {
            fs::create_dir_all(base.join(folder)).unwrap();
        }
        fs::write(base.join("in/old"), "1").unwrap();
        let mut world = World {
            watcher,
            base,
            script,
            _dir: dir,
        };
        world.watch("in");
        world.watch("cookies");
        world
    }

    fn path(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }

    fn watch(&mut self, path: &str) {
        self.watcher.watch(&self.base.join(path)).unwrap();
    }

    fn told(&self, kind: fn(PathBuf) -> Event, path: &str) {
        if let Some(script) = &self.script {
            for path in script.names(&self.path(path)) {
                script.tell(kind(path));
            }
        }
    }

    fn write(&self, path: &str) {
        fs::write(self.path(path), path).unwrap();
        self.told(Event::Written, path);
    }

    fn folder(&self, path: &str) {
        fs::create_dir(self.path(path)).unwrap();
        self.told(Event::Replaced, path);
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
        self.told(Event::Replaced, from);
        self.told(Event::Replaced, to);
    }

    fn remove(&self, path: &str) {
        fs::remove_dir(self.path(path)).unwrap();
        self.told(Event::Replaced, path);
        let itself = |script: &&Script| script.watched().contains(&self.path(path));
        if let Some(script) = self.script.as_ref().filter(itself) {
            script.tell(Event::Replaced(self.path(path)));
        }
    }

    /// All that was told, up to a cookie: each event once, and whether it says that a folder may be there.
    fn events(&mut self) -> Vec<(String, bool)> {
        let name = format!("cookies/{}", random());
        fs::write(self.path(&name), "").unwrap();
        let mut all = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let mut events = Vec::new();
            self.watcher.receive(Some(deadline), &mut events);
            assert!(!events.is_empty(), "the cookie did not come");
            for event in events {
                let (path, replaced) = match event {
                    Event::Written(path) => (path, false),
                    Event::Replaced(path) => (path, true),
                    other => panic!("{other:?}"),
                };
                let path = path.strip_prefix(&self.base).unwrap().to_owned();
                if path == Path::new(&name) {
                    fs::remove_file(self.path(&name)).unwrap();
                    return all;
                }
                if !path.starts_with("cookies") {
                    all.push((path.to_str().unwrap().to_owned(), replaced));
                }
            }
        }
    }

    fn paths(&mut self) -> Vec<String> {
        let mut paths: Vec<String> = self.events().into_iter().map(|(path, _)| path).collect();
        paths.sort();
        paths.dedup();
        paths
    }
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    u64::from_le_bytes(bytes)
}

fn direct_entries_are_told_and_looking_tells_nothing(mut world: World) {
    world.write("in/file");
    world.write("in/deep/file");
    world.write("out/file");
    assert_eq!(world.paths(), ["in/file"]);
    fs::read(world.path("in/old")).unwrap();
    fs::read_dir(world.path("in")).unwrap().for_each(drop);
    let told = world.paths();
    assert!(!told.contains(&"in/old".to_owned()), "{told:?}");
    fs::remove_file(world.path("in/file")).unwrap();
    world.told(Event::Written, "in/file");
    assert_eq!(world.paths(), ["in/file"]);
}

fn a_folder_that_comes_or_goes_is_told_as_such(mut world: World) {
    world.folder("in/new");
    let replaced = |events: &[(String, bool)], path: &str| {
        let mut of_path = events.iter().filter(|(told, _)| told == path);
        of_path.any(|(_, replaced)| *replaced)
    };
    assert!(replaced(&world.events(), "in/new"));
    world.rename("in/new", "out/new");
    assert!(replaced(&world.events(), "in/new"));
    world.rename("out/new", "in/again");
    assert!(replaced(&world.events(), "in/again"));
    world.watch("in/again");
    world.remove("in/again");
    assert!(replaced(&world.events(), "in/again"));
    // One that nobody above is watched for tells of itself.
    world.watch("out");
    world.remove("out");
    assert!(replaced(&world.events(), "out"));
}

fn a_watch_is_of_the_folder_that_lay_there_until_it_is_taken_anew(mut world: World) {
    world.watch("in/deep");
    world.rename("in/deep", "out/deep");
    world.folder("in/deep");
    world.events();
    world.watch("in/deep");
    world.write("in/deep/a");
    world.write("out/deep/b");
    assert_eq!(world.paths(), ["in/deep/a"]);
    let deep = world.path("in/deep");
    world.watcher.unwatch(&deep);
    world.watcher.unwatch(&deep);
    world.write("in/deep/c");
    assert_eq!(world.paths(), [""; 0]);
}

fn a_folder_that_was_moved_is_watched_by_its_new_name_even_before_the_old_one_is_taken_back(
    mut world: World,
) {
    world.watch("in/deep");
    world.watch("out");
    world.rename("in/deep", "out/deep");
    world.watch("out/deep");
    let old = world.path("in/deep");
    world.watcher.unwatch(&old);
    world.events();
    world.write("out/deep/file");
    assert_eq!(world.paths(), ["out/deep/file"]);
}

fn what_is_no_folder_is_not_watched(mut world: World) {
    world.write("in/file");
    for path in ["in/file", "nowhere", "in/link"] {
        if path == "in/link" {
            #[cfg(unix)]
            std::os::unix::fs::symlink(world.path("out"), world.path(path)).unwrap();
        }
        let path = world.path(path);
        let refused = world.watcher.watch(&path);
        assert!(matches!(refused, Err(WatchError::Gone)), "{refused:?}");
    }
}

fn a_wait_ends_at_its_deadline_or_when_it_is_woken(mut world: World) {
    let mut events = Vec::new();
    world.watcher.receive(Some(Instant::now()), &mut events);
    assert_eq!(events, []);
    let waker = world.watcher.waker();
    let thread = std::thread::spawn(move || waker.wake());
    world.watcher.receive(None, &mut events);
    assert_eq!(events, [Event::Woken]);
    thread.join().unwrap();
}

/// Runs each part on a world of its own.
fn keeps_the_contract(world: impl Fn() -> World) {
    direct_entries_are_told_and_looking_tells_nothing(world());
    a_folder_that_comes_or_goes_is_told_as_such(world());
    a_watch_is_of_the_folder_that_lay_there_until_it_is_taken_anew(world());
    what_is_no_folder_is_not_watched(world());
    a_wait_ends_at_its_deadline_or_when_it_is_woken(world());
}

#[test]
fn the_systems_watcher_keeps_the_contract() {
    let world = || World::new(system().unwrap(), None);
    keeps_the_contract(world);
    a_folder_that_was_moved_is_watched_by_its_new_name_even_before_the_old_one_is_taken_back(
        world(),
    );
}

/// All but one part, which `notify` breaks on Linux, where it is not used: to take the old path of a moved folder back takes the
/// watch of its new one with it, whenever its thread comes to it.
#[test]
fn the_portable_watcher_keeps_the_contract() {
    keeps_the_contract(|| World::new(Box::new(Portable::new().unwrap()), None));
}

#[test]
fn the_double_keeps_the_contract() {
    let world = || {
        let script = Script::default();
        World::new(Box::new(script.watcher()), Some(script))
    };
    keeps_the_contract(world);
    a_folder_that_was_moved_is_watched_by_its_new_name_even_before_the_old_one_is_taken_back(
        world(),
    );
}

#[test]
#[should_panic(expected = "nobody watches")]
fn the_double_refuses_what_nobody_watches() {
    let world = World::new(Box::new(Script::default().watcher()), None);
    Script::default().tell(Event::Written(world.path("in/file")));
}
