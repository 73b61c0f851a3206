"""What README prints can be pasted, in order, into a shell beside `./dev up`."""

from pathlib import Path

import pytest

from tests.cluster.launched import Launched
from tests.documents.commands import Shell, examples
from tests.launch.registry import ROOT
from tests.services.ports import claim_block


def test_every_example_of_the_api_answers_as_promised_in_the_order_in_which_it_is_printed(
    launched: Launched, tmp_path: Path
):
    launched.up()
    (tmp_path / "dev").write_text(f'#!/bin/sh\nexec "{ROOT}/dev" "$@" --port {launched.port}\n')
    (tmp_path / "dev").chmod(0o755)
    found = examples((ROOT / "README.md").read_text(), "The API by example")
    with claim_block().held() as ports:
        shell = Shell(tmp_path, {"API": launched.api, "PORTS": ports.range})
        broken = [trouble for example in found if (trouble := shell.run(example))]
        shell.close()
    assert len(found) > 60
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(
    ("text", "statuses", "kept"),
    [
        ("curl a", ["200"], True),
        ("curl a", ["404"], False),
        ("curl a", [], False),
        ("curl a  # answers 412", ["412"], True),
        ("curl a  # answers 412", ["200"], False),
        ("A=b", [], True),
    ],
)
def test_an_example_is_kept_by_2xx_or_by_the_status_that_its_comment_promises(
    text: str, statuses: list[str], kept: bool
):
    [example] = examples(f"# t\n## s\n\n```sh\n{text}\n```\n", "s")
    assert example.kept_by(statuses) is kept
