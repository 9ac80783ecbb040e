def page(d): return b""
