"""The check of somebody's function: `rmsnorm_math.verify`."""
