"""Accounts over HTTP, and the stored copies of their login files (contract 13)."""

import logging
from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec

from runwatch_server.accounts import archives, book, showing
from runwatch_server.api.bodies import stream_body
from runwatch_server.api.call import Call, Route, json, nothing
from runwatch_server.ids import new_id
from runwatch_server.problems import Answer
from runwatch_server.storage.protocols import ReadTx, WriteTx
from runwatch_shared.errors import RefusedError, StoreUnavailableError
from runwatch_shared.logins import AccountList, AccountRequest, ArchiveStored
from runwatch_shared.logs import log
from runwatch_shared.models import Account

logger: Final = logging.getLogger(__name__)

TAR: Final = "application/x-tar"
GZIP: Final = "application/gzip"
ANY_BYTES: Final = "application/octet-stream"
TYPES: Final = (TAR, GZIP, ANY_BYTES)
_REQUEST: Final = msgspec.json.Decoder(AccountRequest)


async def create(call: Call) -> Answer:
    request, kinds = call.decode(_REQUEST), call.services.agent_types
    row = await call.services.writer.write(lambda tx: book.make(tx, request, kinds))
    _log(call, row.id, "create", "An account was made")
    return json(showing.account_record(row), 201)


async def listing(call: Call) -> Answer:
    types = call.query().several("agent_type")
    rows = await call.services.reader.read(lambda tx: book.listed(tx, types))
    return json(
        AccountList(accounts=[showing.account_record(row) for row in rows], count=len(rows))
    )


async def one(call: Call) -> Answer:
    account_id = call.id("account")
    row = await call.services.reader.read(lambda tx: book.stored(tx, account_id))
    return json(showing.account_record(row))


async def delete(call: Call) -> Answer:
    account_id, purge = call.id("account"), bool(call.query().flag("purge"))
    await call.services.writer.write(lambda tx: book.delete(tx, account_id, purge=purge))
    _log(call, account_id, "purge" if purge else "delete", "An account was deleted")
    return nothing()


async def store_archive(call: Call) -> Answer:
    """Take an archive part by part; nothing of it is ever all in memory, or plain on a disk."""
    account_id, services = call.id("account"), call.services
    kind = call.headers.get(b"content-type", ANY_BYTES.encode()).partition(b";")[0].strip().lower()
    if kind.decode("latin-1") not in TYPES:
        raise RefusedError(
            "unsupported_media_type",
            "the body must be a tar file, packed by gzip or not",
            details={"allowed": list(TYPES)},
        )
    archive_id = f"{new_id('act').removeprefix('act-')}{new_id('act').removeprefix('act-')}"
    await services.writer.write(lambda tx: archives.begin(tx, archive_id, account_id))
    try:
        size = await _take_parts(call, archive_id)
        row = await services.writer.write(
            lambda tx: archives.finish(tx, archive_id, size_bytes=size)
        )
    except BaseException:
        await services.writer.write(lambda tx: archives.give_up(tx, archive_id))
        raise
    _log(call, account_id, "archive", "The login files of an account are stored")
    return json(ArchiveStored(archive_key=row.archive_key or archive_id, size_bytes=size))


async def _take_parts(call: Call, archive_id: str) -> int:
    """Seal and store what comes; gives how many bytes it was."""
    limits = call.services.settings.limits
    size = number = 0
    waiting = bytearray()
    body = stream_body(
        call.headers,
        call.receive,
        most_bytes=limits.archive_bytes,
        silence_s=limits.body_time_s,
    )
    async for piece in body:
        waiting += piece
        while len(waiting) >= archives.PART_BYTES:
            await _store_part(call, archive_id, number, bytes(waiting[: archives.PART_BYTES]))
            del waiting[: archives.PART_BYTES]
            number += 1
            size += archives.PART_BYTES
    if waiting or not number:
        await _store_part(call, archive_id, number, bytes(waiting))
    return size + len(waiting)


async def _store_part(call: Call, archive_id: str, number: int, data: bytes) -> None:
    if number == 0 and not archives.is_archive(data):
        raise RefusedError("invalid_field", "the body is no tar file, packed by gzip or not")
    sealed = call.services.vault.seal_bytes(archives.part_id(archive_id, number), data)

    def work(tx: WriteTx) -> None:
        archives.add(tx, archive_id, number, sealed)

    await call.services.writer.write(work)


async def archive(call: Call) -> Answer:
    account_id, services = call.id("account"), call.services
    found = await services.reader.read(lambda tx: archives.stored(tx, account_id))

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(found.parts):
            sealed = await services.reader.read(_reading(found.id, number))
            if sealed is None:
                raise StoreUnavailableError("the archive was replaced while it was read")
            yield services.vault.open_bytes(archives.part_id(found.id, number), sealed)

    return Answer(stream=pieces(), stream_bytes=found.size_bytes, content_type=ANY_BYTES.encode())


def _reading(archive_id: str, number: int) -> Callable[[ReadTx], bytes | None]:
    return lambda tx: archives.part(tx, archive_id, number)


def _log(call: Call, account_id: str, action: str, sentence: str) -> None:
    log(
        logger,
        logging.INFO,
        "operation",
        sentence,
        id=account_id,
        action=action,
        by=call.principal.name,
    )


_PATH: Final = "/api/v1/accounts"

ROUTES: Final = (
    Route(
        method="POST",
        path=_PATH,
        handler=create,
        summary="Make an account without a login",
        body=AccountRequest,
        answers={201: Account},
        errors=("missing_field", "invalid_field", "invalid_value", "name_taken"),
    ),
    Route(
        method="GET",
        path=_PATH,
        handler=listing,
        summary="List accounts",
        answers={200: AccountList},
        errors=("invalid_parameter",),
        parameters=("agent_type",),
    ),
    Route(
        method="GET",
        path=f"{_PATH}/{{id}}",
        handler=one,
        summary="Read an account",
        answers={200: Account},
        errors=("not_found",),
    ),
    Route(
        method="DELETE",
        path=f"{_PATH}/{{id}}",
        handler=delete,
        summary="Forget an account",
        answers={204: None},
        errors=("invalid_parameter", "not_found", "in_use"),
        parameters=("purge",),
    ),
    Route(
        method="PUT",
        path=f"{_PATH}/{{id}}/volume-archive",
        handler=store_archive,
        summary="Store a copy of an account's login files, sealed",
        body=bytes,
        body_types=TYPES,
        answers={200: ArchiveStored},
        errors=("invalid_field", "not_found", "storage_full", "overloaded"),
    ),
    Route(
        method="GET",
        path=f"{_PATH}/{{id}}/volume-archive",
        handler=archive,
        summary="The stored copy of an account's login files, as it came",
        answers={200: str},
        errors=("not_found",),
        content_type=ANY_BYTES,
    ),
)
