"""A database knows the keys that it was made with."""

import asyncio

import pytest

from tallystick.base import known_keys
from tallystick.base.keys import MasterKeys
from tallystick.base.work import Runtime


async def test_other_keys_are_refused_and_the_right_ones_as_often_as_they_come(runtime: Runtime) -> None:
    await asyncio.gather(*(known_keys.prove(runtime.pool, runtime.keys) for _ in range(4)))
    with pytest.raises(known_keys.OtherKeys, match="version 1 is another"):
        await known_keys.prove(runtime.pool, MasterKeys.generate())
    with pytest.raises(known_keys.OtherKeys, match="version 1 is another"):
        await known_keys.prove(runtime.pool, MasterKeys.generate().add_version())
    await known_keys.prove(runtime.pool, runtime.keys)


async def test_what_is_kept_of_a_key_tells_nothing_of_it(runtime: Runtime) -> None:
    await known_keys.prove(runtime.pool, runtime.keys)
    async with runtime.pool.lend() as db:
        [(version, proof)] = [tuple(row) for row in await db.rows(known_keys.KNOWN)]
    purposes = ("secrets", "seal", "wrap", "blind-index", "fingerprint")
    assert (version, len(proof)) == (1, 32)
    assert proof not in [runtime.keys.derive(purpose) for purpose in purposes]
