"""What only many machines need."""

from __future__ import annotations

import pytest

from fleetcron.assembly.extras import require_extra
from fleetcron.errors import BadSettings


def test_what_is_not_installed_is_named_with_how_to_install_it() -> None:
    require_extra("json", "the line")
    with pytest.raises(BadSettings, match=r'the line: needs no_such_library, .* with its extra "cluster"'):
        require_extra("no_such_library", "the line")
