"""The run of a script that names none: the script's own name, with a number for each training.

A training that was interrupted is gone on with; one that ended, or is under way in another process,
is left alone, and the next gets a name of its own.
"""

from __future__ import annotations

import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import PurePath
from typing import Optional

from ckptd import v1
from ckptd.client import Client
from ckptd.errors import NotFoundError, UnavailableError

_MAX_STEM = 96


@dataclass(frozen=True)
class RunChoice:
    name: str
    # The state of the run of that name; None when there is none yet, or no daemon to ask.
    found: Optional[v1.Run] = None

    @property
    def interrupted(self) -> bool:
        return self.found is not None and self.found.state == v1.Run.STATE_DISCONNECTED


def choose_run(client: Client, named: Optional[str], *, resume: bool) -> RunChoice:
    """`named`, or $CKPT_RUN, or a name made of the script's. A name that is given is taken as it
    is; of those that are made, an interrupted one only with `resume`."""
    given = named or os.environ.get("CKPT_RUN")
    try:
        if given:
            return RunChoice(given, client.run(given))
        return _next_of(client, script_stem(), resume)
    except NotFoundError:
        return RunChoice(str(given))
    except UnavailableError:
        return RunChoice(given or f"{script_stem()}-{time.strftime('%Y%m%d-%H%M%S')}")


def script_stem() -> str:
    """What the running script is called, in the letters that runs may have."""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    stem = PurePath(main).stem if main else "notebook"
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).lstrip("._-")[:_MAX_STEM]
    return stem or "training"


def _next_of(client: Client, stem: str, resume: bool) -> RunChoice:
    numbered: dict[int, v1.Run] = {}
    for run in client.runs(f'name >= "{stem}" AND name < "{stem}~"'):
        match = re.fullmatch(re.escape(f"runs/{stem}") + r"(?:-([1-9][0-9]{0,8}))?", run.name)
        if match:
            numbered[int(match[1] or 1)] = run
    if not numbered:
        return RunChoice(stem)
    newest = max(numbered)
    choice = RunChoice(numbered[newest].name.split("/", 1)[1], numbered[newest])
    return choice if resume and choice.interrupted else RunChoice(f"{stem}-{newest + 1}")
