"""Molecules with a wanted property: generate, filter, predict, rank."""
