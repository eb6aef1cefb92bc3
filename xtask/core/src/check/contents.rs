//! Rules of what is left out, removed, and run in the image's tree.

use crate::diagnostic::Diagnostic;
use crate::glob::{Wildcard, fits};
use crate::image::Image;
use crate::image::script::Script;
use crate::location::At;
use crate::plan::FilePlan;
use crate::rule::{Rule, example};
use crate::value::{PathPattern, Value as _};

pub(crate) static MALFORMED_PATTERN: Rule = Rule {
    code: PathPattern::CODE,
    title: "a pattern of paths is absolute and in its normal form",
    why: "It is compared with the paths of files, which begin with a slash and hold neither `..` nor two slashes: a \
          pattern with them would fit nothing.",
    wrong: example!(|device| device.remove("usr/share/doc/")),
    right: example!(|device| device.remove("/usr/share/doc")),
};

pub(crate) static REMOVES_THE_SYSTEM: Rule = Rule {
    code: "removes-the-system",
    title: "the directories of the system are not removed",
    why: "Without `/etc`, `/usr/lib` or dpkg's database there is no system left. In `path_exclude` a `*` also stands \
          for slashes, so that a short pattern fits more than it seems to.",
    wrong: example!(|device| device.path_exclude("/usr*")),
    right: example!(|device| device.path_exclude("/usr/share/man/*")),
};

pub(crate) static INCLUDE_OF_NOTHING: Rule = Rule {
    code: "include-of-nothing",
    title: "a path is included after a pattern that leaves it out",
    why: "dpkg takes the last pattern that fits. An include before every exclude changes nothing.",
    wrong: example!(|device| device
        .path_include("/usr/share/doc/*/copyright")
        .path_exclude("/usr/share/doc/*")),
    right: example!(|device| device
        .path_exclude("/usr/share/doc/*")
        .path_include("/usr/share/doc/*/copyright")),
};

pub(crate) static MALFORMED_SCRIPT: Rule = Rule {
    code: "malformed-script",
    title: "a script begins with `#!` and its lines end with a line feed",
    why: "The kernel starts a script by its first line. With the line endings of Windows it looks for an interpreter \
          whose name ends in a carriage return, and says that there is no such file.",
    wrong: example!(|device| device.script(Script::new("scripts/finish", "systemctl enable agent\n"))),
    right: example!(|device| device.script(Script::new("scripts/finish", "#!/bin/sh\nset -e\n"))),
};

pub(crate) static REMOVES_WHAT_THE_PLAN_WRITES: Rule = Rule {
    code: "removes-what-the-plan-writes",
    title: "what the description asks for is not removed again",
    why: "A file that follows from the description would be gone in the end, and with it what it was for.",
    wrong: example!(|device| device.hostname("edge").remove("/etc/hostname")),
    right: example!(|device| device.hostname("edge")),
};

/// Without any of these nothing starts, or nothing of it can be asked.
const SYSTEM: [&str; 20] = [
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib64",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/lib/systemd",
    "/usr/sbin",
    "/usr/share",
    "/var",
    "/var/lib",
];

pub(super) fn check(image: &Image, found: &mut Vec<Diagnostic>) {
    let contents = &image.contents;
    let removed = contents.removed.iter().map(|path| (path, Wildcard::InName));
    let excluded = contents.filters.iter().filter(|filter| !filter.include);
    for (pattern, wildcard) in removed.chain(excluded.map(|filter| (&filter.pattern, Wildcard::Any))) {
        let text = pattern.value.as_str();
        let below = ["/var/lib/dpkg", "/var/lib/dpkg/status", "/usr/bin/dpkg"];
        let hit = SYSTEM.iter().chain(&below).find(|path| fits(text.as_bytes(), path.as_bytes(), wildcard));
        if let Some(path) = hit {
            let message = format!("`{text}` would leave out `{path}`");
            let mistake = Diagnostic::new(REMOVES_THE_SYSTEM.code, message).at(&pattern.at);
            found.push(mistake.help("name what is below it"));
        }
    }
    let first = contents.filters.iter().position(|filter| !filter.include).unwrap_or(usize::MAX);
    for (_, filter) in contents.filters.iter().enumerate().filter(|(index, _)| *index < first) {
        let message = format!("`{}` is included, but nothing before leaves it out", filter.pattern.value);
        let mistake = Diagnostic::new(INCLUDE_OF_NOTHING.code, message).at(&filter.pattern.at);
        found.push(mistake.help("write it after the `.path_exclude(…)` it is an exception of"));
    }
    found.extend(contents.scripts.iter().filter_map(malformed));
}

/// Holds what is removed against the files that were `generated` from the description.
pub(crate) fn against(image: &Image, generated: &[FilePlan]) -> Vec<Diagnostic> {
    let own = image.files.iter().map(|file| (file.path.value.as_str(), "the description writes it"));
    let files: Vec<_> =
        generated.iter().map(|file| (file.path.as_str(), file.why.as_str())).chain(own).collect();
    let clash = |pattern: &str| {
        files.iter().find(|(path, _)| {
            let mut ends = path.match_indices('/').map(|(end, _)| end).skip(1).chain([path.len()]);
            ends.any(|end| fits(pattern.as_bytes(), &path.as_bytes()[..end], Wildcard::InName))
        })
    };
    let removed = image.contents.removed.iter();
    let clashes = removed.filter_map(|removed| Some((removed, clash(removed.value.as_str())?)));
    let mistake = |(removed, (path, why)): (&At<PathPattern>, &(&str, &str))| {
        let message = format!("`{}` would remove `{path}`: {why}", removed.value);
        let mistake = Diagnostic::new(REMOVES_WHAT_THE_PLAN_WRITES.code, message).at(&removed.at);
        mistake.help("remove the line, or the one that asks for the file")
    };
    clashes.map(mistake).collect()
}

fn malformed(script: &Script) -> Option<Diagnostic> {
    let (reason, help) = if !script.text.starts_with("#!/") {
        ("does not begin with `#!` and the path of an interpreter", "write `#!/bin/sh` in its first line")
    } else if script.text.contains('\r') {
        ("has the line endings of Windows", "convert it with `dos2unix`, or `sed -i 's/\\r$//'`")
    } else {
        return None;
    };
    let message = format!("the script `{}` {reason}", script.name);
    Some(Diagnostic::new(MALFORMED_SCRIPT.code, message).at(&script.at).help(help))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::refusal;
    use crate::rule::device;
    use expect_test::expect;

    const SOURCE: &str = include_str!("contents.rs");

    #[test]
    fn a_pattern_in_another_spelling_is_refused() {
        expect![[r#"
            error[malformed-pattern]: `usr/share/doc/` is not a pattern of paths
              --> xtask/core/src/check/contents.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.remove("usr/share/doc/")),
               |                                            ^^^^^^^^^^^^^^^^ it does not start with `/`
               |
               = help: write `/usr/share/doc`
        "#]]
        .assert_eq(&refusal(&MALFORMED_PATTERN, SOURCE));
    }

    #[test]
    fn a_pattern_that_fits_a_directory_of_the_system_is_refused() {
        expect![[r#"
            error[removes-the-system]: `/usr*` would leave out `/usr`
              --> xtask/core/src/check/contents.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.path_exclude("/usr*")),
               |                                     ^^^^^^^^^^^^^^^^^^^^^
               |
               = help: name what is below it
        "#]]
        .assert_eq(&refusal(&REMOVES_THE_SYSTEM, SOURCE));
        assert!(device().remove("/usr/*").plan().is_err());
        assert!(
            device().remove("/boot/*").remove("/usr/share/*").path_exclude("/usr/share/*").plan().is_ok()
        );
    }

    #[test]
    fn an_include_before_every_exclude_is_refused() {
        expect![[r#"
            error[include-of-nothing]: `/usr/share/doc/*/copyright` is included, but nothing before leaves it
                   out
              --> xtask/core/src/check/contents.rs:LL:CC
               |
            LL |     .path_include("/usr/share/doc/*/copyright")
               |      ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
               |
               = help: write it after the `.path_exclude(…)` it is an exception of
        "#]]
        .assert_eq(&refusal(&INCLUDE_OF_NOTHING, SOURCE));
    }

    #[test]
    fn what_the_plan_writes_is_not_removed() {
        expect![[r#"
            error[removes-what-the-plan-writes]: `/etc/hostname` would remove `/etc/hostname`: the host name
              --> xtask/core/src/check/contents.rs:LL:CC
               |
            LL |     wrong: example!(|device| device.hostname("edge").remove("/etc/hostname")),
               |                                                      ^^^^^^^^^^^^^^^^^^^^^^^
               |
               = help: remove the line, or the one that asks for the file
        "#]]
        .assert_eq(&refusal(&REMOVES_WHAT_THE_PLAN_WRITES, SOURCE));
    }

    #[test]
    fn a_script_that_no_kernel_starts_is_refused() {
        expect![[r#"
            error[malformed-script]: the script `scripts/finish` does not begin with `#!` and the path of an
                   interpreter
              --> xtask/core/src/check/contents.rs:LL:CC
               |
            LL | …: example!(|device| device.script(Script::new("scripts/finish", "systemctl enable agent\n"))),
               |                                    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
               |
               = help: write `#!/bin/sh` in its first line
        "#]].assert_eq(&refusal(&MALFORMED_SCRIPT, SOURCE));
        let windows = device().script(Script::new("a", "#!/bin/sh\r\nexit 0\r\n")).plan().unwrap_err();
        assert!(windows.iter().any(|mistake| mistake.message.contains("line endings of Windows")));
    }

    #[test]
    fn filters_are_in_the_plan_and_in_dpkgs_configuration() {
        let plan = device()
            .path_exclude("/usr/share/doc/*")
            .path_include("/usr/share/doc/*/copyright")
            .remove("/usr/share/locale/*/LC_TIME")
            .script(Script::new("scripts/finish", "#!/bin/sh\n"))
            .plan()
            .unwrap();
        assert_eq!(
            plan.text("/etc/dpkg/dpkg.cfg.d/60-bedplate-paths"),
            Some("path-exclude=/usr/share/doc/*\npath-include=/usr/share/doc/*/copyright\n")
        );
        let page = plan.to_string();
        for word in
            ["/usr/share/doc/*/copyright", "path-include", "LC_TIME", "removed in the end", "scripts/finish"]
        {
            assert!(page.contains(word), "{page}");
        }
    }
}
