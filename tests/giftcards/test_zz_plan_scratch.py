from datetime import timedelta
from uuid import UUID
import tallystick.giftcards.life_store as ls
from tests.api import Api
from tallystick.base.work import Runtime
from tallystick.base.db import Db
from tests.giftcards.living import new
async def test_plans(api: Api, runtime: Runtime, auditor: Db, owner) -> None:
    for _ in range(3): await new(api)
    t = api.tenant.id
    def fill(sql, *a):
        for i, v in reversed(list(enumerate(a, 1))): sql = sql.replace(f"${i}", v)
        return sql
    tt = f"'{t}'::uuid"
    async with owner.transaction():
        await owner.execute("set local enable_seqscan=off")
        await owner.execute("""insert into gift_cards (tenant_id,id,partner_id,merchant_id,currency,status,value_class,initial_amount,reloadable,code_index,code_sealed,code_tail,expires_at,issued_at,created_at,updated_at)
          select $1, gen_random_uuid(), $1,$1,'USD','active','paid',1,true,uuid_send(gen_random_uuid()),'\\x00','ABCD', timestamptz '2030-01-01' + n * interval '1 minute', now(), now(), now() from generate_series(1,20000) n""", t)
        await owner.execute("analyze gift_cards")
        for sql in (fill(ls.NEXT_EXPIRY, tt), fill(ls.DUE, tt, "timestamptz '2029-01-01'", "200"), fill(ls.CHARGED_BACK_FREE, tt, "200"), fill(ls.DISCOVERY_DUE, "now()"), ls.fill if hasattr(ls,'fill') else fill(ls.PAID_IN, tt, f"array[{tt}]")):
            print("\n-----"); 
            for r in await owner.fetch("explain (analyze, costs off, buffers off) " + sql): print(r[0])
