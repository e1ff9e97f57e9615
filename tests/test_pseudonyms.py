"""Pseudonyms and the holdout: SQL says what Python says, and the key shows nowhere."""

import hashlib
import hmac
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.assignment import holdout_salt, in_holdout, point
from orchestration.landing.pseudonyms import Pseudonyms
from orchestration.landing.rules.events import held_out_below
from orchestration.settings import Settings

IDENTIFIERS = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


@given(key=st.binary(min_size=1, max_size=200), identifiers=st.lists(IDENTIFIERS, min_size=1, max_size=5))
@settings(deadline=None)
def test_sql_and_python_give_the_standard_hmac(
    connection: duckdb.DuckDBPyConnection, key: bytes, identifiers: list[str]
) -> None:
    pseudonyms = Pseudonyms(key)
    sql = f"select {pseudonyms.sql('one')} from (select unnest($all::varchar[]) as one)"
    rows = connection.execute(sql, {"all": identifiers, **pseudonyms.parameters}).fetchall()

    expected = [hmac.new(key, one.encode(), hashlib.sha256).hexdigest()[:32] for one in identifiers]
    assert [pseudonym for (pseudonym,) in rows] == expected
    assert [pseudonyms.pseudonym(one) for one in identifiers] == expected


@given(
    loop=st.sampled_from(["content", "support"]),
    share=st.floats(0, 1, exclude_min=True, exclude_max=True),
    units=st.lists(IDENTIFIERS, min_size=1, max_size=20),
)
@settings(deadline=None)
def test_sql_and_python_hold_out_the_same_units(
    connection: duckdb.DuckDBPyConnection, loop: str, share: float, units: list[str]
) -> None:
    shares = [share, *(point(holdout_salt(loop), unit) for unit in units)]  # at a unit's own point it is not below
    rows = connection.execute(
        """
        select list(sha256($salt || unit) < below order by place)
        from (select unnest($below::varchar[]) as below),
            (select unnest($units::varchar[]) as unit, unnest(range(len($units))) as place)
        group by below order by below""",
        {"salt": f"{holdout_salt(loop)}:", "below": sorted({held_out_below(edge) for edge in shares}), "units": units},
    ).fetchall()
    expected = {held_out_below(edge): [in_holdout(loop, unit, edge) for unit in units] for edge in shares}
    assert [held for (held,) in rows] == [expected[below] for below in sorted(expected)]


def test_the_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", pseudonym_key=None)
    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(lambda _: Pseudonyms.of(settings).pseudonym("jane"), range(16)))

    (key,) = settings.root.iterdir()
    assert len(names) == 1
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len(key.read_text()) == 64
    assert Pseudonyms.of(Settings(home=tmp_path / "other", pseudonym_key=None)).pseudonym("jane") not in names


def test_a_key_that_is_set_is_used_and_shows_nowhere(tmp_path: Path) -> None:
    key = "correct horse battery staple"
    pseudonyms = Pseudonyms.of(Settings(home=tmp_path, pseudonym_key=key))

    assert pseudonyms.pseudonym("jane") == hmac.new(key.encode(), b"jane", hashlib.sha256).hexdigest()[:32]
    assert list(tmp_path.iterdir()) == []
    assert key not in repr(pseudonyms) + str(pseudonyms) + pseudonyms.sql("unit_id")


def test_an_empty_key_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match="FLYWHEEL_PSEUDONYM_KEY"):
        Pseudonyms(b"")
