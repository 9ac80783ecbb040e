// Other people's verifiers. Takes one delivery a line as JSON and answers, for each library, "verified" or why not.
import { createInterface } from "node:readline";
import { Webhook as Standard } from "standardwebhooks";
import { Webhook as Svix } from "svix";

const LIBRARIES = { standardwebhooks: Standard, svix: Svix };

for await (const line of createInterface({ input: process.stdin })) {
  const { secret, headers, body } = JSON.parse(line);
  const said = {};
  for (const [name, Webhook] of Object.entries(LIBRARIES)) {
    try {
      new Webhook(secret).verify(body, headers);
      said[name] = "verified";
    } catch (refused) {
      said[name] = refused.message;
    }
  }
  console.log(JSON.stringify(said));
}
