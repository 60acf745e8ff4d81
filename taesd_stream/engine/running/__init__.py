"""Carries out a plan: the executor, planes, and what tiles remember."""
