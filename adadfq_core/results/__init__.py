"""Tables of results: which runs they take, the runs themselves, and the files that tell them."""
