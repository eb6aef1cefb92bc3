//! What dpkg and the maintainer scripts print, in their order.

use std::cell::{Cell, RefCell};

/// Who hears of an installation while it goes on.
pub trait Listener: Sync {
    /// What was printed.
    fn printed(&self, text: &str);
    /// What is done now: `unpacking 318 packages`.
    fn at(&self, what: &str);
}

/// Nobody.
impl Listener for () {
    fn printed(&self, _: &str) {}
    fn at(&self, _: &str) {}
}

/// Collects what is printed, and passes it on.
pub struct Log<'a> {
    text: RefCell<String>,
    listener: &'a dyn Listener,
    /// How many packages there are.
    packages: usize,
    /// How many of them dpkg has begun to configure.
    begun: Cell<usize>,
}

impl<'a> Log<'a> {
    /// A log of the installation of so many packages.
    pub fn new(packages: usize, listener: &'a dyn Listener) -> Self {
        Self { text: RefCell::default(), listener, packages, begun: Cell::default() }
    }

    /// Says what is done now.
    pub(super) fn at(&self, what: &str) {
        self.listener.at(what);
    }

    /// Adds what a command printed.
    pub(super) fn add(&self, printed: &[u8]) {
        let printed = String::from_utf8_lossy(printed);
        if printed.trim().is_empty() {
            return;
        }
        let end = if printed.ends_with('\n') { "" } else { "\n" };
        self.listener.printed(&printed);
        self.listener.printed(end);
        self.text.borrow_mut().extend([&*printed, end]);
    }

    /// Adds a line that dpkg has just printed.
    pub(super) fn line(&self, printed: &[u8]) {
        self.add(printed);
        let printed = String::from_utf8_lossy(printed);
        let subject = |start: &str| printed.strip_prefix(start)?.split([' ', ':']).next();
        if let Some(name) = subject("Setting up ") {
            self.begun.set(self.begun.get() + 1);
            self.at(&format!("{name}, {} of {}", self.begun.get(), self.packages));
        } else if let Some(name) = subject("Processing triggers for ") {
            self.at(&format!("the triggers of {name}"));
        }
    }

    /// What was printed so far.
    pub(super) fn text(&self) -> String {
        self.text.borrow().clone()
    }

    /// Adds what was printed when the packages were installed that are brought back.
    pub(super) fn bring_back(&self, printed: &str) {
        printed.split_inclusive('\n').for_each(|line| self.line(line.as_bytes()));
    }

    /// All that was printed.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text.into_inner()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Heard {
        printed: Mutex<String>,
        at: Mutex<Vec<String>>,
    }

    impl Listener for Heard {
        fn printed(&self, text: &str) {
            self.printed.lock().unwrap().push_str(text);
        }
        fn at(&self, what: &str) {
            self.at.lock().unwrap().push(what.to_owned());
        }
    }

    #[test]
    fn what_is_printed_is_kept_and_passed_on() {
        let heard = Heard::default();
        let log = Log::new(1, &heard);
        log.add(b"Setting up a (1) ...\n");
        log.add(b"\n");
        log.add(b"no line feed");
        assert_eq!(log.into_text(), "Setting up a (1) ...\nno line feed\n");
        assert_eq!(heard.printed.into_inner().unwrap(), "Setting up a (1) ...\nno line feed\n");
    }

    #[test]
    fn dpkg_tells_how_far_it_is() {
        let heard = Heard::default();
        let log = Log::new(318, &heard);
        let lines =
            ["Setting up libc6:amd64 (2.41-12) ...\n", "Creating a user\n", "Setting up apt (3.0) ...\n"];
        lines.iter().for_each(|line| log.line(line.as_bytes()));
        log.line(b"Processing triggers for man-db (2.13) ...\n");
        assert_eq!(
            heard.at.into_inner().unwrap(),
            ["libc6, 1 of 318", "apt, 2 of 318", "the triggers of man-db"]
        );
    }
}
