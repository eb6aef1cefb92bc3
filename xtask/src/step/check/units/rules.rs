//! The pages of the rules of units.

use bedplate_core::{Rule, Unit, User, example};

pub(in super::super) static NO_SUCH_TARGET: Rule = Rule {
    code: "no-such-target",
    title: "what starts a unit is in the image",
    why: "Enabling a unit makes a link beside the target in its [Install] section. systemd does not mind a target \
          that does not exist, and the unit is never started.",
    wrong: example!(|device| device
        .unit(Unit::new(
            "units/hello.service",
            "[Service]\nExecStart=true\n[Install]\nWantedBy=mulit-user.target\n",
        ))
        .enable("hello.service")),
    right: example!(|device| device
        .unit(Unit::new(
            "units/hello.service",
            "[Service]\nExecStart=true\n[Install]\nWantedBy=multi-user.target\n",
        ))
        .enable("hello.service")),
};

pub(in super::super) static LINK_TO_NO_UNIT: Rule = Rule {
    code: "link-to-no-unit",
    title: "a link that starts a unit leads to one",
    why: "A link in a directory such as multi-user.target.wants starts the unit of its name. Where there is no such \
          unit, systemd goes on without a word. `.enable(…)` makes the link that the unit's [Install] section says, \
          and refuses a name that is not there.",
    wrong: example!(|device| device
        .file("/etc/systemd/system/multi-user.target.wants/helo.service", "[Service]\nExecStart=true\n")),
    right: example!(|device| device.enable("hello.service").unit(Unit::new(
        "units/hello.service",
        "[Service]\nExecStart=true\n[Install]\nWantedBy=multi-user.target\n",
    ))),
};

pub(in super::super) static NO_SUCH_UNIT: Rule = Rule {
    code: "no-such-unit",
    title: "a unit that another needs is in the image",
    why: "A unit with Requires= of one that does not exist is never started. Wants= goes on without it.",
    wrong: example!(|device| device.enable("hello.service").unit(Unit::new(
        "units/hello.service",
        "[Unit]\nRequires=dokcer.service\n[Service]\nExecStart=true\n[Install]\nWantedBy=multi-user.target\n",
    ))),
    right: example!(|device| device.enable("hello.service").unit(Unit::new(
        "units/hello.service",
        "[Unit]\nRequires=docker.service\n[Service]\nExecStart=true\n[Install]\nWantedBy=multi-user.target\n",
    ))),
};

pub(in super::super) static NO_SUCH_PROGRAM: Rule = Rule {
    code: "no-such-program",
    title: "a program that a unit starts is in the image and executable",
    why: "The unit would fail with 203/EXEC at each start. The interpreter in a script's first line counts as well. \
          A program on a data partition or below a directory that is kept may come later, and so may one whose unit \
          has ConditionPathExists= for it.",
    wrong: example!(|device| device.enable("hello.service").unit(Unit::new(
        "units/hello.service",
        "[Service]\nExecStart=/usr/bin/ture\n[Install]\nWantedBy=multi-user.target\n",
    ))),
    right: example!(|device| device.enable("hello.service").unit(Unit::new(
        "units/hello.service",
        "[Service]\nExecStart=/usr/bin/true\n[Install]\nWantedBy=multi-user.target\n",
    ))),
};

pub(in super::super) static NO_SUCH_UNIT_USER: Rule = Rule {
    code: "no-such-unit-user",
    title: "the user and group of a unit are in the image",
    why: "The unit would fail with 217/USER at each start. A user that only a service runs as is a `User::system`; \
          one without files of its own is best left to systemd with DynamicUser=.",
    wrong: example!(|device| device.enable("hello.service").unit(Unit::new(
        "units/hello.service",
        "[Service]\nUser=hello\nExecStart=true\n[Install]\nWantedBy=multi-user.target\n",
    ))),
    right: example!(|device| device.user(User::system("hello").uid(980)).enable("hello.service").unit(
        Unit::new(
            "units/hello.service",
            "[Service]\nUser=hello\nExecStart=true\n[Install]\nWantedBy=multi-user.target\n",
        )
    )),
};

pub(in super::super) static NO_SUCH_UNIT_PATH: Rule = Rule {
    code: "no-such-unit-path",
    title: "files and directories that a unit needs are in the image",
    why: "A unit whose EnvironmentFile=, WorkingDirectory=, ReadWritePaths= or BindPaths= does not exist fails before \
          its program starts. A dash before the path says that it may be missing. What StateDirectory= and its like \
          or tmpfiles.d make, and what is on a data partition or kept, may come later.",
    wrong: example!(|device| device.enable("hello.service").unit(Unit::new(
        "units/hello.service",
        "[Service]\nEnvironmentFile=/etc/hello\nExecStart=true\n[Install]\nWantedBy=multi-user.target\n",
    ))),
    right: example!(|device| device.enable("hello.service").unit(Unit::new(
        "units/hello.service",
        "[Service]\nEnvironmentFile=-/etc/hello\nExecStart=true\n[Install]\nWantedBy=multi-user.target\n",
    ))),
};
