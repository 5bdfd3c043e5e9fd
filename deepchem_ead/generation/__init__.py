"""From a trained generator to molecules: sizes, what is asked for, a batch that is kept full."""
