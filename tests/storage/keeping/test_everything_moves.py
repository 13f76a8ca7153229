"""What a store has grown since is kept and moved too: no table and no collection is left out."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw

from runwatch_server.storage.keeping.records import OF_ACCESS, SMALL
from runwatch_server.storage.keeping.sql_filling import ACCESS, TABLES
from runwatch_server.storage.mongo.collections import ROWS
from runwatch_server.storage.mongo.connecting import connect
from runwatch_server.storage.mongo.filled_rows import FilledRows
from runwatch_server.storage.postgres.connection import Connection
from runwatch_server.storage.sqlite import schema
from runwatch_server.storage.statements import statement
from tests.postgres import Cluster

OWN = {"sqlite": {"meta"}, "postgres": {"head", "commits", "servers", "duties", "schema_steps"}}
"""What says how a store stands, and moves with its header or not at all."""


def test_every_table_of_sqlite_is_moved(tmp_path: Path) -> None:
    schema.bring(tmp_path / "new.db")
    with closing(apsw.Connection(str(tmp_path / "new.db"))) as raw:
        names = raw.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    assert {name for (name,) in names} - OWN["sqlite"] == {*TABLES, *ACCESS}


def test_every_table_of_postgresql_is_moved(postgres_cluster: Cluster) -> None:
    tables = statement(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
        " AND relnamespace = 'public'::regnamespace"
    )
    with closing(Connection.open(postgres_cluster.database())) as connection:
        names = {name for (name,) in connection.all(tables)}
    assert names - OWN["postgres"] == {*TABLES, *ACCESS}


def test_every_kind_of_record_of_one_store_is_taken_by_the_others() -> None:
    of_mongo = FilledRows(lambda kind, rows: None).takes
    rest = {"node", "task", "run", "step", "block", "event", "kept", "telemetry", "seen"}
    assert set(of_mongo) == {*rest, *SMALL, *OF_ACCESS}


def test_every_collection_of_mongodb_is_written_by_a_full_store(full: Callable[[str], str]) -> None:
    client, database = connect(full("mongo"))
    with closing(client):
        empty = [kind for kind in ROWS if database[kind].find_one({"gone": None}) is None]
    assert empty == []
