"""The usual stack, doing the job of `POST /api/v1/rewards` as a good engineer would write it.

FastAPI, pydantic 2, SQLAlchemy 2 ORM with asyncpg, uvicorn with uvloop and httptools; one transaction for each request. It writes
the same rows into the same schema, seals with the same keys and gives the same answers.

Left out, in its favour: rate limits, daily maxima, debts that a reward pays off and row-level security (it connects as the owner).
None of the measured requests would meet them.
"""
