"""Workspaces: an own folder, a local one, volumes and git clones, and what is refused."""

import os
import subprocess
from pathlib import Path

import pytest

from runwatch_nodemanager.git_clone import Address, GitError
from runwatch_nodemanager.workspace import WorkspaceError, WorkspaceRules, prepare_workspace
from runwatch_shared.models import GitSource, LocalSource, RunId, VolumeSource, Workspace

RUN = RunId("run-000000000001")


def git(path, *arguments):
    environment = os.environ | {
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@example.invalid",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@example.invalid",
        "GIT_CONFIG_GLOBAL": "/dev/null",
    }
    told = subprocess.run(
        ["git", "-C", str(path), *arguments],
        env=environment,
        capture_output=True,
        check=True,
        text=True,
    )
    return told.stdout.strip()


@pytest.fixture
def prepare(tmp_path):
    async def call(wanted, run_id=RUN, **changes):
        rules = {
            "roots": [tmp_path],
            "forbidden": tmp_path / "work",
            "environment": dict(os.environ),
            "protocols": ("https", "ssh", "file"),
        }
        return await prepare_workspace(
            wanted,
            folder=tmp_path / "work",
            volumes=tmp_path / "volumes",
            run_id=run_id,
            rules=WorkspaceRules(**(rules | changes)),
        )

    return call


@pytest.fixture
def repository(tmp_path):
    path = tmp_path / "source"
    path.mkdir()
    git(path, "init", "--quiet", "--initial-branch=main")
    (path / "file").write_text("one")
    git(path, "add", "file")
    git(path, "commit", "--quiet", "-m", "one")
    first = git(path, "rev-parse", "HEAD")
    (path / "file").write_text("two")
    git(path, "commit", "--quiet", "-am", "two")
    git(path, "branch", "other", first)
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


async def test_a_local_folder_outside_the_allowed_ones_is_refused(prepare, tmp_path):
    allowed = tmp_path / "allowed"
    inside = allowed / "in"
    inside.mkdir(parents=True)
    outside = tmp_path / "outside"
    outside.mkdir()
    (allowed / "way-out").symlink_to(outside)
    (allowed / "way-in").symlink_to(inside)

    async def asked(path):
        wanted = Workspace(type="local", local=LocalSource(path=str(path)))
        return (await prepare(wanted, roots=[allowed])).path

    assert await asked(inside) == inside
    assert await asked(allowed / "way-in") == inside
    for path in (
        outside,
        tmp_path,
        allowed / "way-out",
        allowed / ".." / "outside",
        Path(f"{allowed}-beside"),
        Path("/etc"),
    ):
        with pytest.raises(WorkspaceError):
            await asked(path)


async def test_the_nodes_own_folder_is_no_workspace(prepare, tmp_path):
    own = tmp_path / "work" / "x"
    own.mkdir(parents=True)
    with pytest.raises(WorkspaceError, match="belongs to the node"):
        await prepare(Workspace(type="local", local=LocalSource(path=str(own))))


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
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "volumes" / "a" / "out").symlink_to(elsewhere)
    with pytest.raises(WorkspaceError):
        await prepare(Workspace(type="volume", volume=source))
    assert not list(elsewhere.iterdir())


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


async def test_a_repository_outside_the_allowed_folders_is_not_cloned(
    prepare, repository, tmp_path
):
    path, _ = repository
    for url in (str(path), path.as_uri()):
        with pytest.raises(WorkspaceError, match="workspace_roots"):
            await prepare(
                Workspace(type="git", git=GitSource(url=url)), roots=[tmp_path / "elsewhere"]
            )


@pytest.mark.parametrize(
    "way",
    [
        "file://{allowed}/a%23/../secret",
        "file://{allowed}/a#/../secret",
        "file://{allowed}/a?/../secret",
        "{allowed}/gitfile",
        "{allowed}/linked",
        "{allowed}/sibling",
        "{allowed}/names",
        "{allowed}/borrowing",
        "{allowed}/worktree",
    ],
)
async def test_no_repository_leads_git_out_of_the_allowed_folders(
    prepare, repository, tmp_path, way
):
    path, _ = repository
    secret, allowed = tmp_path / "secret", tmp_path / "allowed"
    path.rename(secret)
    for name in ("a", "a#", "a?"):
        (allowed / name).mkdir(parents=True)
        git(allowed / name, "init", "--quiet")
    (allowed / "secret").symlink_to(secret)
    for name in ("gitfile", "linked", "sibling"):
        (allowed / name).mkdir()
    (allowed / "gitfile" / ".git").write_text(f"gitdir: {secret}/.git\n")
    (allowed / "linked" / ".git").symlink_to(secret / ".git")
    (allowed / "sibling.git").symlink_to(secret / ".git")
    for name, part in (("names", "refs"), ("borrowing", "objects")):
        (allowed / name).mkdir()
        git(allowed / name, "init", "--quiet", "--initial-branch=main")
        head = allowed / name / ".git" / "refs" / "heads"
        if part == "refs":
            head.rmdir()
            head.symlink_to(secret / ".git" / "refs" / "heads")
        else:
            (head / "main").write_text(git(secret, "rev-parse", "main") + "\n")
        told = allowed / name / ".git" / "objects" / "info" / "alternates"
        told.write_text(f"{secret}/.git/objects\n")
    git(secret, "worktree", "add", "--quiet", "--detach", str(allowed / "worktree"))
    url = way.format(allowed=allowed)
    with pytest.raises(WorkspaceError):
        await prepare(Workspace(type="git", git=GitSource(url=url)), roots=[allowed])


async def test_a_worktree_and_a_borrower_inside_the_allowed_folders_are_cloned(
    prepare, repository, tmp_path
):
    path, _ = repository
    git(path, "worktree", "add", "--quiet", "--detach", str(tmp_path / "worktree"))
    git(path, "clone", "--quiet", "--shared", str(path), str(tmp_path / "borrower"))
    for number, name in enumerate(("worktree", "borrower", "source")):
        wanted = Workspace(type="git", git=GitSource(url=f"file://{tmp_path}/{name}"))
        made = await prepare(wanted, RunId(f"run-00000000000{number}"))
        assert (made.path / "file").read_text() == "two"


async def test_git_gets_the_folder_that_was_judged_whatever_it_reads_an_address_as(
    prepare, repository
):
    path, _ = repository
    # For git that host is the first part of the path.
    wanted = Workspace(type="git", git=GitSource(url=f"file://localhost{path}"))
    made = await prepare(wanted)
    assert (made.path / "file").read_text() == "two"


async def test_only_the_protocols_of_the_settings_are_used(prepare, repository):
    path, _ = repository
    for url in (str(path), "git://127.0.0.1/x", "http://127.0.0.1/x"):
        with pytest.raises(WorkspaceError, match="does not fetch by"):
            await prepare(Workspace(type="git", git=GitSource(url=url)), protocols=("https",))


async def test_a_shallow_clone_has_as_many_commits_as_were_asked_for(prepare, repository):
    path, _ = repository
    made = await prepare(Workspace(type="git", git=GitSource(url=str(path), depth=1)))
    assert git(made.path, "rev-list", "--count", "HEAD") == "1"


async def test_no_hook_or_helper_of_anybody_runs_while_a_clone_is_made(
    prepare, repository, tmp_path, monkeypatch
):
    path, first = repository
    ran = tmp_path / "ran"
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch {ran}\n")
    script.chmod(0o755)
    template = tmp_path / "template" / "hooks"
    template.mkdir(parents=True)
    for hook in ("post-checkout", "reference-transaction", "fsmonitor-watchman"):
        (template / hook).symlink_to(script)
        (path / ".git" / "hooks" / hook).unlink(missing_ok=True)
        (path / ".git" / "hooks" / hook).symlink_to(script)
    settings = tmp_path / "gitconfig"
    settings.write_text(
        f"[init]\ntemplateDir = {template.parent}\n[core]\nhooksPath = {template}\n"
        f"fsmonitor = {script}\n"
    )
    environment = os.environ | {"HOME": str(tmp_path), "GIT_CONFIG_GLOBAL": str(settings)}
    (tmp_path / ".gitconfig").write_text(settings.read_text())
    made = await prepare(
        Workspace(type="git", git=GitSource(url=str(path), commit=first)), environment=environment
    )
    assert (made.path / "file").read_text() == "one"
    assert not ran.exists()
    assert not (made.path / ".git" / "hooks").exists()


async def test_submodules_are_left_out(prepare, repository, tmp_path):
    path, _ = repository
    modules = '[submodule "x"]\n\tpath = x\n\turl = ext::sh -c touch% /tmp/never\n'
    (path / ".gitmodules").write_text(modules)
    git(path, "add", "-A")
    git(path, "commit", "--quiet", "-m", "modules")
    made = await prepare(Workspace(type="git", git=GitSource(url=str(path))))
    assert (made.path / ".gitmodules").exists()
    assert not (made.path / "x").exists()


async def test_what_an_earlier_try_left_does_not_hinder_a_clone(prepare, repository, tmp_path):
    path, _ = repository
    (tmp_path / "work" / RUN / ".git").mkdir(parents=True)
    made = await prepare(Workspace(type="git", git=GitSource(url=str(path))))
    assert (made.path / "file").read_text() == "two"


@pytest.mark.parametrize(
    ("text", "protocol", "url"),
    [
        ("https://example.org/a.git", "https", "https://example.org/a.git"),
        ("https://me:p%40ss@example.org:8443/a", "https", "https://example.org:8443/a"),
        ("ssh://git@example.org/a", "ssh", "ssh://git@example.org/a"),
        ("git@example.org:team/a.git", "ssh", "git@example.org:team/a.git"),
        ("/srv/a.git", "file", "/srv/a.git"),
        ("file:///srv/a.git", "file", "file:///srv/a.git"),
        ("ext+x://y", "ext+x", "ext+x://y"),
    ],
)
def test_an_address_tells_its_protocol_and_loses_its_password(text, protocol, url):
    address = Address.of(text)
    assert (address.protocol, address.url) == (protocol, url)
    assert ("Basic bWU6cEBzcw==" in (address.header or "")) == ("p%40ss" in text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "-x", "--upload-pack=x", "a\nb", "ext::sh -c x", "ssh://-oProxyCommand=x/y", "a\0b"),
        *("ssh://me:hush@example.org/a", "ftp://me:hush@example.org/a"),
    ],
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(GitError):
        Address.of(text)
