"""Privacy: everything that is kept about a person handed out, and a person erased for good. Each room forgets its own part."""
