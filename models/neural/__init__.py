"""Neural networks trained over organisations, one bounded integer vector per member and round.

What is computed of a member's records is computed of that member's records alone; torch, where
it is needed, is loaded only when a gradient is asked for.
"""
