"""Stored copies of login files: sealed parts in the store, so that every server has them.

An archive is whole or not there: its parts are written one by one, then the account is given it.
What is in it is the nodes' own affair; the server never unpacks it. Domain, over a transaction.
"""

import base64
from typing import Final

import msgspec

from runwatch_server.accounts import holding
from runwatch_server.accounts.rows import AccountRow, ArchivePartRow, ArchiveRow
from runwatch_server.storage.protocols import ReadTx, WriteTx
from runwatch_shared.errors import not_found

PART_BYTES: Final = 256 * 1024
UNFINISHED_US: Final = 3600 * 1_000_000
"""How long one may take to arrive."""
REMOVED_AT_ONCE: Final = 16
"""Parts removed in one transaction."""
_GZIP: Final = b"\x1f\x8b"
_TAR: Final = b"ustar"
_TAR_AT: Final = 257


def is_archive(beginning: bytes) -> bool:
    """Whether this is how a tar file, packed by gzip or not, begins."""
    return beginning.startswith(_GZIP) or beginning[_TAR_AT:].startswith(_TAR)


def part_id(archive_id: str, number: int) -> str:
    return f"{archive_id}.{number:06}"


def begin(tx: WriteTx, archive_id: str, account_id: str) -> None:
    """An archive begins to arrive.

    Raises:
        RefusedError: 404 for the account.
    """
    if tx.kept(AccountRow).get(account_id) is None:
        raise not_found("account")
    tx.kept(ArchiveRow).save(
        ArchiveRow(
            id=archive_id,
            account_id=account_id,
            remove_us=tx.now_us + UNFINISHED_US,
            created_us=tx.now_us,
            updated_us=tx.now_us,
        )
    )


def add(tx: WriteTx, archive_id: str, number: int, sealed: bytes) -> None:
    """One more part, from 0."""
    archive = tx.kept(ArchiveRow).get(archive_id)
    if archive is None:
        raise not_found("account")
    part = ArchivePartRow(
        id=part_id(archive_id, number),
        data=base64.b64encode(sealed).decode(),
        created_us=tx.now_us,
        updated_us=tx.now_us,
    )
    tx.kept(ArchivePartRow).save(part)
    tx.kept(ArchiveRow).save(
        msgspec.structs.replace(
            archive, parts=number + 1, remove_us=tx.now_us + UNFINISHED_US, updated_us=tx.now_us
        )
    )


def finish(tx: WriteTx, archive_id: str, *, size_bytes: int) -> AccountRow:
    """All is there: it is the account's from now on, in the place of the one before.

    Raises:
        RefusedError: 404 where the account was deleted meanwhile.
    """
    archive = tx.kept(ArchiveRow).get(archive_id)
    account = None if archive is None else tx.kept(AccountRow).get(archive.account_id)
    if archive is None or account is None:
        raise not_found("account")
    discard(tx, account.id)
    tx.kept(ArchiveRow).save(
        msgspec.structs.replace(
            archive, whole=True, size_bytes=size_bytes, remove_us=None, updated_us=tx.now_us
        )
    )
    after = msgspec.structs.replace(account, archive_key=archive_id)
    return holding.save(tx, account, after)


def give_up(tx: WriteTx, archive_id: str) -> None:
    """It did not arrive whole: what is there of it goes."""
    archive = tx.kept(ArchiveRow).get(archive_id)
    if archive is not None:
        tx.kept(ArchiveRow).save(msgspec.structs.replace(archive, remove_us=tx.now_us))


def kept_of(tx: ReadTx | WriteTx, account_id: str) -> str | None:
    """The whole archive there is of an account."""
    found = tx.kept(ArchiveRow).find(account_id=account_id, newest_first=True, limit=100)
    return next((each.id for each in found if each.whole and each.remove_us is None), None)


def discard(tx: WriteTx, account_id: str) -> None:
    """The whole archives of an account are to go."""
    for archive in tx.kept(ArchiveRow).find(account_id=account_id, limit=100):
        if archive.whole:
            tx.kept(ArchiveRow).save(
                msgspec.structs.replace(archive, whole=False, remove_us=tx.now_us)
            )


def stored(tx: ReadTx, account_id: str) -> ArchiveRow:
    """The archive of an account.

    Raises:
        RefusedError: 404 for the account, or where it has none.
    """
    account = tx.kept(AccountRow).get(account_id)
    if account is None:
        raise not_found("account")
    archive = None
    if account.archive_key is not None:
        archive = tx.kept(ArchiveRow).get(account.archive_key)
    if archive is None:
        raise not_found("volume_archive")
    return archive


def part(tx: ReadTx, archive_id: str, number: int) -> bytes | None:
    """A part as it was sealed; None where it is gone."""
    found = tx.kept(ArchivePartRow).get(part_id(archive_id, number))
    return None if found is None else base64.b64decode(found.data)


def sweep(tx: WriteTx) -> bool:
    """Remove some of what is to go; whether there is more."""
    due = tx.kept(ArchiveRow).due(tx.now_us, limit=1)
    for archive in due:
        first = max(0, archive.parts - REMOVED_AT_ONCE)
        for number in range(first, archive.parts):
            tx.kept(ArchivePartRow).delete(part_id(archive.id, number))
        if first:
            tx.kept(ArchiveRow).save(msgspec.structs.replace(archive, parts=first))
        else:
            tx.kept(ArchiveRow).delete(archive.id)
    return bool(due)
