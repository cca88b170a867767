"""What may be shown of what the archive holds: not what is to be forgotten, though it is erased later."""

import sqlalchemy as sa

from storage.tables import forgotten, messages, sessions, turns


def shown() -> sa.ColumnElement[bool]:
    """Rows of `messages` that nobody asked to be forgotten, and no answers to such or made from such.

    A few looks into indexes for each row.
    """
    home = sessions.alias("home")
    wished = sa.exists().where(
        forgotten.c.platform == home.c.platform,
        forgotten.c.workspace == home.c.workspace,
        forgotten.c.author_id == messages.c.author_id,
        forgotten.c.before >= messages.c.sent_at,
    )
    here = sa.exists().where(
        home.c.id == messages.c.session_id,
        messages.c.position > home.c.forgotten_upto,
        ~wished.correlate(home, messages),
    )
    unsaid = sa.exists().where(
        turns.c.session_id == messages.c.session_id,
        turns.c.reply_position == messages.c.position,
        turns.c.forgotten,
    )
    return sa.and_(here.correlate(messages), ~unsaid.correlate(messages))
