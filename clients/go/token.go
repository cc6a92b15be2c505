package fanfare

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"strings"
	"time"
)

// soonest is the shortest pause before a token is renewed: a source whose tokens do not last is not asked
// without end.
const soonest = 500 * time.Millisecond

// renewal gives how long a token can be used before it is to be renewed: three quarters of what is left of its
// life. It is false for what never expires, or says nothing of it: an API key. Nothing is verified, which is the
// server's to do.
func renewal(token string, now time.Time) (time.Duration, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return 0, false
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return 0, false
	}
	var claims struct {
		Expires *float64 `json:"exp"` // RFC 7519, section 4.1.4: seconds, maybe with a fraction
	}
	if json.Unmarshal(text, &claims) != nil || claims.Expires == nil {
		return 0, false
	}
	const longest = 24 * time.Hour // timers know no more than 292 years, and tokens may
	left := math.Min(*claims.Expires-float64(now.UnixMilli())/1000, longest.Seconds()/0.75)
	return max(time.Duration(left*0.75*float64(time.Second)), soonest), true
}
