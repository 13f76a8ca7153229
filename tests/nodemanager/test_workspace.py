"""Workspaces: an own folder, a local one, volumes and git clones, and what is refused."""

import os
import subprocess

import pytest

from runwatch_nodemanager.workspace import WorkspaceError, prepare_workspace
from runwatch_shared.models import GitSource, LocalSource, RunId, VolumeSource, Workspace

RUN = RunId("run-000000000001")


@pytest.fixture
def prepare(tmp_path):
    async def call(wanted, run_id=RUN):
        return await prepare_workspace(
            wanted, folder=tmp_path / "work", volumes=tmp_path / "volumes", run_id=run_id
        )

    return call


@pytest.fixture
def repository(tmp_path):
    path = tmp_path / "source"
    environment = os.environ | {
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@example.invalid",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@example.invalid",
        "GIT_CONFIG_GLOBAL": "/dev/null",
    }

    def git(*arguments):
        told = subprocess.run(
            ["git", "-C", str(path), *arguments],
            env=environment,
            capture_output=True,
            check=True,
            text=True,
        )
        return told.stdout.strip()

    path.mkdir()
    git("init", "--quiet", "--initial-branch=main")
    (path / "file").write_text("one")
    git("add", "file")
    git("commit", "--quiet", "-m", "one")
    first = git("rev-parse", "HEAD")
    (path / "file").write_text("two")
    git("commit", "--quiet", "-am", "two")
    git("branch", "other", first)
    return path, first


async def test_a_run_without_a_workspace_gets_an_empty_folder_of_its_own(prepare, tmp_path):
    made = await prepare(None)
    assert made.path == tmp_path / "work" / RUN
    assert made.type == "none"
    assert made.path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("run_id", ["../up", "a/b", "", ".hidden", "x" * 200])
async def test_an_id_that_is_no_folder_name_is_refused(prepare, run_id):
    with pytest.raises(WorkspaceError):
        await prepare(None, RunId(run_id))


async def test_a_local_folder_is_used_as_it_is(prepare, tmp_path):
    wanted = Workspace(type="local", local=LocalSource(path=str(tmp_path)))
    assert (await prepare(wanted)).path == tmp_path


@pytest.mark.parametrize(
    "source",
    [
        LocalSource(path="relative"),
        LocalSource(path="/no/such/folder/anywhere"),
        LocalSource(path="/", read_only=True),
    ],
)
async def test_a_local_folder_that_cannot_be_had_as_asked_is_refused(prepare, source):
    with pytest.raises(WorkspaceError):
        await prepare(Workspace(type="local", local=source))


async def test_a_volume_keeps_what_runs_leave_in_it(prepare, tmp_path):
    wanted = Workspace(type="volume", volume=VolumeSource(name="data", sub_path="a/b"))
    first = await prepare(wanted)
    (first.path / "kept").write_text("yes")
    again = await prepare(wanted, RunId("run-000000000002"))
    assert (again.path / "kept").read_text() == "yes"


@pytest.mark.parametrize(
    "source",
    [
        VolumeSource(name="../up"),
        VolumeSource(name="a/b"),
        VolumeSource(name="a", sub_path="../b"),
        VolumeSource(name="a", sub_path="/etc"),
        VolumeSource(name="a", sub_path="out/x"),
    ],
)
async def test_a_volume_leads_nowhere_else(prepare, tmp_path, source):
    (tmp_path / "volumes" / "a").mkdir(parents=True)
    (tmp_path / "volumes" / "a" / "out").symlink_to("/tmp")
    with pytest.raises(WorkspaceError):
        await prepare(Workspace(type="volume", volume=source))


async def test_a_clone_has_the_branch_or_commit_that_was_asked_for(prepare, repository):
    path, first = repository
    newest = await prepare(Workspace(type="git", git=GitSource(url=str(path))))
    assert (newest.path / "file").read_text() == "two"
    branch = GitSource(url=str(path), branch="other")
    made = await prepare(Workspace(type="git", git=branch), RunId("run-000000000002"))
    assert (made.path / "file").read_text() == "one"
    commit = GitSource(url=str(path), commit=first)
    made = await prepare(Workspace(type="git", git=commit), RunId("run-000000000003"))
    assert (made.path / "file").read_text() == "one"


@pytest.mark.parametrize(
    "source",
    [
        GitSource(url="--upload-pack=touch /tmp/x"),
        GitSource(url="ext::sh -c true"),
        GitSource(url="x", branch="--help"),
        GitSource(url="x", commit="main; rm"),
        GitSource(url="/no/such/repository"),
    ],
)
async def test_a_clone_that_is_none_is_refused_and_runs_nothing(prepare, source):
    with pytest.raises(WorkspaceError):
        await prepare(Workspace(type="git", git=source))


async def test_a_password_in_an_address_is_not_told(prepare):
    source = GitSource(url="https://me:hush@127.0.0.1:1/x.git")
    with pytest.raises(WorkspaceError) as caught:
        await prepare(Workspace(type="git", git=source))
    assert "hush" not in str(caught.value)
