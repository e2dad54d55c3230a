"""What the client says on the terminal."""

from __future__ import annotations

import sys

from ckptd import v1


def print_decision(decision: v1.Decision) -> None:
    """Messages to standard output as the reference does, warnings and errors to standard error."""
    for policy in decision.policies:
        if policy.message:
            print(f"\n{policy.message}", flush=True)
        if policy.warning:
            print(f"WARNING: {policy.warning}", file=sys.stderr)
        if policy.HasField("error"):
            print(f"ERROR: policy '{policy.policy}': {policy.error.message}", file=sys.stderr)


def has_words(decision: v1.Decision) -> bool:
    return any(p.message or p.warning or p.HasField("error") for p in decision.policies)


def print_notice(text: str) -> None:
    print(f"ckptd: {text}", file=sys.stderr, flush=True)
