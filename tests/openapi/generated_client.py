"""A client of the API that a stranger's program has generated from the OpenAPI document."""

import importlib
import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGE = "maybe_client"
GENERATE_S = 120


def generate(document: Any, folder: Path) -> str:
    """Write the package into the folder; the generator's words. Raises AssertionError when it warns of anything."""
    source = folder / "api.json"
    source.write_text(json.dumps(document))
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--path", str(source), "--meta", "none"]
    # It formats by ruff, which is beside this Python.
    environment = {**os.environ, "PATH": f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [*command, "--fail-on-warning", "--output-path", str(folder / PACKAGE)],
        capture_output=True,
        text=True,
        timeout=GENERATE_S,
        env=environment,
        check=False,
    )
    words = done.stdout + done.stderr
    assert done.returncode == 0, words
    assert "warning" not in words.lower(), words
    return words


class Generated:
    """The generated package: `client`, models by their names, and calls by their operation ids."""

    def __init__(self, folder: Path, base_url: str) -> None:
        """Import it from this folder; any status that the document does not name raises."""
        sys.path.insert(0, str(folder))
        try:
            self.models = importlib.import_module(f"{PACKAGE}.models")
            client: Any = importlib.import_module(f"{PACKAGE}.client")
        finally:
            sys.path.remove(str(folder))
        self._calls = {path.stem: self._module(path) for path in (folder / PACKAGE / "api").glob("*/[a-z]*.py")}
        self.client = client.Client(base_url=base_url, raise_on_unexpected_status=True, timeout=60)

    @staticmethod
    def _module(path: Path) -> ModuleType:
        return importlib.import_module(f"{PACKAGE}.api.{path.parent.name}.{path.stem}")

    async def call(self, operation_id: str, /, *ids: Any, **given: Any) -> Any:
        """The parsed answer."""
        called: Any = self.module(operation_id)
        return (await called.asyncio_detailed(*ids, client=self.client, **given)).parsed

    def module(self, operation_id: str) -> ModuleType:
        """Where the calls of this operation are."""
        return self._calls[operation_id]

    def model(self, name: str, /, **fields: Any) -> Any:
        """The model of this name, out of a JSON object."""
        return getattr(self.models, name).from_dict(fields)
