"""Close looks at what a run stored and at what its networks do, as data for pages and files."""
