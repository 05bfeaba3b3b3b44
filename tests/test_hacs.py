"""What hassfest and HACS ask of a repository, and what a release holds."""

from collections.abc import Iterator
from http import HTTPStatus
import json
from pathlib import Path
import re
import shutil
import subprocess
from typing import Any
import zipfile

from awesomeversion import AwesomeVersion
from PIL import Image
import pytest
from pytest_homeassistant_custom_component.typing import ClientSessionGenerator
import yaml

from custom_components.ochno.const import DOMAIN
from homeassistant.components.brands.const import ALLOWED_IMAGES
from homeassistant.const import __version__
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "custom_components" / DOMAIN
GITHUB = ROOT / ".github"
SLUG = "ha-ochno/ha-ochno"
WORKFLOWS = sorted((GITHUB / "workflows").iterdir())
REQUIREMENTS = sorted(ROOT.glob("requirements_*.in"))
FORMS = sorted((GITHUB / "ISSUE_TEMPLATE").glob("[!c]*.yml"))
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


MANIFEST = read(PACKAGE / "manifest.json")
HACS = read(ROOT / "hacs.json")
CHANGELOG = f"""\
# Changelog

## Unreleased

- Not released yet

## {MANIFEST["version"]} - 2026-12-01

### Added

- A new entity

## 0.0.1 - 2026-01-01

- An older change
"""


# The repository


def test_manifest() -> None:
    keys = list(MANIFEST)
    assert keys == ["domain", "name", *sorted(keys[2:])]
    assert set(keys) <= {
        *("domain", "name", "after_dependencies", "codeowners", "config_flow", "dependencies"),
        *("documentation", "integration_type", "iot_class", "issue_tracker", "loggers"),
        *("quality_scale", "requirements", "version"),
    }
    assert MANIFEST["domain"] == PACKAGE.name
    assert MANIFEST["requirements"] == []
    assert MANIFEST["config_flow"] is True
    assert MANIFEST["codeowners"] == [f"@{SLUG.partition('/')[0]}"]
    assert MANIFEST["documentation"] == f"https://github.com/{SLUG}"
    assert MANIFEST["issue_tracker"] == f"https://github.com/{SLUG}/issues"
    assert re.fullmatch(r"\d+\.\d+\.\d+", MANIFEST["version"])


def test_hacs() -> None:
    assert set(HACS) <= {
        *("name", "content_in_root", "country", "filename", "hacs", "hide_default_branch"),
        *("homeassistant", "persistent_directory", "zip_release", "render_readme"),
    }
    assert HACS["name"] == MANIFEST["name"]
    assert ("filename" in HACS) == bool(HACS.get("zip_release"))


def test_oldest_home_assistant_is_the_same_for_hacs_the_readme_and_the_tests() -> None:
    oldest = HACS["homeassistant"]
    assert (
        f"Home Assistant {oldest.removesuffix('.0')} or later" in (ROOT / "README.md").read_text()
    )
    # Equal on the floor: `scripts/test --floor` runs this, too.
    assert AwesomeVersion(__version__) >= oldest


def test_repository_is_of_the_shape_that_hacs_installs() -> None:
    assert [path.name for path in PACKAGE.parent.iterdir() if path.is_dir()] == [DOMAIN]
    assert (ROOT / "README.md").read_text(encoding="utf-8").startswith("# Ochno")
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert text.startswith("MIT License\n")
    assert "WITHOUT WARRANTY OF ANY KIND" in text


def test_repository_is_the_same_wherever_it_is_named() -> None:
    patterns = (
        r"github\.com/([\w-]+)/([\w-]+)",
        r"owner=([\w-]+)&(?:amp;)?repository=([\w-]+)",
    )
    folders = ("custom_components", "blueprints", ".github", "docs")
    files = [path for path in ROOT.iterdir() if path.suffix in (".md", ".json", ".toml")]
    files += [path for folder in folders for path in (ROOT / folder).rglob("*.*")]
    named = 0
    for path in files:
        if path.suffix not in (".md", ".json", ".toml", ".yaml", ".yml", ".py"):
            continue
        for pattern in patterns:
            for owner, name in re.findall(pattern, path.read_text(encoding="utf-8")):
                if "ha-ochno" in (owner, name):
                    assert f"{owner}/{name}" == SLUG, path
                    named += 1
    assert named >= 2


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_document_names_only_what_there_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (path.parent / link).exists(), link
    file = r"`((?:scripts|tests)/[^ `]*|[\w./-]+\.(?:json|py|svg|yaml))"
    for name in re.findall(file, text):
        assert (ROOT / name).exists() or (PACKAGE / name).exists(), name


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.stem)
def test_compiled_requirements_pin_all_packages_of_their_input(path: Path) -> None:
    lines = path.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    pins = {line.split(" ;")[0] for line in lines if not line.lstrip().startswith("#")}
    assert all(re.fullmatch(r"[\w-]+==[\w.!+-]+", pin) for pin in pins)
    for direct in path.read_text(encoding="utf-8").splitlines():
        assert any(pin == direct or pin.startswith(f"{direct}==") for pin in pins), direct


# Brand images


def test_every_brand_image_that_home_assistant_asks_for_is_there() -> None:
    assert {path.name for path in (PACKAGE / "brand").iterdir()} == ALLOWED_IMAGES


@pytest.mark.parametrize("name", sorted(ALLOWED_IMAGES))
def test_brand_image_keeps_the_rules(name: str) -> None:
    with Image.open(PACKAGE / "brand" / name) as image:
        size = 512 if "@2x" in name else 256
        assert image.format == "PNG"
        if "icon" in name:
            assert image.size == (size, size)
        else:
            assert size // 2 <= min(image.size) <= size
            assert image.width > image.height
        opacity = image.getchannel("A")
        assert opacity.getpixel((0, 0)) == 0, "not transparent"
        assert opacity.getbbox() == (0, 0, *image.size), "not trimmed"
        # Of little may the background be taken: white, or for the others black.
        shades = image.convert("L").histogram(mask=opacity)
        unseen = shades[:80] if name.startswith("dark_") else shades[200:]
        assert sum(unseen) < 0.05 * sum(shades)


async def test_home_assistant_shows_the_brand_images(
    hass: HomeAssistant, hass_client: ClientSessionGenerator, socket_enabled: None
) -> None:
    assert await async_setup_component(hass, "brands", {})
    client = await hass_client()
    for name in ALLOWED_IMAGES:
        async with client.get(f"/api/brands/integration/{DOMAIN}/{name}") as answer:
            assert answer.status == HTTPStatus.OK
            assert await answer.read() == (PACKAGE / "brand" / name).read_bytes()


# Releases


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a repository in which the integration as it is here has been committed."""
    repository = tmp_path / "repository"
    shutil.copytree(PACKAGE, repository / "custom_components" / DOMAIN)
    shutil.copytree(ROOT / "scripts", repository / "scripts")
    shutil.copy(ROOT / ".gitignore", repository)
    (repository / "CHANGELOG.md").write_text(CHANGELOG)
    cache = repository / "custom_components" / DOMAIN / "__pycache__"
    cache.mkdir(exist_ok=True)
    (cache / "const.cpython-314.pyc").touch()
    git(repository, "init --quiet")
    commit(repository)
    return repository


def git(repository: Path, command: str) -> None:
    user = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    subprocess.run(["git", *user, *command.split()], cwd=repository, check=True)


def commit(repository: Path) -> None:
    git(repository, "add .")
    git(repository, "commit --quiet --message release")


def release(repository: Path, tag: str) -> subprocess.CompletedProcess[str]:
    folder = repository.parent
    command = [str(repository / "scripts" / "release"), tag]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_release_holds_the_integration_and_nothing_else(repository: Path, tmp_path: Path) -> None:
    (repository / "custom_components" / DOMAIN / "notes.txt").write_text("not committed")
    assert release(repository, MANIFEST["version"]).returncode == 0
    with zipfile.ZipFile(tmp_path / HACS["filename"]) as archive:
        contents = {
            one.filename: archive.read(one) for one in archive.infolist() if not one.is_dir()
        }
    assert contents == {
        str(path.relative_to(PACKAGE)): path.read_bytes()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert contents.keys() >= {
        *("__init__.py", "manifest.json", "icons.json", "quality_scale.yaml"),
        *("translations/en.json", "brand/icon.png", "operated/client.py"),
    }
    assert {Path(name).suffix for name in contents} == {".py", ".json", ".yaml", ".png"}


@pytest.mark.parametrize("tag", [f"v{MANIFEST['version']}", "9.9.9"])
def test_release_is_refused_if_its_tag_is_not_the_version(
    repository: Path, tmp_path: Path, tag: str
) -> None:
    answer = release(repository, tag)
    assert answer.returncode == 1
    assert f"the tag is {tag}, but the version in manifest.json is" in answer.stderr
    assert not (tmp_path / HACS["filename"]).exists()


def test_release_prints_the_notes_of_its_version(repository: Path) -> None:
    assert release(repository, MANIFEST["version"]).stdout == "### Added\n\n- A new entity\n"


@pytest.mark.parametrize("section", ["", "## Unreleased\n\n- Text", "## {}\n\n## 0.0.1\n\n- Text"])
def test_release_without_notes_fails(repository: Path, tmp_path: Path, section: str) -> None:
    version = MANIFEST["version"]
    (repository / "CHANGELOG.md").write_text("# Changelog\n\n" + section.format(version))
    commit(repository)
    result = release(repository, version)
    assert result.returncode == 1
    assert f'CHANGELOG.md has no text under the heading "## {version}"' in result.stderr
    assert not (tmp_path / HACS["filename"]).exists()


# What GitHub runs and asks


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    """Walk over all steps of all jobs."""
    for path in WORKFLOWS:
        for job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values():
            for step in job.get("steps", []):
                yield path.name, step


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_may_do_no_more_than_it_must(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    writing = {name for name, job in workflow["jobs"].items() if "permissions" in job}
    assert writing == ({"release"} if path.stem == "release" else set())


def test_actions_are_pinned_to_a_version_where_they_have_one() -> None:
    used = {step["uses"] for _, step in steps() if "uses" in step}
    unversioned = {"home-assistant/actions/hassfest@master", "hacs/action@main"}
    assert unversioned <= used
    for action in used - unversioned:
        assert re.fullmatch(r"actions/[a-z-]+@v\d+", action), action


def test_workflows_run_what_everybody_runs() -> None:
    test = yaml.safe_load((GITHUB / "workflows" / "test.yml").read_text(encoding="utf-8"))
    commands = test["jobs"]["test"]["strategy"]["matrix"]["command"]
    assert commands == (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-3:]
    commands += [step["run"] for _, step in steps() if step.get("run", "").startswith("scripts/")]
    assert any(command.startswith("scripts/release ") for command in commands)
    for command in commands:
        assert (ROOT / command.split()[0]).stat().st_mode & 0o111, command


def test_release_attaches_the_archive_that_hacs_looks_for() -> None:
    commands = [step.get("run", "") for name, step in steps() if name == "release.yml"]
    assert any(command.startswith("gh release create") for command in commands)
    assert sum(f" {HACS['filename']} " in command for command in commands) == 1


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_issue_form_asks_for_what_helps(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert form["name"]
    assert form["description"]
    fields = {field["id"]: field for field in form["body"] if field["type"] != "markdown"}
    assert len(fields) + sum(field["type"] == "markdown" for field in form["body"]) == len(
        form["body"]
    )
    for field in fields.values():
        assert field["type"] in ("input", "textarea")
        assert field["attributes"]["label"]
    for id_ in ("diagnostics", "integration_version", "home_assistant_version"):
        assert fields[id_]["validations"]["required"] is True


def test_there_are_two_issue_forms() -> None:
    assert [path.stem for path in FORMS] == ["bug_report", "hub_data"]
