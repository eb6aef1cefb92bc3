//! What dpkg and the maintainer scripts print, in their order.

use std::cell::RefCell;

/// Collects what is printed, and passes it on.
pub struct Log<'a> {
    text: RefCell<String>,
    tell: &'a dyn Fn(&str),
}

impl<'a> Log<'a> {
    /// A log that passes on to `tell` what is printed.
    pub fn new(tell: &'a dyn Fn(&str)) -> Self {
        Self { text: RefCell::new(String::new()), tell }
    }

    /// Adds what a command printed.
    pub(super) fn add(&self, printed: &[u8]) {
        let printed = String::from_utf8_lossy(printed);
        if printed.trim().is_empty() {
            return;
        }
        let end = if printed.ends_with('\n') { "" } else { "\n" };
        (self.tell)(&printed);
        (self.tell)(end);
        self.text.borrow_mut().extend([&*printed, end]);
    }

    /// All that was printed.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text.into_inner()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_kept_and_passed_on() {
        let told = RefCell::new(String::new());
        let tell = |text: &str| told.borrow_mut().push_str(text);
        let log = Log::new(&tell);
        log.add(b"Setting up a (1) ...\n");
        log.add(b"\n");
        log.add(b"no line feed");
        assert_eq!(log.into_text(), "Setting up a (1) ...\nno line feed\n");
        assert_eq!(told.into_inner(), "Setting up a (1) ...\nno line feed\n");
    }
}
