import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.MessageDigest;
import java.security.PublicKey;
import java.security.Signature;
import java.security.spec.X509EncodedKeySpec;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.function.Function;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * Verifies webhooks of Tallystick (Standard Webhooks 1.0). One file, Java 17 or newer, no libraries.
 *
 * <pre>
 * new TallystickWebhooks(List.of("whsec_...")).verify(bodyBytes, request::getHeader);
 * </pre>
 *
 * Read JSON from the bytes only after this. A delivery may come twice: {@code webhook-id} stays the same, so keep it under a unique key.
 */
public final class TallystickWebhooks {

    /** This was not sent by who knows the secret, or not now. Answer 400 or 401, and do nothing else. */
    public static final class VerificationException extends Exception {
        private static final long serialVersionUID = 1;

        VerificationException(String message) {
            super(message);
        }
    }

    private interface Check {
        boolean fits(String entry, byte[] signed) throws GeneralSecurityException;
    }

    private static final long TOLERANCE_SECONDS = 300;
    // What comes before the 32 bytes says, in DER, that they are a key of Ed25519.
    private static final byte[] ED25519 = HexFormat.of().parseHex("302a300506032b6570032100");

    private final List<Check> checks = new ArrayList<>();

    /** One or several of {@code whsec_...} and {@code whpk_...}: both while a secret is being changed. */
    public TallystickWebhooks(List<String> secrets) {
        if (secrets.isEmpty()) {
            throw new IllegalArgumentException("Give at least one secret or public key.");
        }
        for (String secret : secrets) {
            checks.add(checkOf(secret));
        }
    }

    /** Returns if a signature fits and was made within five minutes. */
    public void verify(byte[] body, Function<String, String> header) throws VerificationException {
        verify(body, header, System.currentTimeMillis() / 1000);
    }

    void verify(byte[] body, Function<String, String> header, long now) throws VerificationException {
        String id = read(header, "webhook-id", "[\\x21-\\x2d\\x2f-\\x7e]{1,255}");
        String timestamp = read(header, "webhook-timestamp", "0|[1-9][0-9]{0,14}");
        String entries = read(header, "webhook-signature", "[\\x20-\\x7e]{1,8192}");
        if (Math.abs(now - Long.parseLong(timestamp)) > TOLERANCE_SECONDS) {
            throw new VerificationException("The timestamp is too old or too new.");
        }
        byte[] signed = joined((id + "." + timestamp + ".").getBytes(StandardCharsets.US_ASCII), body);
        boolean fits = false;
        for (String entry : entries.split(" ")) {
            for (Check check : checks) {
                try {
                    fits |= check.fits(entry, signed); // all are tried: the time taken does not tell which one fitted
                } catch (GeneralSecurityException | IllegalArgumentException malformed) {
                    // An entry that is no signature fits nothing.
                }
            }
        }
        if (!fits) {
            throw new VerificationException("No signature fits.");
        }
    }

    private static String read(Function<String, String> header, String name, String shape) throws VerificationException {
        String value = header.apply(name);
        if (value == null || !value.matches(shape)) {
            throw new VerificationException("The header " + name + " is missing or malformed.");
        }
        return value;
    }

    private static Check checkOf(String secret) {
        byte[] key = Base64.getDecoder().decode(secret.substring(secret.indexOf('_') + 1));
        if (secret.startsWith("whsec_") && key.length >= 24) {
            return (entry, signed) -> {
                Mac mac = Mac.getInstance("HmacSHA256");
                mac.init(new SecretKeySpec(key, "HmacSHA256"));
                return entry.startsWith("v1,") && MessageDigest.isEqual(mac.doFinal(signed), decoded(entry, 3));
            };
        }
        if (secret.startsWith("whpk_") && key.length == 32) {
            PublicKey publicKey = publicKey(key);
            return (entry, signed) -> {
                if (!entry.startsWith("v1a,")) {
                    return false;
                }
                Signature signature = Signature.getInstance("Ed25519");
                signature.initVerify(publicKey);
                signature.update(signed);
                return signature.verify(decoded(entry, 4));
            };
        }
        throw new IllegalArgumentException("A secret is whsec_ and a public key whpk_, each as it was shown.");
    }

    private static byte[] decoded(String entry, int from) {
        return Base64.getDecoder().decode(entry.substring(from));
    }

    private static PublicKey publicKey(byte[] key) {
        try {
            return KeyFactory.getInstance("Ed25519").generatePublic(new X509EncodedKeySpec(joined(ED25519, key)));
        } catch (GeneralSecurityException error) {
            throw new IllegalArgumentException("This is no public key of Ed25519.", error);
        }
    }

    private static byte[] joined(byte[] first, byte[] second) {
        byte[] both = new byte[first.length + second.length];
        System.arraycopy(first, 0, both, 0, first.length);
        System.arraycopy(second, 0, both, first.length, second.length);
        return both;
    }
}
