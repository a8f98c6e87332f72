"""The Learn page's lessons: one module each, with a model to touch and a question to answer."""
