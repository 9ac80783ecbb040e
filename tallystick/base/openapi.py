def document(routes, **k): return {}
def encode(d): return b"{}"
