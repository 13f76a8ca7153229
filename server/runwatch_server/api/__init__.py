"""HTTP handlers, one module an area: decode, call, encode."""
