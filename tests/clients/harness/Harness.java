import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.List;
import java.util.Map;

/** Each line: body, id, timestamp, signature, secrets and now, each in base64, parted by spaces. A verdict for each. */
final class Harness {
    public static void main(String[] arguments) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            System.out.println(verdict(line.split(" ", -1)));
        }
    }

    private static String verdict(String[] words) {
        Map<String, String> headers =
                Map.of("webhook-id", text(words[1]), "webhook-timestamp", text(words[2]), "webhook-signature", text(words[3]));
        try {
            new TallystickWebhooks(List.of(text(words[4]).split(" ")))
                    .verify(Base64.getDecoder().decode(words[0]), headers::get, Long.parseLong(text(words[5])));
            return "verified";
        } catch (TallystickWebhooks.VerificationException refused) {
            return "refused";
        } catch (RuntimeException error) {
            return "broken: " + error;
        }
    }

    private static String text(String word) {
        return new String(Base64.getDecoder().decode(word), StandardCharsets.UTF_8);
    }
}
