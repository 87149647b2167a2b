"""The asset graph as a snapshot, so that every change of it is deliberate."""

from collections import Counter
from pathlib import Path

import dagster as dg

from steer_assets import assets
from steer_assets.assets import STAGES
from steer_assets.definitions import defs
from steer_assets.paths import PACKAGE

SNAPSHOT = Path(__file__).with_name("asset_graph.txt")


def described() -> str:
    graph = defs.resolve_asset_graph()
    lines = []
    for stage in STAGES.values():
        node = graph.get(dg.AssetKey(stage.name))
        upstream = ", ".join(sorted(key.to_user_string() for key in node.parent_keys))
        lines.append(
            f"{stage.name} [{', '.join(stage.dimensions) or 'none'}] {node.group_name} "
            f"v{stage.code_version} <- {upstream or 'catalog'}"
        )
    return "\n".join(lines) + "\n"


def test_the_graph_is_the_one_that_was_agreed() -> None:
    assert described() == SNAPSHOT.read_text()


def test_folders_are_groups_and_public_files_are_assets() -> None:
    """An underscore file is a helper of its folder."""
    folder = Path(assets.__file__).parent
    found = {
        (path.parent.name, path.stem)
        for path in folder.rglob("*.py")
        if not path.stem.startswith("_")
    }
    assert found == {(stage.group, stage.name) for stage in STAGES.values()}
    assert {path.name for path in folder.glob("*.py")} == {"__init__.py"}


def test_no_folder_of_the_package_is_too_full_to_be_read() -> None:
    counts = Counter(path.parent for path in PACKAGE.rglob("*.py"))
    assert {str(folder.relative_to(PACKAGE)): n for folder, n in counts.items() if n > 16} == {}


def test_every_asset_has_what_the_ui_shows() -> None:
    graph = defs.resolve_asset_graph()
    for stage in STAGES.values():
        node = graph.get(dg.AssetKey(stage.name))
        assert len(node.description or "") > 60, stage.name
        assert node.kinds, stage.name
        assert node.code_version == stage.code_version
        assert node.group_name != "default"


def test_settings_named_by_stages_exist_in_studies() -> None:
    from steer_assets.catalog import catalog

    for name in catalog.keys("studies"):
        study = catalog.study(name)
        for stage in STAGES.values():
            assert set(study.settings(stage.settings)) == set(stage.settings)
