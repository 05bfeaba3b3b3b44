"""Tests of the repository: manifest, HACS, documents, brand images, releases and workflows."""

from collections.abc import Iterator
from http import HTTPStatus
import json
import os
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
REPOSITORY = "ha-ochno/ha-ochno"
WORKFLOWS = sorted((GITHUB / "workflows").iterdir())
REQUIREMENTS = sorted(ROOT.glob("requirements_*.in"))
ISSUE_FORMS = sorted((GITHUB / "ISSUE_TEMPLATE").glob("[!c]*.yml"))
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def read_json(path: Path) -> Any:
    """Return the content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


MANIFEST = read_json(PACKAGE / "manifest.json")
HACS = read_json(ROOT / "hacs.json")
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


# Repository


def test_manifest_has_valid_keys_in_order_and_values() -> None:
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
    assert MANIFEST["codeowners"] == [f"@{REPOSITORY.partition('/')[0]}"]
    assert MANIFEST["documentation"] == f"https://github.com/{REPOSITORY}"
    assert MANIFEST["issue_tracker"] == f"https://github.com/{REPOSITORY}/issues"
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", MANIFEST["version"])


def test_hacs_file_has_valid_keys_and_values() -> None:
    assert set(HACS) <= {
        *("name", "content_in_root", "country", "filename", "hacs", "hide_default_branch"),
        *("homeassistant", "persistent_directory", "zip_release", "render_readme"),
    }
    assert HACS["name"] == MANIFEST["name"]
    assert ("filename" in HACS) == bool(HACS.get("zip_release"))
    # The default branch has no archive that HACS could install.
    assert HACS["zip_release"] is True
    assert HACS["hide_default_branch"] is True


def test_minimum_home_assistant_version_is_the_same_in_all_files() -> None:
    minimum = HACS["homeassistant"]
    floor = (ROOT / "requirements_floor.txt").read_text(encoding="utf-8")
    assert re.findall(r"^homeassistant==(.+)$", floor, flags=re.MULTILINE) == [minimum]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert minimum.removesuffix(".0") in re.findall(r"\b20\d{2}\.\d{1,2}\b", readme)
    assert AwesomeVersion(__version__) >= minimum


def test_repository_has_one_integration_a_readme_and_a_license() -> None:
    assert [path.name for path in PACKAGE.parent.iterdir() if path.is_dir()] == [DOMAIN]
    assert (ROOT / "README.md").is_file()
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License\n")


def test_repository_has_the_same_name_in_all_files() -> None:
    patterns = (
        r"github\.com/([\w-]+)/([\w-]+)",
        r"owner=([\w-]+)&(?:amp;)?repository=([\w-]+)",
    )
    folders = ("custom_components", "blueprints", ".github", "docs")
    files = [path for path in ROOT.iterdir() if path.suffix in (".md", ".json", ".toml")]
    files += [path for folder in folders for path in (ROOT / folder).rglob("*.*")]
    checked = 0
    for path in files:
        if path.suffix not in (".md", ".json", ".toml", ".yaml", ".yml", ".py"):
            continue
        for pattern in patterns:
            for owner, name in re.findall(pattern, path.read_text(encoding="utf-8")):
                if "ha-ochno" in (owner, name):
                    assert f"{owner}/{name}" == REPOSITORY, path
                    checked += 1
    assert checked >= 2


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_document_links_and_file_names_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (path.parent / link).exists(), link
    file_name = r"`((?:scripts|tests)/[^ `]*|[\w./-]+\.(?:json|py|svg|yaml))"
    for name in re.findall(file_name, text):
        assert (ROOT / name).exists() or (PACKAGE / name).exists(), name


@pytest.mark.parametrize("path", REQUIREMENTS, ids=lambda path: path.stem)
def test_compiled_requirements_pin_all_packages_of_their_input(path: Path) -> None:
    lines = path.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    pins = {line.split(" ;")[0] for line in lines if not line.lstrip().startswith("#")}
    assert all(re.fullmatch(r"[\w-]+==[\w.!+-]+", pin) for pin in pins)
    for direct in path.read_text(encoding="utf-8").splitlines():
        if direct.startswith("-r "):
            continue
        assert any(pin == direct or pin.startswith(f"{direct}==") for pin in pins), direct


# Brand images


def test_brand_folder_has_all_images_of_home_assistant() -> None:
    assert {path.name for path in (PACKAGE / "brand").iterdir()} == ALLOWED_IMAGES


@pytest.mark.parametrize("name", sorted(ALLOWED_IMAGES))
def test_brand_image_has_valid_size_transparency_and_contrast(name: str) -> None:
    with Image.open(PACKAGE / "brand" / name) as image:
        size = 512 if "@2x" in name else 256
        assert image.format == "PNG"
        if "icon" in name:
            assert image.size == (size, size)
        else:
            assert size // 2 <= min(image.size) <= size
            assert image.width > image.height
        alpha = image.getchannel("A")
        assert alpha.getpixel((0, 0)) == 0, "not transparent"
        assert alpha.getbbox() == (0, 0, *image.size), "not trimmed"
        # Light pixels are hardly visible on a white page, and dark pixels on a black page.
        histogram = image.convert("L").histogram(mask=alpha)
        low_contrast = histogram[:80] if name.startswith("dark_") else histogram[200:]
        assert sum(low_contrast) < 0.05 * sum(histogram)


async def test_brands_endpoint_returns_brand_images_of_integration(
    hass: HomeAssistant, hass_client: ClientSessionGenerator, socket_enabled: None
) -> None:
    assert await async_setup_component(hass, "brands", {})
    client = await hass_client()
    for name in ALLOWED_IMAGES:
        async with client.get(f"/api/brands/integration/{DOMAIN}/{name}") as response:
            assert response.status == HTTPStatus.OK
            assert await response.read() == (PACKAGE / "brand" / name).read_bytes()


# Releases


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a git repository with the current integration, a changelog and the scripts."""
    repository = tmp_path / "repository"
    shutil.copytree(PACKAGE, repository / "custom_components" / DOMAIN)
    shutil.copytree(ROOT / "scripts", repository / "scripts")
    shutil.copy(ROOT / ".gitignore", repository)
    (repository / "CHANGELOG.md").write_text(CHANGELOG)
    cache = repository / "custom_components" / DOMAIN / "__pycache__"
    cache.mkdir(exist_ok=True)
    (cache / "const.cpython-314.pyc").touch()
    run_git(repository, "init --quiet")
    commit_all(repository)
    return repository


def run_git(repository: Path, command: str) -> None:
    """Run a git command in the repository."""
    environment = git_environment() | {"GIT_COMMITTER_DATE": "2026-12-01T12:34:56+0100"}
    user = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    subprocess.run(["git", *user, *command.split()], cwd=repository, env=environment, check=True)


def git_environment() -> dict[str, str]:
    """Return the environment without the variables of a git hook and the settings of the user.

    In a hook, GIT_DIR would make the tests commit to the repository of this file. The settings can
    require signatures, or add hooks to new repositories.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    return environment | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def commit_all(repository: Path) -> None:
    """Commit all files of the repository."""
    run_git(repository, "add .")
    run_git(repository, "commit --quiet --message release")


def run_release(repository: Path, tag: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run scripts/release with a tag, in the parent folder of the repository."""
    return subprocess.run(
        [str(repository / "scripts" / "release"), tag],
        cwd=repository.parent,
        env=git_environment() | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_release_archive_has_exactly_the_committed_files_of_the_integration(
    repository: Path, tmp_path: Path
) -> None:
    (repository / "custom_components" / DOMAIN / "notes.txt").write_text("not committed")
    assert run_release(repository, MANIFEST["version"]).returncode == 0
    with zipfile.ZipFile(tmp_path / HACS["filename"]) as archive:
        contents = {
            info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()
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
    assert {Path(name).suffix for name in contents} == {".js", ".json", ".png", ".py", ".yaml"}


def test_release_archive_has_sorted_entries_with_fixed_time_and_mode(
    repository: Path, tmp_path: Path
) -> None:
    (repository / "custom_components" / DOMAIN / "const.py").chmod(0o755)
    commit_all(repository)
    assert run_release(repository, MANIFEST["version"]).returncode == 0
    with zipfile.ZipFile(tmp_path / HACS["filename"]) as archive:
        entries = archive.infolist()
    names = [entry.filename for entry in entries]
    assert names == sorted(names)
    assert {entry.date_time for entry in entries} == {(2026, 12, 1, 11, 34, 56)}
    assert {entry.external_attr >> 16 for entry in entries} == {0o100644}
    # Compressed bytes depend on the version of zlib.
    assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}


def test_release_archive_of_same_commit_has_same_bytes_in_another_clone(
    repository: Path, tmp_path: Path
) -> None:
    assert run_release(repository, MANIFEST["version"], TZ="UTC").returncode == 0
    clone = tmp_path / "other" / "clone"
    run_git(tmp_path, f"clone --quiet {repository} {clone}")
    assert run_release(clone, MANIFEST["version"], TZ="Asia/Tokyo").returncode == 0
    archive, other = (folder / HACS["filename"] for folder in (tmp_path, clone.parent))
    assert archive.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("tag", [f"v{MANIFEST['version']}", "9.9.9"])
def test_release_with_tag_other_than_version_fails(
    repository: Path, tmp_path: Path, tag: str
) -> None:
    result = run_release(repository, tag)
    assert result.returncode == 1
    assert f"the tag is {tag}, but the version in manifest.json is" in result.stderr
    assert not (tmp_path / HACS["filename"]).exists()


def test_release_prints_notes_of_its_version(repository: Path) -> None:
    assert run_release(repository, MANIFEST["version"]).stdout == "### Added\n\n- A new entity\n"


@pytest.mark.parametrize(
    "section",
    ["", "## Unreleased\n\n- Text", "## {}\n\n## 0.0.1\n\n- Text"],
    ids=["no sections", "other section only", "empty section"],
)
def test_release_without_notes_fails(repository: Path, tmp_path: Path, section: str) -> None:
    version = MANIFEST["version"]
    (repository / "CHANGELOG.md").write_text("# Changelog\n\n" + section.format(version))
    commit_all(repository)
    result = run_release(repository, version)
    assert result.returncode == 1
    assert f'CHANGELOG.md has no text under the heading "## {version}"' in result.stderr
    assert not (tmp_path / HACS["filename"]).exists()


def test_release_guide_puts_first_tag_before_announcement() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    guide = text.partition("\n## Release\n")[2].partition("\n## ")[0]
    steps = re.findall(r"^\d+\. (.+)$", guide, flags=re.MULTILINE)
    [tag] = [number for number, step in enumerate(steps) if step.startswith("Push a tag")]
    [announcement] = [number for number, step in enumerate(steps) if step.startswith("Announce")]
    assert tag < announcement
    assert "Push the first tag before you announce the integration" in guide


# GitHub


def workflow_steps() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the file name and the content of each workflow step."""
    for path in WORKFLOWS:
        for job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values():
            for step in job.get("steps", []):
                yield path.name, step


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_jobs_have_only_the_permissions_they_need(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {}
    write = {"contents": "write", "id-token": "write", "attestations": "write"}
    for name, job in workflow["jobs"].items():
        release = (path.stem, name) == ("release", "release")
        assert job["permissions"] == (write if release else {"contents": "read"}), name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_actions_are_pinned_by_commit_hash_with_version(path: Path) -> None:
    unpinned = {
        *("home-assistant/actions/hassfest@master", "hacs/action@main"),
        "./.github/workflows/test.yml",
    }
    actions = re.findall(r"\buses: (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert actions
    for action in set(actions) - unpinned:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_workflows_pin_one_version_of_each_action() -> None:
    actions = {step["uses"] for _, step in workflow_steps() if "uses" in step}
    names = [action.partition("@")[0] for action in actions]
    assert len(names) == len(set(names))


def test_workflow_checkouts_do_not_keep_credentials() -> None:
    checkouts = [
        step for _, step in workflow_steps() if step.get("uses", "").startswith("actions/checkout@")
    ]
    assert checkouts
    for step in checkouts:
        assert step["with"]["persist-credentials"] is False


def test_dependabot_updates_are_grouped_and_wait_a_week() -> None:
    dependabot = yaml.safe_load((GITHUB / "dependabot.yml").read_text(encoding="utf-8"))
    updates = {update["package-ecosystem"]: update for update in dependabot["updates"]}
    assert updates.keys() == {"uv", "github-actions"}
    for update in updates.values():
        assert [group["patterns"] for group in update["groups"].values()] == [["*"]]
        assert update["cooldown"]["default-days"] >= 7


def test_workflows_are_checked_with_zizmor_and_actionlint() -> None:
    lint = (ROOT / "scripts" / "lint").read_text(encoding="utf-8").splitlines()
    assert ".venv/bin/zizmor --offline --quiet .github" in lint
    commands = [step.get("run") for name, step in workflow_steps() if name == "validate.yml"]
    assert ".venvs/actionlint/bin/actionlint" in commands


def test_workflows_run_executable_scripts_and_all_test_commands() -> None:
    test = yaml.safe_load((GITHUB / "workflows" / "test.yml").read_text(encoding="utf-8"))
    commands = test["jobs"]["test"]["strategy"]["matrix"]["command"]
    assert commands == (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-3:]
    commands += [
        step["run"] for _, step in workflow_steps() if step.get("run", "").startswith("scripts/")
    ]
    assert any(command.startswith("scripts/release ") for command in commands)
    for command in commands:
        assert (ROOT / command.split()[0]).stat().st_mode & 0o111, command


def release_steps() -> list[dict[str, Any]]:
    """Return the steps that build the archive, attest it and create the release."""
    steps = [step for name, step in workflow_steps() if name == "release.yml"]
    [build] = [step for step in steps if "scripts/release " in step.get("run", "")]
    [attest] = [step for step in steps if step.get("uses", "").startswith("actions/attest@")]
    [create] = [step for step in steps if "gh release create " in step.get("run", "")]
    assert [step for step in steps if step in (build, attest, create)] == [build, attest, create]
    return [build, attest, create]


def test_release_workflow_attests_archive_of_hacs_file_before_release() -> None:
    _, attest, _ = release_steps()
    assert attest["with"] == {"subject-path": HACS["filename"]}


@pytest.mark.parametrize(
    ("tag", "prerelease"),
    [
        ("0.2.0", "false"),
        ("10.20.30", "false"),
        ("0.2.0b1", "true"),
        ("v0.2.0b1", "true"),
        ("0.2.0rc1", "true"),
        ("0.2.0-beta.1", "true"),
    ],
)
def test_release_workflow_creates_release_with_archive_and_pre_release_flag(
    tmp_path: Path, tag: str, prerelease: str
) -> None:
    gh = tmp_path / "gh"
    gh.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    gh.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "GITHUB_REF_NAME": tag}
    _, _, create = release_steps()
    command = ["bash", "-e", "-c", create["run"]]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    arguments = result.stdout.splitlines()
    assert arguments[:4] == ["release", "create", tag, HACS["filename"]]
    assert "--verify-tag" in arguments
    assert f"--prerelease={prerelease}" in arguments


@pytest.mark.parametrize("path", ISSUE_FORMS, ids=lambda path: path.stem)
def test_issue_form_requires_diagnostics_and_versions(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert form["name"]
    assert form["description"]
    fields = {item["id"]: item for item in form["body"] if item["type"] != "markdown"}
    texts = [item for item in form["body"] if item["type"] == "markdown"]
    assert len(fields) + len(texts) == len(form["body"]), "duplicate id"
    for field in fields.values():
        assert field["type"] in ("dropdown", "input", "textarea")
        assert field["attributes"]["label"]
    for id_ in ("diagnostics", "integration_version", "home_assistant_version"):
        assert fields[id_]["validations"]["required"] is True


def test_issue_forms_are_bug_report_and_hub_data() -> None:
    assert [path.stem for path in ISSUE_FORMS] == ["bug_report", "hub_data"]
