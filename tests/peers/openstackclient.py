"""The OpenStack command line that OpenStack wrote, as people use it against any cloud.

It stands in an environment of its own (``openstackclient.lock``). Where that cannot be made, the test that asked for
it fails: a test that is skipped would look like one that passed.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from peers.keystone import environment_of

LOCK: Final = Path(__file__).with_name("openstackclient.lock")

COMMAND_SECONDS_MAX = 60.0
FORMATS: Final = ("list", "issue", "show", "create")


@dataclass(frozen=True, kw_only=True)
class OpenStackClient:
    """``openstack`` for one who is signed in as the variables ``OS_...`` say; ``home`` is an empty folder.

    There is nothing else that it could read settings from, and it asks no proxy.
    """

    program: Path
    home: Path
    variables: Mapping[str, str]

    def asks(self, *words: str, **other: str) -> Any:  # noqa: ANN401  (any JSON)
        """What a command says, read from JSON where it shows something. ``other`` are further variables."""
        done = self.run(*words, **other)
        assert done.returncode == 0, f"openstack {' '.join(words)} ended with {done.returncode}: {done.stderr[-2000:]}"
        return json.loads(done.stdout) if words[-1] in FORMATS or "--format" in words else done.stdout

    def run(self, *words: str, **other: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, however that is."""
        shown = ("--format", "json") if words[-1] in FORMATS else ()
        variables = {"HOME": str(self.home), "PATH": os.defpath, "NO_PROXY": "*", "LC_ALL": "C.UTF-8"}
        return subprocess.run(
            [str(self.program), *words, *shown],
            env={**variables, **self.variables, **other},
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS_MAX,
            check=False,
        )


def openstackclient(home: Path, variables: Mapping[str, str]) -> OpenStackClient:
    """The command line for one who signs in as the variables say."""
    return OpenStackClient(program=environment_of(LOCK) / "bin" / "openstack", home=home, variables=variables)
