"""The derivative of RMSNorm, derived once for every n."""
