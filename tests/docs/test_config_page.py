from pathlib import Path

from seawall.pipeline.reference import config_page

PAGE = Path(__file__).parents[2] / "docs" / "config.md"


def test_the_config_reference_is_what_the_models_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == config_page(), (
        "write it again: python -c 'from seawall.pipeline.reference import config_page; print(config_page(), end=\"\")'"
    )
