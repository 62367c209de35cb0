"""The documentation as text: every link leads somewhere, every page has its place."""

from pathlib import Path

import pytest

from tools import docs, pages


def test_every_link_and_anchor_leads_somewhere() -> None:
    assert pages.broken() == []


def test_every_page_has_a_place_on_the_site() -> None:
    assert docs.without_place() == []


@pytest.mark.parametrize("page", pages.pages())
def test_no_two_headings_of_a_page_are_alike(page: str) -> None:
    assert pages.anchors(page)


def test_code_holds_no_links() -> None:
    text = "a [link](to.md#there) and `no [link](here)`,\n``nor `this` [one](x)``; [`code`](c.md)\n"
    found: list[str] = []
    pages.linked(text, lambda _text, target: found.append(target) or "")
    assert found == ["to.md#there", "c.md"]


def test_a_page_is_its_parts() -> None:
    page = "text\n\n<!-- needs: a card -->\n```sh\n# no heading\n```\nmore\n```\nout\n```\n"
    assert [fenced for fenced, _ in pages.parts(page)] == [False, True, False, True, False]
    assert "".join(text for _, text in pages.parts(page)) == page


def test_marks_are_read() -> None:
    readme, guide = pages.blocks("README.md"), pages.blocks("docs/guides/open-webui.md")
    assert [block.terminal for block in readme if block.terminal] == ["first terminal", "second terminal"]
    assert [block.needs for block in guide] == ["Docker, and Open WebUI's image"]
    text = pages.read(guide[0].page).splitlines()
    assert (text[guide[0].line - 1], guide[0].text.splitlines()[0]) == ("```sh", text[guide[0].line])


def test_what_lies_on_the_site_leads_nowhere_else(tmp_path: Path) -> None:
    docs.Stage(tmp_path).run()
    lost: list[str] = []
    for page in tmp_path.rglob("*.md"):

        def told(text: str, target: str, page: Path = page) -> str:
            path = target.partition("#")[0]
            if "://" not in target and path and not (page.parent / path).is_file():
                lost.append(f"{page.relative_to(tmp_path)}: {target}")
            return text

        for fenced, text in pages.parts(page.read_text()):
            if not fenced:
                pages.linked(text, told)
    assert lost == []
    # As Python's Markdown wants it.
    assert docs.spaced("text\n- item\n- other\n") == "text\n\n- item\n- other\n"
    assert docs.spaced("## Heading\n| a |\n|---|\n") == "## Heading\n| a |\n|---|\n"
