"""Which events are for which endpoints: the one condition that handing out and replaying share."""

from typing import Final

# `e` is an event, `w` an endpoint, and `s` what its partner may see. What is about no merchant is about its partner, and for
# nobody else; an endpoint that asks for merchants or places is told of nothing else.
MATCHES: Final = """
    (w.topics = array['*'] or e.topic = any(w.topics))
    and case
        when e.merchant_id is null then e.partner_id = w.partner_id
        else (s.sees_programme or e.partner_id = w.partner_id)
            and (w.merchant_limit is null or e.merchant_id = any(w.merchant_limit))
    end
    and (w.merchant_ids is null or e.merchant_id = any(w.merchant_ids))
    and (w.location_ids is null or e.document -> 'attributes' ->> 'locationId' = any(w.location_ids::text[]))
"""
