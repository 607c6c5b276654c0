"""Runs of several rounds: their openings, the attempt under way, progress and cancelling"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "under_way",
        sa.Column("plan", sa.String(length=64), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["plan"], ["plans.digest"]),
        sa.PrimaryKeyConstraint("plan"),
    )
    op.create_table(
        "openings",
        sa.Column("plan", sa.String(length=64), nullable=False),
        sa.Column("round", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.Column("totals", sa.LargeBinary(), nullable=False),
        sa.Column("survivors", sa.JSON(), nullable=False),
        sa.Column("receipts", sa.JSON(), nullable=False),
        sa.Column("transcript_sha256", sa.String(length=64), nullable=False),
        sa.Column("transcript", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["plan"], ["plans.digest"]),
        sa.PrimaryKeyConstraint("plan", "round"),
    )
    with op.batch_alter_table("releases") as batch_op:
        batch_op.drop_column("transcript")
    with op.batch_alter_table("runs") as batch_op:
        batch_op.add_column(sa.Column("opened", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(
            sa.Column("cancelling", sa.Boolean(), nullable=False, server_default=sa.false())
        )


def downgrade() -> None:
    with op.batch_alter_table("runs") as batch_op:
        batch_op.drop_column("cancelling")
        batch_op.drop_column("opened")
    with op.batch_alter_table("releases") as batch_op:
        batch_op.add_column(sa.Column("transcript", sa.LargeBinary(), nullable=True))
    op.drop_table("openings")
    op.drop_table("under_way")
