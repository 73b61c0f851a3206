"""The commands of the quickstart and of the API's examples can be pasted, in order, into a shell.

`./dev` is called with a port of this test's own, and `./dev up` returns when everything works: a test has one terminal.
README prints no command that the quickstart does not (tests/unit/documents).
"""

from pathlib import Path

from tests.cluster.launched import Launched
from tests.documents.commands import Shell, examples
from tests.documents.markdown import text_of
from tests.launch.registry import ROOT
from tests.services.ports import claim_block

DEV = """#!/bin/sh
PATH=${{PATH#*:}}  # without the wrapped curl
[ "$1" != up ] || set -- "$@" --detach
exec "{root}/dev" "$@" --port {port}
"""


def failures(launched: Launched, folder: Path, document: str, least: int) -> list[str]:
    """Run every command of the document; what did not go as printed."""
    (folder / "dev").write_text(DEV.format(root=ROOT, port=launched.port))
    (folder / "dev").chmod(0o755)
    found = examples(text_of(document))
    assert len(found) >= least
    with claim_block().held() as ports:
        shell = Shell(folder, {"API": launched.api, "PORTS": ports.range})
        failed = [reason for example in found if (reason := shell.run(example))]
        shell.close()
    return failed


def test_every_command_of_the_quickstart_works_from_nothing_to_the_end(launched: Launched, tmp_path: Path):
    assert failures(launched, tmp_path, "docs/quickstart.md", 20) == []
    assert "nothing runs" in launched.dev("status").stderr


def test_every_example_of_the_api_answers_as_promised_in_the_order_in_which_it_is_printed(
    launched: Launched, tmp_path: Path
):
    launched.up()
    assert failures(launched, tmp_path, "docs/api.md", 65) == []
