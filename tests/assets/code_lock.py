"""The code of every stage, locked together with its `code_version`.

A stored result counts as current while the `code_version` of its stage is the same, so code that
a stage uses must not change without it. `code_lock.json` holds, of every stage, its version and a
hash of all definitions (functions, classes, constants) that it reaches by name, from its own
function through `assets`, `pipeline` and `resources` into the libraries. A test compares.

After a change of code:

    raise `code_version` in the stages that the test names, then
    python -m tests.assets.code_lock --refresh

A stage whose code changed under the same version is an error, unless results stay the same:

    python -m tests.assets.code_lock --refresh --unchanged "why results are the same"

which records the reason. The hash excludes docstrings, comments and the modules of definitions:
moving or splitting a module changes nothing, but an alias under which a module is used is code.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from tests.assets.code_reach import digest, reach

LOCK = Path(__file__).with_name("code_lock.json")


def current() -> dict[str, tuple[str, dict[str, str]]]:
    """Code version and reached definitions of every stage."""
    import steer_assets.definitions  # noqa: F401 - registers the stages
    from steer_assets.assets import STAGES

    return {
        name: (stage.code_version, reach(stage.make.__module__.partition(".")[2], name))
        for name, stage in sorted(STAGES.items())
    }


def differences(
    lock: dict[str, Any], now: dict[str, tuple[str, dict[str, str]]], *, same_version: bool
) -> dict[str, str]:
    """Stages whose code is not the locked one, with a sentence each; or under the same version."""
    known = set(lock["definitions"].values())
    found = {}
    for name, (version, reached) in now.items():
        locked = lock["stages"].get(name)
        if locked is None:
            if not same_version:
                found[name] = f"{name} is not locked yet: refresh the lock"
            continue
        if locked["digest"] == digest(reached):
            continue
        changed = sorted(key for key, code in reached.items() if code not in known)
        what = ", ".join(changed) or "what it reaches (definitions it no longer uses, or now does)"
        if version == locked["code_version"]:
            found[name] = f"{name}: {what} changed under code_version {version}: raise it"
        elif not same_version:
            found[name] = f"{name}: {what} changed, code_version is raised: refresh the lock"
    return found


def refreshed(
    lock: dict[str, Any], now: dict[str, tuple[str, dict[str, str]]], unchanged: str
) -> dict[str, Any]:
    """The lock of today's code.

    Raises:
        ValueError: code changed under the same version, without a reason why results are the same.
    """
    wrong = differences(lock, now, same_version=True)
    if wrong and not unchanged:
        raise ValueError("\n".join([*wrong.values(), "or give --unchanged with the reason"]))
    stages = {}
    for name, (version, reached) in now.items():
        before = lock["stages"].get(name, {})
        kept = before.get("unchanged", []) if before.get("code_version") == version else []
        reasons = [*kept, unchanged] if name in wrong else kept
        stages[name] = {"code_version": version, "digest": digest(reached)}
        if reasons:
            stages[name]["unchanged"] = reasons
    every = {key: code for _, reached in now.values() for key, code in reached.items()}
    return {"stages": stages, "definitions": dict(sorted(every.items()))}


def read() -> dict[str, Any]:
    return json.loads(LOCK.read_text()) if LOCK.exists() else {"stages": {}, "definitions": {}}


def main() -> int:
    parser = argparse.ArgumentParser(description="Code of stages against their code_version.")
    parser.add_argument("--refresh", action="store_true", help="lock today's code")
    parser.add_argument("--unchanged", default="", help="why results stay the same")
    asked = parser.parse_args()
    lock, now = read(), current()
    if not asked.refresh:
        wrong = differences(lock, now, same_version=False)
        print("\n".join(wrong.values()) or "the code of every stage is the locked one")
        return bool(wrong)
    try:
        LOCK.write_text(json.dumps(refreshed(lock, now, asked.unchanged), indent=1) + "\n")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
