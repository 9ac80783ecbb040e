"""Imports: files of activity of any size, taken a chunk at a time, each line once however often it is sent.

Owns `imports`, `import_parts` and `import_rejections`.
"""

from tallystick.imports.running import run_due

__all__ = ["run_due"]
