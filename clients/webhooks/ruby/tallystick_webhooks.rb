# frozen_string_literal: true

require "json"
require "openssl"

# Verify webhooks of Tallystick (Standard Webhooks 1.0). One file, no gems; Ruby 3.1 or newer, and for whpk_ the gem openssl 3 that it brings.
#
#   event = TallystickWebhooks.verify(request.body.read, request.headers, ENV.fetch("WEBHOOK_SECRET"))
#
# Give the body as it came. A delivery may come twice: webhook-id stays the same, so keep it under a unique key.
module TallystickWebhooks
  class VerificationError < StandardError; end

  # What comes before the 32 bytes says, in DER, that they are a key of Ed25519.
  ED25519 = ["302a300506032b6570032100"].pack("H*").freeze

  module_function

  # The event, if its signature fits; else VerificationError. secrets: one or several of whsec_... and whpk_..., both while one is
  # being changed. ArgumentError means that a secret is none.
  def verify(body, headers, secrets, tolerance_seconds: 300, now: Time.now.to_i)
    keys = Array(secrets).map { |secret| key(secret) }
    raise ArgumentError, "Give at least one secret or public key." if keys.empty?

    id = header(headers, "webhook-id", /\A[\x21-\x2d\x2f-\x7e]{1,255}\z/)
    timestamp = header(headers, "webhook-timestamp", /\A(0|[1-9][0-9]{0,14})\z/)
    entries = header(headers, "webhook-signature", /\A[\x20-\x7e]{1,8192}\z/).split(" ")
    raise VerificationError, "The timestamp is too old or too new." if (now - Integer(timestamp, 10)).abs > tolerance_seconds

    signed = "#{id}.#{timestamp}.".b + body.b
    # Every entry is tried, so that the time taken does not tell which one fitted.
    fits = entries.product(keys).map { |entry, (version, key)| fits?(entry, version, key, signed) }
    raise VerificationError, "No signature fits." unless fits.any?

    JSON.parse(body.dup.force_encoding("UTF-8"))
  rescue JSON::ParserError, EncodingError
    raise VerificationError, "The body is no JSON."
  end

  def fits?(entry, version, key, signed)
    found, text = entry.split(",", 2)
    return false unless found == version && text

    signature = text.unpack1("m0")
    return key.verify(nil, signature, signed) if version == "v1a"

    OpenSSL.secure_compare(OpenSSL::HMAC.digest("SHA256", key, signed), signature)
  rescue ArgumentError, OpenSSL::PKey::PKeyError
    false # an entry that is no signature
  end
  private_class_method :fits?

  def header(headers, name, shape)
    value = headers[name] || headers["HTTP_#{name.upcase.tr('-', '_')}"]
    return value if value.is_a?(String) && shape.match?(value.b)

    raise VerificationError, "The header #{name} is missing or malformed."
  end
  private_class_method :header

  def key(secret)
    prefix, text = secret.split("_", 2)
    raw = text.to_s.unpack1("m0")
    return ["v1", raw] if prefix == "whsec" && raw.bytesize >= 24
    return ["v1a", OpenSSL::PKey.read(ED25519 + raw)] if prefix == "whpk" && raw.bytesize == 32

    raise ArgumentError, "A secret is whsec_ and a public key whpk_, each as it was shown."
  end
  private_class_method :key
end
