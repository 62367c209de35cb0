"""Where usage is kept: one table in SQLite or PostgreSQL, through SQLAlchemy. Everything here blocks."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from app.usage.entries import ACCOUNT, SUMS, Account, Used
from app.usage.ledger import Asked, StoreFailed

_TABLE = sql.Table(
    "motley_usage",
    sql.MetaData(),
    *(sql.Column(name, sql.Text, primary_key=True) for name in ACCOUNT if name != "hour"),
    sql.Column("hour", sql.BigInteger, primary_key=True, index=True, autoincrement=False),
    *(
        sql.Column(name, sql.Double if name.endswith("_seconds") else sql.BigInteger, nullable=False)
        for name in SUMS
    ),
)
_INSERT = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
PATIENCE_S = 5  # for a database that does not answer, or is locked
_WAITS = {"connect_timeout": PATIENCE_S, "options": f"-c statement_timeout={PATIENCE_S}s"}


class Store:
    """`url`: `sqlite:///PATH` or `postgresql://…`. Connects at the first use. Raises StoreFailed for one that
    cannot be used at all."""

    def __init__(self, url: str) -> None:
        try:
            place = sql.make_url(url)
            if place.drivername == "postgresql":
                place = place.set(drivername="postgresql+psycopg")
            waits = {"timeout": PATIENCE_S} if _is_file(place) else _WAITS
            self._engine = sql.create_engine(place, connect_args=waits, pool_pre_ping=not _is_file(place))
        except ModuleNotFoundError as error:
            why = f"usage in that database needs the package {error.name}: pip install motley[postgres]"
            raise StoreFailed(why) from None
        except ArgumentError:
            raise StoreFailed("the URL cannot be read") from None
        self._place, self._made = place, False
        insert: Any = _INSERT[self._engine.dialect.name](_TABLE)
        sums = {name: _TABLE.c[name] + insert.excluded[name] for name in SUMS}
        self._adding = insert.on_conflict_do_update(index_elements=ACCOUNT, set_=sums)

    def add(self, batch: Mapping[Account, Used]) -> None:
        """All of it or nothing. Raises StoreFailed."""
        # In one order, whoever writes: two doors that wait for one another would wait for ever.
        rows = sorted(({**who._asdict(), **asdict(what)} for who, what in batch.items()), key=_place)
        with self._connected() as connection:
            connection.execute(self._adding, rows)

    def rows(self, asked: Asked) -> list[dict[str, Any]]:
        """Sums, in the order of `by`. Raises StoreFailed."""
        by = [_TABLE.c[name] for name in asked.by]
        sums = [sql.func.sum(_TABLE.c[name]).cast(_TABLE.c[name].type).label(name) for name in SUMS]
        found = sql.select(*by, *sums).group_by(*by).order_by(*by).limit(asked.most)
        found = found.where(*(_TABLE.c[name] == value for name, value in asked.where.items()))
        if asked.since is not None:
            found = found.where(_TABLE.c.hour >= asked.since)
        if asked.until is not None:
            found = found.where(_TABLE.c.hour < asked.until)
        with self._connected() as connection:
            return [dict(zip((*asked.by, *SUMS), row, strict=True)) for row in connection.execute(found)]

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _connected(self) -> Iterator[sql.Connection]:
        """One transaction."""
        try:
            self._make()
            with self._engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, OSError) as error:
            cause = getattr(error, "orig", None) or error
            raise StoreFailed(type(cause).__name__) from error

    def _make(self) -> None:
        if self._made:
            return
        if _is_file(self._place) and self._place.database:
            Path(self._place.database).parent.mkdir(parents=True, exist_ok=True)
            with self._engine.connect() as connection:
                # Who reads does not hold up who writes.
                connection.execute(sql.text("PRAGMA journal_mode=WAL"))
        _TABLE.metadata.create_all(self._engine)
        self._made = True


def _is_file(place: sql.URL) -> bool:
    return place.get_backend_name() == "sqlite"


def _place(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ACCOUNT)
