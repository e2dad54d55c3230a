"""The version of the package, which is that of the daemon it was made with."""

from __future__ import annotations

__version__ = "0.1.0"


def skew_warning(server: str, server_version: str) -> str:
    """What to say about a daemon that is older than this package; "" when it is not."""
    theirs, ours = _parts(server_version), _parts(__version__)
    if not theirs or theirs >= ours:
        return ""
    return (
        f"ckptd at {server} has version {server_version}, older than this package's {__version__}:"
        " what it does not know yet fails with UNIMPLEMENTED or is ignored. Upgrade the daemon"
    )


def _parts(version: str) -> tuple[int, ...]:
    """Major and minor; patches do not change the contract."""
    numbers = version.split(".")[:2]
    return tuple(int(n) for n in numbers) if all(n.isdigit() for n in numbers) else ()
