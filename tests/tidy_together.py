"""Runs clang-tidy over sources that the compilation database build/tidy/ knows.

    tests/tidy_together.py storage server/rpc     those in these folders and below

Nearly all of clang-tidy's time goes into the headers of libraries. So the sources of a folder are read as one,
which takes a fifth of the time; where two of them give one name to different things, each half of them is.
"""

import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess
import sys

BUILD = pathlib.Path("build/tidy").absolute()


def commands(folders):
    """The compiler's command for each source below `folders`."""
    listed = subprocess.run(["git", "ls-files", "--", *folders], check=True, capture_output=True, text=True)
    wanted = {os.path.abspath(name) for name in listed.stdout.splitlines()}
    database = json.loads((BUILD / "compile_commands.json").read_text())
    return {entry["file"]: shlex.split(entry["command"]) for entry in database if entry["file"] in wanted}


def flags_of(command):
    """The arguments that say how a source is read, of the compiler's command."""
    return [word for word in command if word.startswith(("-D", "-I", "-W", "-std="))] + [
        word for i, word in enumerate(command) if word == "-isystem" or command[i - 1] == "-isystem"
    ]


def check(sources, flags):
    """What clang-tidy finds in `sources`; nothing if it finds nothing."""
    unit = BUILD / "together" / (os.path.relpath(sources[0]).replace("/", "-") + f"-{len(sources)}.cc")
    unit.parent.mkdir(exist_ok=True)
    unit.write_text("".join(f'#include "{source}"\n' for source in sources))
    if len(sources) > 1:
        compiled = subprocess.run(["clang++", "-fsyntax-only", "-w", *flags, unit], capture_output=True)
        if compiled.returncode != 0:
            half = len(sources) // 2
            return check(sources[:half], flags) + check(sources[half:], flags)
    tidy = ["clang-tidy", "--quiet", "--warnings-as-errors=*", unit, "--", *flags]
    done = subprocess.run(tidy, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return "" if done.returncode == 0 else done.stdout or done.stderr


def main():
    groups = {}
    for source, command in sorted(commands(sys.argv[1:]).items()):
        flags = flags_of(command)
        _, sources = groups.setdefault((os.path.dirname(source), *flags), (flags, []))
        sources.append(source)
    if not groups:
        sys.exit(f"tidy: no sources in {' '.join(sys.argv[1:])}")
    failed = False
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        checks = {pool.submit(check, sources, flags): sources for flags, sources in groups.values()}
        for done in concurrent.futures.as_completed(checks):
            folder = os.path.relpath(os.path.dirname(checks[done][0]))
            print(done.result() or f"{folder}: {len(checks[done])} sources", flush=True)
            failed = failed or bool(done.result())
    sys.exit(failed)


if __name__ == "__main__":
    main()
