"""The keys that a database was made with: whoever comes with others is turned away before anything is sealed or sought with them.

With another master key nothing that was sealed opens, and, worse, nobody is found by their phone any more: they would be somebody
new, and everything that is promised once would be promised twice.
"""

from tallystick.base.db import Pool
from tallystick.base.keys import MasterKeys

REMEMBER = """
insert into master_keys (version, proof)
select p.version, p.proof from unnest($1::integer[], $2::bytea[]) as p (version, proof)
on conflict do nothing
"""
KNOWN = "select version, proof from master_keys order by version"


class OtherKeys(Exception):
    """The message says what is wrong and what to do."""


async def prove(pool: Pool, keys: MasterKeys) -> None:
    """Raises OtherKeys unless these are the keys that the database knows; versions that it does not know yet are remembered.

    What is kept of a version tells nothing of it: a key of its own, derived from it by HKDF for this purpose alone.
    """
    proofs = {version: keys.derive("proof", version=version) for version in range(1, keys.current + 1)}
    async with pool.lend() as db:
        known = {row[0]: row[1] for row in await db.rows(KNOWN)}
        if not known.keys() >= proofs.keys() and all(known[version] == proofs.get(version) for version in known):
            await db.run(REMEMBER, list(proofs), list(proofs.values()))
            known = {row[0]: row[1] for row in await db.rows(KNOWN)}
    for version, proof in known.items():
        if version not in proofs:
            raise OtherKeys(
                f"The master key lacks version {version}, which this database was used with. Put the newest file in its place."
            )
        if proofs[version] != proof:
            raise OtherKeys(
                f"This is not the master key that the database was made with: version {version} is another. Put that one back from "
                "your copy; with any other nothing opens and nobody is found."
            )
