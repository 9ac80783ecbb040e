"""Each line: body, id, timestamp, signature, secrets and now, each in base64, parted by spaces. A verdict for each."""

import base64
import sys
from pathlib import Path

sys.path.insert(0, str(Path(sys.argv[1]).parent))

from tallystick_webhooks import VerificationError, verify  # type: ignore[import-not-found]

for line in sys.stdin:
    body, *rest = (base64.b64decode(word) for word in line.rstrip("\n").split(" "))
    message_id, timestamp, signature, secrets, now = (each.decode() for each in rest)
    headers = {"webhook-id": message_id, "webhook-timestamp": timestamp, "webhook-signature": signature}
    try:
        verify(body, headers, secrets.split(" "), now=int(now))
        sys.stdout.write("verified\n")
    except VerificationError:
        sys.stdout.write("refused\n")
