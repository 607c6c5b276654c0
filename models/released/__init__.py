"""Released models: judged among other members, saved, read again and described."""
