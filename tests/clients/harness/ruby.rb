# Each line: body, id, timestamp, signature, secrets and now, each in base64, parted by spaces. A verdict for each.
require ARGV.shift

$stdin.each_line(chomp: true) do |line|
  body, id, timestamp, signature, secrets, now = line.split(/ /, -1).map { |word| word.unpack1("m0").force_encoding("UTF-8") }
  headers = { "webhook-id" => id, "webhook-timestamp" => timestamp, "webhook-signature" => signature }
  TallystickWebhooks.verify(body, headers, secrets.split(" "), now: Integer(now))
  puts "verified"
rescue TallystickWebhooks::VerificationError
  puts "refused"
end
