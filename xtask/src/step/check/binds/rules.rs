//! The pages of the rules of binds.

use bedplate_core::{Bind, Rule, example};

pub(in super::super) static BIND_OF_UNKNOWN_OWNER: Rule = Rule {
    code: "bind-of-unknown-owner",
    title: "the owner of what is kept is in the image",
    why: "The device makes the directory when it first starts, for a user and a group by name. One that is not in the \
          image's passwd or group is no owner.",
    wrong: example!(|device| device.bind(Bind::new("/var/lib/hello").owner("hello"))),
    right: example!(|device| device.bind(Bind::new("/var/lib/hello").owner("root"))),
};

pub(in super::super) static BIND_FOR_NO_UNIT: Rule = Rule {
    code: "bind-for-no-unit",
    title: "a unit that needs what is kept is spelt as in the image",
    why: "A service that is `required_by` is left out when its data is lost. The setting belongs to the name, and a \
          misspelt one belongs to nobody. A name that is like none of the image's may be of a package that comes \
          later.",
    wrong: example!(|device| device.bind(Bind::new("/var/lib/docker").required_by("dokcer.service"))),
    right: example!(|device| device.bind(Bind::new("/var/lib/docker").required_by("docker.service"))),
};

pub(in super::super) static BIND_THROUGH_LINK: Rule = Rule {
    code: "bind-through-link",
    title: "what is kept is no link of the image",
    why: "The bind is mounted at the end of the link, and its unit is called after another path. What leads into /run \
          is in memory, and nothing can be kept there.",
    wrong: example!(|device| device.bind("/opt/agent")),
    right: example!(|device| device.bind("/opt/agent-1.4")),
};

pub(in super::super) static BIND_OF_OTHER_KIND: Rule = Rule {
    code: "bind-of-other-kind",
    title: "a bind is of the kind of what it covers",
    why: "Only a file can be mounted on a file, and only a directory on a directory.",
    wrong: example!(|device| device.bind(Bind::file("/var/mail"))),
    right: example!(|device| device.bind("/var/mail")),
};

pub(in super::super) static BIND_HIDES_CONTENT: Rule = Rule {
    code: "bind-hides-content",
    title: "a bind hides nothing of the image unless it says so",
    why: "What is kept starts empty, and covers what the packages have at its place: their configuration, or a program. \
          With `seeded`, the device copies it to the data partition once; `empty` says that hiding is meant.",
    wrong: example!(|device| device.bind("/opt/hello")),
    right: example!(|device| device.bind(Bind::new("/opt/hello").seeded())),
};
