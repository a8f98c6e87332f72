"""Charts of a sweep: its table, or what its runs recorded, in; figure out.

Everything drawn that stands for runs carries the list of their ids as `customdata`.
"""
