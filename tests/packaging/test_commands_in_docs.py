"""Every command of README and documentation is run, in order, in a fresh directory; what cannot be
is marked on its page with the reason. Both languages have the same commands.
"""

from pathlib import Path

import pytest

from tests.mongo import MongoServer
from tests.packaging.pages import Page, chinese_of, commands_of, page_files, read_page
from tests.packaging.stage import LIMIT_S, Stage
from tests.postgres import Cluster

PAGES = [page for page in map(read_page, page_files()) if page.blocks]
RUN = [page for page in PAGES if page.script().strip()]
READY = {
    "server": "monitor-server serve\n",
    "node": "nodemanager run\n",
}


@pytest.mark.timeout(LIMIT_S + 60)
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_the_commands_of_a_page_do_what_they_say(
    page: Page, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with Stage(tmp_path) as stage:
        if "postgres" in page.needs:
            cluster: Cluster = request.getfixturevalue("postgres_cluster")
            stage.environment["POSTGRES_URL"] = cluster.database()
        if "mongo" in page.needs:
            mongo: MongoServer = request.getfixturevalue("mongo_server")
            stage.environment["MONGO_URL"] = mongo.emptied()
        before = "".join(text for name, text in READY.items() if name in page.needs)
        said = stage.run(before + page.script())
        assert said.returncode == 0, f"{page.name}\n{said.stdout[-3000:]}\n{said.stderr[-3000:]}"


def test_what_is_not_run_says_why() -> None:
    for page in PAGES:
        for block in page.blocks:
            assert block.reason is None or len(block.reason) > 10, (page.name, block.line)
    skipped = sum(block.reason is not None for page in PAGES for block in page.blocks)
    ran = sum(block.reason is None for page in PAGES for block in page.blocks)
    assert ran > skipped, "most commands are run"


@pytest.mark.parametrize("path", page_files(), ids=lambda path: path.name)
def test_both_languages_have_the_same_commands(path: Path) -> None:
    assert commands_of(chinese_of(path)) == commands_of(path)
