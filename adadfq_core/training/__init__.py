"""The training loop of the game: schedules, evaluation, checkpoints."""
