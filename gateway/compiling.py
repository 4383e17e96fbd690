"""Compile what every request passes, and every proxied one, by mypyc, beside its sources under the folder given.

`make compiled` gives it a copy of the packages (``build/compiled``), the image its site-packages. Sources and compiled
modules are the same code; without a C compiler the sources run. Nothing here is needed to run the gateway.

A module that holds a `msgspec.Struct` cannot stand in the list: mypyc makes no classes of a foreign metaclass. Nor can
an asynchronous generator, ``del`` of a name in a coroutine, or a method that is assigned in a class body.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Final

MODULES: Final = (
    "gateway/edge/body.py",
    "gateway/edge/chain.py",
    "gateway/edge/doorway.py",
    "gateway/edge/front_door.py",
    "gateway/edge/outgoing.py",
    "gateway/edge/overdue.py",
    "gateway/edge/routes.py",
    "gateway/identity/identity.py",
    "gateway/identity/verified.py",
    "gateway/kernel/field_values.py",
    "gateway/kernel/passage.py",
    "gateway/kernel/principal.py",
    "gateway/kernel/route.py",
    "gateway/outbound/breaker.py",
    "gateway/outbound/bulkhead.py",
    "gateway/outbound/connections.py",
    "gateway/outbound/http1.py",
    "gateway/outbound/retries.py",
    "gateway/outbound/upstream.py",
    "gateway/systems/proxied/checking.py",
    "gateway/systems/proxied/fields.py",
    "gateway/systems/proxied/passing.py",
    "gateway/telemetry/access.py",
    "policies/audit/policy.py",
    "policies/authenticate/policy.py",
    "policies/authorise/policy.py",
    "policies/canonical_request/policy.py",
    "policies/deprecation/policy.py",
    "policies/message_hygiene/policy.py",
    "policies/rate_limit/charge.py",
    "policies/rate_limit/fields.py",
    "policies/rate_limit/limiter.py",
    "policies/rate_limit/policy.py",
    "policies/rate_limit/quota.py",
    "policies/trace/policy.py",
    "policies/validate_request/policy.py",
    "policies/validate_response/policy.py",
    "policies/version/policy.py",
    "policies/version/tally.py",
)
PACKAGES: Final = ("gateway", "system_apis", "process_apis", "experience_apis", "policies")
NAME: Final = "crossdock_door"


def main() -> None:
    """Compile under `root`; with ``--copy`` the packages of the present folder are copied there first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="where the packages stand, or are copied to")
    parser.add_argument("--copy", action="store_true", help="copy the packages of the present folder first")
    given = parser.parse_args()
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        sys.exit(f"no C compiler ({compiler}): the gateway runs interpreted, which is all that is different")
    if given.copy:
        shutil.rmtree(given.root, ignore_errors=True)
        for package in PACKAGES:
            shutil.copytree(package, given.root / package, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        shutil.copy("pyproject.toml", given.root)
    os.chdir(given.root)
    _compile()


def _compile() -> None:
    from mypyc.build import mypycify  # noqa: PLC0415 - of the development tools
    from setuptools import Distribution  # noqa: PLC0415
    from setuptools.command.build_ext import build_ext  # noqa: PLC0415

    extensions = mypycify([*MODULES], opt_level="3", debug_level="0", group_name=NAME, target_dir=f"{NAME}.build")
    build = build_ext(Distribution({"name": NAME, "ext_modules": extensions}))
    build.inplace = True
    build.build_temp = build.build_lib = f"{NAME}.build"
    build.ensure_finalized()
    build.run()
    shutil.rmtree(f"{NAME}.build")


if __name__ == "__main__":
    main()
