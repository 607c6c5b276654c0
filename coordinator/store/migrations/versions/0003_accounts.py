"""People who sign in: accounts, sessions, identities, and what was done about people"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_AT = sa.String(length=20)
_ID = sa.String(length=64)
_HASH = sa.String(length=64)


def upgrade() -> None:
    with op.batch_alter_table("principals") as batch_op:
        batch_op.alter_column("bearer_sha256", existing_type=_HASH, nullable=True)
    op.create_table(
        "accounts",
        sa.Column("principal", _ID, nullable=False),
        sa.Column("login", sa.String(length=64), nullable=False),
        sa.Column("password", sa.String(length=200), nullable=False),
        sa.Column("factor", sa.LargeBinary(), nullable=False),
        sa.Column("last_step", sa.Integer(), nullable=False),
        sa.Column("created", _AT, nullable=False),
        sa.ForeignKeyConstraint(["principal"], ["principals.id"]),
        sa.PrimaryKeyConstraint("principal"),
        sa.UniqueConstraint("login"),
    )
    op.create_table(
        "recovery_codes",
        sa.Column("sha256", _HASH, nullable=False),
        sa.Column("principal", _ID, nullable=False),
        sa.Column("used_at", _AT, nullable=True),
        sa.ForeignKeyConstraint(["principal"], ["principals.id"]),
        sa.PrimaryKeyConstraint("sha256"),
    )
    op.create_index("ix_recovery_codes_principal", "recovery_codes", ["principal"])
    op.create_table(
        "resets",
        sa.Column("code_sha256", _HASH, nullable=False),
        sa.Column("principal", _ID, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("expires", _AT, nullable=False),
        sa.Column("used_at", _AT, nullable=True),
        sa.ForeignKeyConstraint(["principal"], ["principals.id"]),
        sa.PrimaryKeyConstraint("code_sha256"),
    )
    op.create_table(
        "identities",
        sa.Column("issuer", sa.String(length=255), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("principal", _ID, nullable=False),
        sa.Column("created", _AT, nullable=False),
        sa.ForeignKeyConstraint(["principal"], ["principals.id"]),
        sa.PrimaryKeyConstraint("issuer", "subject"),
    )
    op.create_index("ix_identities_principal", "identities", ["principal"])
    op.create_table(
        "sessions",
        sa.Column("id", _ID, nullable=False),
        sa.Column("principal", _ID, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("created", _AT, nullable=False),
        sa.Column("expires", _AT, nullable=False),
        sa.Column("ended_at", _AT, nullable=True),
        sa.ForeignKeyConstraint(["principal"], ["principals.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_sessions_principal", "sessions", ["principal"])
    op.create_table(
        "session_tokens",
        sa.Column("sha256", _HASH, nullable=False),
        sa.Column("session", _ID, nullable=False),
        sa.Column("use", sa.String(length=16), nullable=False),
        sa.Column("expires", _AT, nullable=False),
        sa.Column("used_at", _AT, nullable=True),
        sa.ForeignKeyConstraint(["session"], ["sessions.id"]),
        sa.PrimaryKeyConstraint("sha256"),
    )
    op.create_index("ix_session_tokens_session", "session_tokens", ["session"])
    op.create_table(
        "people_events",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at", _AT, nullable=False),
        sa.Column("actor", _ID, nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("person", _ID, nullable=False),
        sa.Column("detail", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )


def downgrade() -> None:
    op.drop_table("people_events")
    op.drop_table("session_tokens")
    op.drop_table("sessions")
    op.drop_table("identities")
    op.drop_table("resets")
    op.drop_table("recovery_codes")
    op.drop_table("accounts")
    # Who had no token signed in only with what is dropped here: a hash that no token has.
    op.execute("UPDATE principals SET bearer_sha256 = id WHERE bearer_sha256 IS NULL")
    with op.batch_alter_table("principals") as batch_op:
        batch_op.alter_column("bearer_sha256", existing_type=_HASH, nullable=False)
