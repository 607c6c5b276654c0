"""The signed steps of every study version"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "study_steps",
        sa.Column("place", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("study_digest", sa.String(length=64), nullable=False),
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["study_digest"], ["studies.digest"]),
        sa.PrimaryKeyConstraint("place"),
        sa.UniqueConstraint("digest"),
    )
    op.create_index("ix_study_steps_study_digest", "study_steps", ["study_digest"])
    op.create_index("ix_study_steps_node", "study_steps", ["node"])


def downgrade() -> None:
    op.drop_table("study_steps")
