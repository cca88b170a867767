"""Where the search index is kept: plain tables, the same on SQLite and PostgreSQL.

A message is first one row of `search_tail`. Some thousands of those at a time are sealed into a bucket:
one row for each term and bucket says which of the bucket's messages hold the term. So recording a
message costs one insert, a search reads the newest buckets first and stops when it has enough, and
forgetting a message changes rows that are in plain sight.
"""

import sqlalchemy as sa

from storage.tables import Id, metadata

FORMAT = 5
"""Raised when the same text gives other terms, or they are kept otherwise: then every index is made anew."""

Term = sa.String().with_variant(sa.String(collation="C"), "postgresql")

search_tail = sa.Table(
    "search_tail",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("session_id", Id, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("platform", sa.String, nullable=False),
    sa.Column("workspace", sa.String, nullable=False),
    sa.Column("channel", sa.String, nullable=False),
    sa.Column("thread", sa.String, nullable=False, comment="empty: whoever reads the channel reads it"),
    sa.Column("author_id", sa.String, nullable=False),
    sa.Column("sent_us", sa.BigInteger, nullable=False, comment="microseconds since 1970"),
    sa.Column("terms", sa.Text, nullable=False, comment="between spaces"),
    sa.Column("stream", sa.Text, nullable=False, comment="words in order, between spaces"),
    sa.UniqueConstraint("session_id", "position", name="uq_search_tail_place"),
)

search_places = sa.Table(
    "search_places",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("platform", sa.String, nullable=False),
    sa.Column("workspace", sa.String, nullable=False),
    sa.Column("channel", sa.String, nullable=False),
    sa.Column("thread", sa.String, nullable=False),
    sa.UniqueConstraint("platform", "workspace", "channel", "thread", name="uq_search_places_key"),
)

search_buckets = sa.Table(
    "search_buckets",
    metadata,
    sa.Column(
        "bucket", sa.BigInteger, primary_key=True, autoincrement=False, comment="newest message, ms, or later"
    ),
    sa.Column("era", sa.Integer, nullable=False, comment="see search_terms"),
    sa.Column("oldest_us", sa.BigInteger, nullable=False),
    sa.Column("places", sa.LargeBinary, nullable=False, comment="of each slot, 4 bytes little-endian"),
)

search_docs = sa.Table(
    "search_docs",
    metadata,
    sa.Column("spot", Id, primary_key=True, autoincrement=False, comment="bucket * 4096 + slot"),
    sa.Column("session_id", Id, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("author_id", sa.String, nullable=False),
    sa.Column("sent_us", sa.BigInteger, nullable=False),
    sa.Column("stream", sa.Text, nullable=False),
    sa.Column("place", Id, nullable=False, server_default="0", comment="of search_places.id"),
    sa.UniqueConstraint("session_id", "position", name="uq_search_docs_place"),
)

search_terms = sa.Table(
    "search_terms",
    metadata,
    sa.Column("era", sa.Integer, primary_key=True, autoincrement=False, comment="sealed in a row"),
    sa.Column("term", Term, primary_key=True),
    sa.Column("bucket", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("slots", sa.LargeBinary, nullable=False, comment="which slots hold the term"),
    sqlite_with_rowid=False,
)
"""By era first: what a bucket writes stays within its era, and is not all over an index that grows."""

search_sealing = sa.Table(
    "search_sealing",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False, comment="1: one bucket at a time"),
    sa.Column("bucket", sa.BigInteger, nullable=False),
    sa.Column("era", sa.Integer, nullable=False),
    sa.Column("owner", sa.String, nullable=False, comment="the process that seals it"),
    sa.Column("lease_until", sa.Double, nullable=False, comment="database clock, seconds"),
    sa.Column("lost", sa.Integer, nullable=False, comment="messages unindexed since it was begun"),
)
"""At most one row: the bucket that is being filled."""

search_backlog = sa.Table(
    "search_backlog",
    metadata,
    sa.Column("done_id", Id, nullable=False, comment="of messages.id: up to here they are in the index"),
    sa.Column("last_id", Id, nullable=False, comment="up to here they were there before the index was"),
    sa.Column("format", sa.Integer, nullable=False, comment="of the index, see FORMAT"),
)
"""One row: what the index still lacks of an archive that is older than it."""
