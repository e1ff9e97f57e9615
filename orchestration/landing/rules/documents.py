"""Documents: which landed rows are refused, which say nothing new, and which become the version in force.

Here: the statements over `arrived` for one corpus.
Not here: reading files (rows), cutting documents into passages and finding them (generation.retrieval).
"""

from orchestration.landing.rules import Slice, Statement, versions
from orchestration.landing.rules.blanks import is_blank
from orchestration.landing.rules.columns import Column
from orchestration.landing.rules.problems import LONGEST_DOCUMENT, LONGEST_ID, LONGEST_TITLE

TABLE, SCOPE, KEY = "landed_documents", "corpus", "document_id"
COLUMNS = (
    Column("document_id", "scalar", required=True),
    Column("title", required=True),
    Column("text", required=True),
    Column("source"),
    Column("url"),
)
STORED = ("document_id", "version", "title", "text", "source", "url")
_MOST = {
    "document_id": LONGEST_ID,
    "title": LONGEST_TITLE,
    "text": LONGEST_DOCUMENT,
    "source": LONGEST_TITLE,
    "url": LONGEST_TITLE,
}


def needed(corpus: str) -> list[Slice]:
    """What the statements read of the warehouse."""
    return versions.needed(TABLE, SCOPE, corpus, KEY)


def decided(corpus: str) -> list[Statement]:
    """Temporary tables: `listed` (every row as it would be stored), then `refused` and `repeated`."""
    empty = " ".join(f"when {is_blank(name)} then 'missing:{name}'" for name in ("document_id", "title", "text"))
    long = " ".join(f"when length({name}) > {most} then 'too_long:{name}'" for name, most in _MOST.items())
    return [
        (
            f"""
            create temp table listed as
            select *, left(sha256(json_array(document_id, title, text, source, url)::varchar), 32) as version
            from (
                select _line, coalesce(_problem, case {empty} {long} end) as problem,
                    document_id, title, text, nullif(source, '') as source, nullif(url, '') as url
                from arrived
            )""",
            {},
        ),
        versions.REFUSED,
        versions.repeated(TABLE, SCOPE, corpus, KEY),
    ]


def stored(corpus: str, file_hash: str) -> list[Statement]:
    """The rows that are neither refused nor repeated, as versions in force; the last statement inserts."""
    return versions.stored(TABLE, SCOPE, corpus, KEY, STORED, file_hash)
