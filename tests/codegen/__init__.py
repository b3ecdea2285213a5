"""Printed code by what it must do: axes, contractions, types, far-out values, names."""
