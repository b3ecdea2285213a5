"""What an index is: bound or free, where it runs, and which conditions stand on it.

Inside, a bound index has no name: it is the distance to its sum (`inner`). So nothing can
capture it, and it cannot escape. `enter` brings an expression into that form, `leave` gives
readable names and SymPy's sums back.
"""
