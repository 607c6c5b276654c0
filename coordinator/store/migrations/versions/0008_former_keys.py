"""The keys that a person had before."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("principals") as table:
        table.add_column(sa.Column("former_keys", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    with op.batch_alter_table("principals") as table:
        table.drop_column("former_keys")
