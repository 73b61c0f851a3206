"""Links of documents lead somewhere."""

import pytest

from tests.documents.markdown import DOCUMENTS, ROOT, anchors, links, text_of


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_relative_link_and_anchor_exists(document: str) -> None:
    broken = [
        f"{path.relative_to(ROOT)}#{anchor}"
        for path, anchor in links(document)
        if not path.exists() or (anchor and anchor not in anchors(path))
    ]
    assert broken == []


def test_every_document_is_reached_from_the_readme() -> None:
    reached, new = set[str](), {"README.md"}
    while new:
        reached |= new
        found = {str(path.relative_to(ROOT)) for document in new for path, _ in links(document)}
        new = {path for path in found if path in DOCUMENTS} - reached
    assert set(DOCUMENTS) - reached == set()


@pytest.mark.parametrize("document", [one for one in DOCUMENTS if "\n- [" in text_of(one).partition("\n## ")[0]])
def test_a_table_of_contents_has_every_section_in_order(document: str) -> None:
    head, _, _ = text_of(document).partition("\n## ")
    listed = [line.partition("](#")[2].rstrip(")") for line in head.splitlines() if line.startswith("- [")]
    sections = [line[3:] for line in text_of(document).splitlines() if line.startswith("## ")]
    assert len(listed) == len(sections)
    assert set(listed) <= anchors(ROOT / document)
