"""Linkages between organisations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "linkages",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("transcript", sa.LargeBinary(), nullable=False),
        sa.Column("learnt", sa.JSON(), nullable=False),
        sa.Column("created", sa.String(length=20), nullable=False),
        sa.Column("finished", sa.String(length=20), nullable=True),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("digest"),
    )


def downgrade() -> None:
    op.drop_table("linkages")
