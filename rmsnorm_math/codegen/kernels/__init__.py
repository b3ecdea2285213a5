"""Row kernels: a program whose sums run along a row, or over the rows, as one fused kernel."""
