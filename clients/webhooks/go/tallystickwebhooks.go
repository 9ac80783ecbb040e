// Package tallystickwebhooks verifies webhooks of Tallystick (Standard Webhooks 1.0) with nothing but the standard library.
//
//	err := tallystickwebhooks.Verify(body, request.Header, time.Now(), "whsec_...")
//
// Give the body as it came. A delivery may come twice: webhook-id stays the same, so keep it under a unique key.
package tallystickwebhooks

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Tolerance is how far the timestamp may lie from now.
const Tolerance = 5 * time.Minute

// ErrVerification says that this was not sent by who knows the secret, or not now: answer 400 or 401, and do nothing else.
var ErrVerification = errors.New("webhook not verified")

// ErrSecret says that one of the receiver's own secrets is none.
var ErrSecret = errors.New("a secret is whsec_ and a public key whpk_, each as it was shown")

var (
	idShape        = regexp.MustCompile(`^[\x21-\x2d\x2f-\x7e]{1,255}$`)
	wholeShape     = regexp.MustCompile(`^(0|[1-9][0-9]{0,14})$`)
	printableShape = regexp.MustCompile(`^[\x20-\x7e]+$`)
)

const signaturesMax = 8192

type check func(entry string, signed []byte) bool

// Verify returns nil if a signature fits one of the secrets (whsec_... or whpk_..., both while one is being changed).
func Verify(body []byte, header http.Header, now time.Time, secrets ...string) error {
	checks := make([]check, 0, len(secrets))
	for _, secret := range secrets {
		found, err := checkOf(secret)
		if err != nil {
			return err
		}
		checks = append(checks, found)
	}
	id, timestamp, entries := header.Get("webhook-id"), header.Get("webhook-timestamp"), header.Get("webhook-signature")
	if !idShape.MatchString(id) || !wholeShape.MatchString(timestamp) || !printableShape.MatchString(entries) || len(entries) > signaturesMax {
		return fmt.Errorf("%w: a header is missing or malformed", ErrVerification)
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return fmt.Errorf("%w: the timestamp is malformed", ErrVerification)
	}
	if age := now.Unix() - seconds; age > int64(Tolerance/time.Second) || -age > int64(Tolerance/time.Second) {
		return fmt.Errorf("%w: the timestamp is too old or too new", ErrVerification)
	}
	signed := append([]byte(id+"."+timestamp+"."), body...)
	fits := false
	for _, entry := range strings.Split(entries, " ") {
		for _, fit := range checks {
			fits = fit(entry, signed) || fits // all are tried: the time taken does not tell which one fitted
		}
	}
	if !fits {
		return fmt.Errorf("%w: no signature fits", ErrVerification)
	}
	return nil
}

func checkOf(secret string) (check, error) {
	prefix, text, _ := strings.Cut(secret, "_")
	key, err := base64.StdEncoding.DecodeString(text)
	switch {
	case err == nil && prefix == "whsec" && len(key) >= 24:
		return func(entry string, signed []byte) bool {
			mac := hmac.New(sha256.New, key)
			mac.Write(signed)
			signature, ok := signatureIn(entry, "v1")
			return ok && hmac.Equal(mac.Sum(nil), signature)
		}, nil
	case err == nil && prefix == "whpk" && len(key) == ed25519.PublicKeySize:
		return func(entry string, signed []byte) bool {
			signature, ok := signatureIn(entry, "v1a")
			return ok && ed25519.Verify(key, signed, signature)
		}, nil
	}
	return nil, ErrSecret
}

func signatureIn(entry, version string) ([]byte, bool) {
	found, text, _ := strings.Cut(entry, ",")
	signature, err := base64.StdEncoding.DecodeString(text)
	return signature, found == version && err == nil
}
