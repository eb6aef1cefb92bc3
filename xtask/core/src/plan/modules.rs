//! Whether the kernel loads modules that nobody has signed.

use super::Plan;
use super::arguments::Parsed;

/// Arguments with which the kernel refuses unsigned modules, and what accepts them.
const REFUSING: [(&str, &str); 2] =
    [("lockdown", "lockdown=none"), ("module.sig_enforce", "module.sig_enforce=0")];

impl Plan {
    /// The calls after which the kernel would load modules that nobody has signed; empty when it does already.
    ///
    /// ```
    /// # use bedplate_core::rule::device;
    /// let plan = device().dangerous_command_line("lockdown=none").plan().unwrap();
    /// assert_eq!(plan.accepting_unsigned_modules(), "`.dangerous_command_line(\"module.sig_enforce=0\")`");
    /// ```
    #[must_use]
    pub fn accepting_unsigned_modules(&self) -> String {
        accepting(self.command_line.iter().map(String::as_str))
    }
}

/// The calls that make a kernel of this command line accept unsigned modules.
pub(crate) fn accepting<'a>(arguments: impl IntoIterator<Item = &'a str>) -> String {
    let arguments: Vec<Parsed> = arguments.into_iter().map(Parsed::of).collect();
    let refuses = |name: &str| {
        let last = arguments.iter().rfind(|argument| argument.name == name);
        last.is_some_and(|argument| match name {
            "lockdown" => argument.is_one_of(&["integrity", "confidentiality"]),
            _ => !argument.is_off(),
        })
    };
    let calls = REFUSING.iter().filter(|(name, _)| refuses(name));
    let calls: Vec<String> =
        calls.map(|(_, instead)| format!("`.dangerous_command_line({instead:?})`")).collect();
    calls.join(" and ")
}
