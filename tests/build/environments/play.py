"""Prints the commands of the buildspec on standard input as one script, as CodeBuild runs them: in one shell, in order,
to the first that fails."""

import sys
from shlex import quote

from ruamel.yaml import YAML

spec = YAML(typ="safe").load(sys.stdin)
print("#!/bin/bash")
for name, value in spec["env"]["variables"].items():
    # The value of the CodeBuild project wins.
    print(f"export {name}=${{{name}-{quote(str(value))}}}")
for phase in "install", "pre_build", "build", "post_build":
    for command in spec["phases"].get(phase, {}).get("commands", []):
        print(f"{{\n{command.strip()}\n}} || exit 1")
for name in spec["artifacts"]["files"]:
    print(f"test -s {quote(spec['artifacts']['base-directory'])}/{quote(name)} || exit 1")
