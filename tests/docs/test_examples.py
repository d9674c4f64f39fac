"""Registry files that the documentation shows are real ones: they compile as they stand."""

from __future__ import annotations

from datetime import date

import pytest

from pointsman.catalog import Catalog
from pointsman.registry import RegistryInvalid, compile_registry
from tests.docs.pages import Fence, fences, pages
from tests.docs.test_pages import label

REGISTRIES = [
    pytest.param(fence, id=label(fence))
    for page in pages()
    for fence in fences(page)
    if fence.language in ("yaml", "yml") and fence.text.startswith("version:")
]


def test_there_are_examples() -> None:
    assert REGISTRIES


@pytest.mark.parametrize("fence", REGISTRIES)
def test_a_whole_registry_file_compiles(fence: Fence, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is whole when it says its version; fragments are not tried."""
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, "sk-example")
    compiled = compile_registry(fence.text, source=label(fence), catalog=Catalog(), today=date(2026, 6, 1))
    assert compiled.document.targets


def test_the_mistake_that_getting_started_shows_is_refused_in_the_words_shown() -> None:
    (page,) = (page for page in pages() if page.name == "getting-started.md")
    registry = next(fence for fence in fences(page) if fence.language == "yaml")
    shown = next(fence for fence in fences(page) if fence.language == "text")
    one = "candidates: [premium:answers-2026-01-15]"
    assert one in registry.text
    text = registry.text.replace(one, one[:-1] + ", local:smollm2-135m-instruct]")
    with pytest.raises(RegistryInvalid) as caught:
        compile_registry(text, source="pointsman.yaml", catalog=Catalog(), today=date(2026, 6, 1))
    assert [" ".join(shown.text.split())] == [str(problem) for problem in caught.value.problems]
