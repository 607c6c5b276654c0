"""Leave for the pages to ask in a researcher's name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "delegations",
        sa.Column("place", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("principal", sa.String(length=64), nullable=False),
        sa.Column("study_digest", sa.String(length=64), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.Column("added", sa.String(length=20), nullable=False),
        sa.ForeignKeyConstraint(["principal"], ["principals.id"]),
        sa.ForeignKeyConstraint(["study_digest"], ["studies.digest"]),
        sa.PrimaryKeyConstraint("place"),
    )
    op.create_index("ix_delegations_principal", "delegations", ["principal"])


def downgrade() -> None:
    op.drop_index("ix_delegations_principal", table_name="delegations")
    op.drop_table("delegations")
