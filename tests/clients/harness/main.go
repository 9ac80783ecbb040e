// Each line: body, id, timestamp, signature, secrets and now, each in base64, parted by spaces. A verdict for each.
package main

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"tallystickwebhooks"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var words [6]string
		for place, word := range strings.Split(lines.Text(), " ") {
			raw, _ := base64.StdEncoding.DecodeString(word)
			words[place] = string(raw)
		}
		seconds, _ := strconv.ParseInt(words[5], 10, 64)
		header := http.Header{"Webhook-Id": {words[1]}, "Webhook-Timestamp": {words[2]}, "Webhook-Signature": {words[3]}}
		err := tallystickwebhooks.Verify([]byte(words[0]), header, time.Unix(seconds, 0), strings.Split(words[4], " ")...)
		switch {
		case err == nil:
			fmt.Println("verified")
		case errors.Is(err, tallystickwebhooks.ErrVerification):
			fmt.Println("refused")
		default:
			fmt.Println("broken:", err)
		}
	}
}
