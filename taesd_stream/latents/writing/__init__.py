"""Writes latents: one at a time or part by part, in bounded memory."""
