//! The pages of the rules of units.

use bedplate_core::{Rule, Unit, User, example};

pub(in crate::step) static NO_UNIT_TO_ENABLE: Rule = Rule {
    code: "no-unit-to-enable",
    title: "a unit that is enabled is in the image",
    why: "Enabling makes the links that a unit's [Install] section says, so the unit has to be there: brought by a \
          package, an overlay, or `.unit(…)`.",
    wrong: example!(|device| device.enable("dokcer.service")),
    right: example!(|device| device.enable("docker.service").bind("/var/lib/docker")),
};

pub(in crate::step) static NOTHING_TO_ENABLE: Rule = Rule {
    code: "nothing-to-enable",
    title: "a unit that is enabled has an [Install] section",
    why: "The section says what starts the unit. One without it is static: something else names it, or nothing starts \
          it at all.",
    wrong: example!(|device| device
        .unit(Unit::new("units/hello.service", "[Service]\nExecStart=true\n"))
        .enable("hello.service")),
    right: example!(|device| device.enable("hello.service").unit(Unit::new(
        "units/hello.service",
        "[Service]\nExecStart=true\n[Install]\nWantedBy=multi-user.target\n",
    ))),
};

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

pub(in super::super) static DROP_IN_OF_NO_UNIT: Rule = Rule {
    code: "drop-in-of-no-unit",
    title: "a drop-in is for a unit of the image",
    why: "systemd reads `NAME.d/*.conf` when it reads the unit NAME, and not at all where there is no such unit. A \
          misspelt name is an error; any other is a warning, since the package may be of another image.",
    wrong: example!(|device| device
        .file("/etc/systemd/system/dokcer.service.d/10-ours.conf", "[Service]\nRestart=always\n")),
    right: example!(|device| device
        .file("/etc/systemd/system/docker.service.d/10-ours.conf", "[Service]\nRestart=always\n")),
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

pub(in super::super) static WISH_FOR_NO_UNIT: Rule = Rule {
    code: "wish-for-no-unit",
    title: "a unit that another asks for is in the image",
    why: "systemd ignores Wants=, Upholds=, OnFailure= and OnSuccess= on units that do not exist, and After= and Before= \
          as well. This is a warning: nothing fails for it. Of After= and Before= only a misspelt name is told, since \
          ordering after what is not installed is common.",
    wrong: example!(|device| device.enable("hello.service").unit(Unit::new(
        "units/hello.service",
        "[Unit]\nWants=dokcer.service\n[Service]\nExecStart=true\n[Install]\nWantedBy=multi-user.target\n",
    ))),
    right: example!(|device| device.enable("hello.service").bind("/var/lib/docker").unit(Unit::new(
        "units/hello.service",
        "[Unit]\nWants=docker.service\n[Service]\nExecStart=true\n[Install]\nWantedBy=multi-user.target\n",
    ))),
};

pub(in super::super) static NO_SUCH_PROGRAM: Rule = Rule {
    code: "no-such-program",
    title: "a program that a unit starts is in the image and executable",
    why: "The unit would fail with 203/EXEC at each start. The interpreter in a script's first line counts as well, \
          and of a program that the description brings, its machine and its libraries. A program on a data partition \
          or below a directory that is kept may come later, and so may one whose unit has ConditionPathExists= for it.",
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

pub(in super::super) static LINE_OF_NO_VARIABLE: Rule = Rule {
    code: "line-of-no-variable",
    title: "a line of an environment file is an assignment",
    why: "systemd reads NAME=value, and leaves out any other line with a word in the journal. An environment file is no \
          script: `export` and commands mean nothing in it.",
    wrong: example!(|device| device.enable("hello.service").file("/etc/hello", "export LEVEL=3\n").unit(
        Unit::new(
            "units/hello.service",
            "[Service]\nEnvironmentFile=/etc/hello\nExecStart=true\n[Install]\nWantedBy=multi-user.target\n",
        )
    )),
    right: example!(|device| device.enable("hello.service").file("/etc/hello", "LEVEL=3\n").unit(Unit::new(
        "units/hello.service",
        "[Service]\nEnvironmentFile=/etc/hello\nExecStart=true\n[Install]\nWantedBy=multi-user.target\n",
    ))),
};

pub(in super::super) static NO_SHELL: Rule = Rule {
    code: "no-shell",
    title: "a command line of a unit has no words of a shell",
    why: "systemd starts the program itself. `|`, `>` and `&&` become its arguments, and a program that does not mind \
          them does something else than was meant.",
    wrong: example!(|device| device.enable("hello.service").unit(Unit::new(
        "units/hello.service",
        "[Service]\nExecStart=/usr/bin/true > /run/hello\n[Install]\nWantedBy=multi-user.target\n",
    ))),
    right: example!(|device| device.enable("hello.service").unit(Unit::new(
        "units/hello.service",
        "[Service]\nExecStart=/bin/sh -c 'true > /run/hello'\n[Install]\nWantedBy=multi-user.target\n",
    ))),
};
