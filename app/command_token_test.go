package app

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"fanfare/handlers/auth"
	"fanfare/models"
)

// testSecret is long enough for every HS algorithm.
const testSecret = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// tokensConfig takes tokens of HS256.
const tokensConfig = "auth: {jwt: {algorithms: [HS256], key: " + testSecret + ", issuer: me, audience: fanfare}}"

// invoke runs a command line that serves nothing.
func invoke(stdin string, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	c := command{stdin: strings.NewReader(stdin), stdout: &out, stderr: &errs}
	status = c.run(args)
	return status, out.String(), errs.String()
}

func writeFile(t *testing.T, data []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// pair is a private key, and its public key, in PEM.
type pair struct{ private, public []byte }

func newPair(t *testing.T, algorithm string) pair {
	t.Helper()
	var key crypto.Signer
	var err error
	switch algorithm {
	case "ES256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "EdDSA":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return pair{
		private: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		public:  pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}),
	}
}

// TestTokenRoundTrip: for each algorithm the server takes what is minted, and inspect says so.
func TestTokenRoundTrip(t *testing.T) {
	for _, algorithm := range auth.Algorithms() {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			mint := []string{
				"token", "mint", "--user", "ada", "--publish", "news.eu", "--publish", "a.*", "--subscribe", "news.>", "--admin", "--expires", "2h",
			}
			keyFile := writeFile(t, []byte(testSecret))
			if !auth.IsSymmetric(algorithm) {
				keys := newPair(t, algorithm)
				keyFile = writeFile(t, keys.public)
				mint = append(mint, "--key-file", writeFile(t, keys.private))
			}
			config := writeConfig(t, "auth: {jwt: {algorithms: ["+algorithm+"], key_file: "+keyFile+", issuer: me, audience: fanfare}}")
			status, token, stderr := invoke("", append(mint, "--config", config)...)
			if status != exitOK || stderr != "" || !regexp.MustCompile(`^[\w-]+\.[\w-]+\.[\w-]+\n$`).MatchString(token) {
				t.Fatalf("status %d, %q, %s", status, token, stderr)
			}

			cfg, err := LoadConfig(ConfigSources{File: config})
			if err != nil {
				t.Fatal(err)
			}
			server, err := newAuthenticator(t.Context(), cfg.Auth, nil)
			if err != nil {
				t.Fatal(err)
			}
			by, err := server.Authenticate(strings.TrimSpace(token))
			want := &models.Scopes{Publish: []models.Pattern{"news.eu", "a.*"}, Subscribe: []models.Pattern{"news.>"}, Admin: true}
			if diff := cmp.Diff(want, by.Scopes); err != nil || by.User != "ada" || time.Until(by.Expires) < 119*time.Minute || diff != "" {
				t.Errorf("%+v, %v (-want +got):\n%s", by, err, diff)
			}

			status, stdout, stderr := invoke(token, "token", "inspect", "--publish", "a.b", "--subscribe", "news.*", "--admin", "--config", config)
			if status != exitOK || stderr != "" || !strings.Contains(stdout, "\nThe server takes it.\nIt may publish to a.b.\nIt may listen to news.*.\nIt may list, purge and disconnect.\n") {
				t.Errorf("status %d, %s%s", status, stdout, stderr)
			}
		})
	}
}

func TestTokenMint(t *testing.T) {
	config := writeConfig(t, tokensConfig)
	keys, others := newPair(t, "RS256"), newPair(t, "RS256")
	public := writeConfig(t, "auth: {jwt: {algorithms: [RS256, PS256], key_file: "+writeFile(t, keys.public)+"}}")
	private, other := writeFile(t, keys.private), writeFile(t, others.private)
	jwks := writeConfig(t, "auth: {jwt: {algorithms: [RS256, ES256], jwks_url: 'https://example.com/keys'}}")
	nothing := writeConfig(t, "log: {level: info}")

	tests := map[string]struct {
		args   []string
		status int
		stderr string      // all of it
		token  *auth.Token // what differs from ada's, if it is signed
	}{
		"shared secret":       {args: []string{"--config", config}, token: &auth.Token{Algorithm: "HS256", Issuer: "me", Audience: []string{"fanfare"}}},
		"the first algorithm": {args: []string{"--config", public, "--key-file", private}, token: &auth.Token{Algorithm: "RS256"}},
		"another algorithm":   {args: []string{"--config", public, "--key-file", private, "--algorithm", "PS256"}, token: &auth.Token{Algorithm: "PS256"}},
		"the key's id":        {args: []string{"--config", public, "--key-file", private, "--key-id", "k"}, token: &auth.Token{Algorithm: "RS256", KeyID: "k"}},
		"JWKS": {
			args:  []string{"--config", jwks, "--key-file", private, "--algorithm", "RS256", "--key-id", "k"},
			token: &auth.Token{Algorithm: "RS256", KeyID: "k"},
		},
		"scopes": {
			args:  []string{"--config", public, "--key-file", private, "--publish", "a", "--publish", "b.*", "--subscribe", ">", "--admin"},
			token: &auth.Token{Algorithm: "RS256", Grant: auth.Grant{Publish: []string{"a", "b.*"}, Subscribe: []string{">"}, Admin: true}},
		},
		"no user": {
			args: []string{"--config", config, "--user", ""}, status: exitUsage,
			stderr: "--user: a user's name has 1 to 255 bytes of UTF-8 and no control characters\n",
		},
		"no topic": {
			args: []string{"--config", config, "--publish", "a..b"}, status: exitUsage,
			stderr: "--publish \"a..b\": a topic must not have an empty token: no dot at its ends, no two in a row\n",
		},
		"no pattern": {
			args: []string{"--config", config, "--subscribe", ">.a"}, status: exitUsage,
			stderr: "--subscribe \">.a\": > stands only at the end of a pattern\n",
		},
		"over before it is used": {
			args: []string{"--config", config, "--expires", "500ms"}, status: exitUsage,
			stderr: "--expires: want 1s or more\n",
		},
		"no such algorithm": {
			args: []string{"--config", public, "--algorithm", "HS256"}, status: exitUsage,
			stderr: "--algorithm \"HS256\": want one of auth.jwt.algorithms: RS256, PS256\n",
		},
		"no private key": {
			args: []string{"--config", public}, status: exitUsage,
			stderr: "RS256 signs with a private key: want --key-file\n",
		},
		"a private key too many": {
			args: []string{"--config", config, "--key-file", private}, status: exitUsage,
			stderr: "HS256 signs with the secret in the configuration: --key-file is for the other algorithms\n",
		},
		"JWKS without an algorithm": {
			args: []string{"--config", jwks, "--key-file", private}, status: exitUsage,
			stderr: "with auth.jwt.jwks_url there has to be --algorithm: that of the key\n",
		},
		"JWKS without a key": {
			args: []string{"--config", jwks, "--algorithm", "RS256"}, status: exitUsage,
			stderr: "RS256 signs with a private key: want --key-file\n",
		},
		"no file": {
			args: []string{"--config", public, "--key-file", "nowhere.pem"}, status: exitError,
			stderr: "open nowhere.pem: no such file or directory\n",
		},
		"no key": {
			args: []string{"--config", public, "--key-file", config}, status: exitError,
			stderr: "cannot sign: want a private key in PEM, without a passphrase: -----BEGIN PRIVATE KEY-----\n",
		},
		"another key": {
			args: []string{"--config", public, "--key-file", other}, status: exitError,
			stderr: "the server would refuse the token: it was not signed with the key that auth.jwt has, or was changed since. Sign with the" +
				" same secret, or with the private key that belongs to the public key\n",
		},
		"too many scopes": {
			args:   slices.Concat([]string{"--config", config}, slices.Repeat([]string{"--publish", strings.Repeat("a", 200)}, 40)),
			status: exitError,
			stderr: "the server would refuse the token: it is neither an API key of this configuration nor a token that can be read: three parts of" +
				" base64url with dots between them, 8 KiB at most, without \"crit\" in its header. Take all of it, and without \"Bearer\"\n",
		},
		"no tokens": {
			args: []string{"--config", nothing}, status: exitError,
			stderr: "the configuration has no auth.jwt, so the server takes no tokens. Put this into config.yaml:\n\nauth:\n  jwt:\n" +
				"    algorithms: [HS256]\n    key_file: jwt.key # a new secret: openssl rand -hex 32 > jwt.key\n",
		},
		"a mistake in the configuration": {
			args: []string{"--config", writeConfig(t, "auth: {jwt: {algorithms: [HS256], key: "+testSecret[:16]+"}}")}, status: exitError,
			stderr: "the configuration is wrong:\nauth.jwt: want a secret of 32 bytes or more for HS256, this has 16\n",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				status, stdout, stderr := invoke("", append([]string{"token", "mint", "--user", "ada"}, tt.args...)...)
				want := tt.stderr
				if want != "" {
					want = "fanfare: " + want
				}
				if tt.status == exitUsage {
					want += "Run 'fanfare token mint --help' for usage.\n"
				}
				if status != tt.status || stderr != want {
					t.Errorf("status %d, want %d (-want +got):\n%s", status, tt.status, cmp.Diff(want, stderr))
				}
				if strings.Contains(stderr, testSecret[:16]) {
					t.Errorf("it tells the secret")
				}
				if tt.token == nil {
					wantOutput(t, "stdout", stdout, "")
					return
				}
				got, err := auth.Inspect(strings.TrimSuffix(stdout, "\n"))
				tt.token.User, tt.token.Issued, tt.token.Expires = "ada", time.Now(), time.Now().Add(time.Hour)
				if diff := cmp.Diff(*tt.token, got); err != nil || diff != "" {
					t.Errorf("%v (-want +got):\n%s", err, diff)
				}
			})
		})
	}
}

// signed is ada's token, good for an hour, with changes.
func signed(t *testing.T, change func(*auth.Token)) string {
	t.Helper()
	now := time.Now()
	token := auth.Token{
		Algorithm: "HS256", User: "ada", Issuer: "me", Audience: []string{"fanfare"}, Issued: now, Expires: now.Add(time.Hour),
		Grant: auth.Grant{Publish: []string{"news.eu"}, Subscribe: []string{"news.*", "news.*.>", "room.1"}},
	}
	change(&token)
	text, err := auth.Sign(token, []byte(testSecret))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTokenInspect(t *testing.T) {
	key := auth.NewKey()
	keyConfig := "api_keys: [{name: reports, hash: " + auth.HashKey(key) + ", subscribe: [news.>], publish: [a, b], admin: true}]"
	config := writeConfig(t, tokensConfig[:len(tokensConfig)-1]+", "+keyConfig+"}")
	keysAlone := writeConfig(t, "auth: {"+keyConfig+"}")
	nothing := writeConfig(t, "log: {level: info}")
	unchanged := func(*auth.Token) {}

	const taken = "\nThe server takes it.\n"
	const nobody = "Nothing can be verified: it is no API key of this configuration, which has no auth.jwt for tokens.\n"
	const whoseKey = "API key of      reports\npublish         a, b\nsubscribe       news.>\nadmin           true\n"
	tests := map[string]struct {
		config string              // default config
		token  func(*auth.Token)   // how it differs
		text   func(string) string // what becomes of the token
		args   []string

		status int
		stdout string // TOKEN is what it says, NOW and LATER are times
		stderr string
	}{
		"taken":   {stdout: "TOKEN" + taken},
		"a dash":  {args: []string{"-"}, stdout: "TOKEN" + taken},
		"Windows": {text: func(s string) string { return s + "\r\n" }, stdout: "TOKEN" + taken},
		"all is there": {
			token: func(token *auth.Token) {
				*token = auth.Token{
					Algorithm: "HS512", KeyID: "k", User: "ada \x1b[31m\u202e", Issuer: "you", Audience: []string{"one", "two"},
					Issued: time.Now().Add(-49 * time.Hour), NotBefore: time.Now().Add(-12 * time.Minute), Expires: time.Now().Add(2 * time.Hour),
					Grant: auth.Grant{Publish: []string{"a", ">"}, Admin: true},
				}
			},
			status: exitError,
			stdout: "algorithm       HS512\nkey id          k\n" + `"user            ada \x1b[31m\u202e"` + "\nissuer          you\naudience        one, two\n" +
				"issued          -49h, 2d ago\nnot before      -12m, 12m ago\nexpires         2h, in 2h\npublish         a, >\nsubscribe       nothing\nadmin           true\n" +
				"\nThe server refuses it (algorithm_not_allowed): auth.jwt.algorithms has HS256. Sign with one of these.\n",
			stderr: "the server refuses it",
		},
		"nothing is there": {
			token: func(token *auth.Token) { *token = auth.Token{Algorithm: "HS256"} }, status: exitError,
			stdout: "algorithm       HS256\nkey id          none\nuser            none\nissuer          none\naudience        none\n" +
				"issued          none\nnot before      none\nexpires         none\npublish         nothing\nsubscribe       nothing\nadmin           false\n" +
				`
The server refuses it (claims_missing_or_invalid): it has to have the issuer ("iss") "me", the audience ("aud") "fanfare", an expiry ("exp"),` +
				` a user ("sub") of 1 to 255 bytes without control characters, and in "fanfare" nothing but topics and patterns. Sign one that has.` + "\n",
			stderr: "the server refuses it",
		},
		"allowed": {
			args:   []string{"--publish", "news.eu", "--subscribe", "news.us", "--subscribe", "news.*.>"},
			stdout: "TOKEN" + taken + "It may publish to news.eu.\nIt may listen to news.us.\nIt may listen to news.*.>.\n",
		},
		"not allowed": {
			args: []string{
				"--publish", "news.eu", "--publish", "news.us", "--publish", "a",
				"--subscribe", "news.>", "--subscribe", "room.*", "--subscribe", "room.2", "--subscribe", "a", "--admin",
			},
			status: exitError,
			stdout: "TOKEN" + taken + `It may publish to news.eu.
It may not publish to news.us: no scope covers it; the nearest is news.eu.
It may not publish to a: no scope covers it.
It may not listen to news.>: no scope covers all of it; news.*, news.*.> cover parts of it, and even if they cover it together, that does not count.
It may not listen to room.*: no scope covers all of it; room.1 covers a part.
It may not listen to room.2: no scope covers it; the nearest is room.1.
It may not listen to a: no scope covers it.
It may not list, purge and disconnect: that takes admin.
`,
			stderr: "it may not do all that was asked",
		},
		"allowed if it were taken": {
			token: func(token *auth.Token) { token.Issuer = "me" },
			text:  func(s string) string { return s[:len(s)-4] + "AAAA" },
			args:  []string{"--publish", "news.eu", "--publish", "a"}, status: exitError,
			stdout: "TOKEN\nREFUSEDIt may not publish to news.eu: it is refused, though its scopes are enough.\n" +
				"It may not publish to a: it is refused, and no scope covers it.\n",
			stderr: "the server refuses it",
		},
		"API key": {
			text:   func(string) string { return key + "\n" },
			args:   []string{"--publish", "a", "--subscribe", "news.*", "--admin"},
			stdout: whoseKey + taken + "It may publish to a.\nIt may listen to news.*.\nIt may list, purge and disconnect.\n",
		},
		"API key that may not": {
			config: keysAlone, text: func(string) string { return key }, args: []string{"--publish", "c"}, status: exitError,
			stdout: whoseKey + taken + "It may not publish to c: no scope covers it.\n",
			stderr: "it may not do all that was asked",
		},
		"no such API key": {
			config: keysAlone, text: func(string) string { return key[:20] }, args: []string{"--publish", "c"}, status: exitError,
			stdout: nobody + "It may not publish to c: it is refused, and no scope covers it.\n",
			stderr: "nothing can be verified",
		},
		"no JWT":            {config: keysAlone, status: exitError, stdout: "TOKEN\n" + nobody, stderr: "nothing can be verified"},
		"no authentication": {config: nothing, status: exitError, stdout: "TOKEN\n" + nobody, stderr: "nothing can be verified"},
		"nothing":           {text: func(string) string { return "\n" }, status: exitError, stderr: "there is no token on standard input"},
		"two lines":         {text: func(s string) string { return s + "\n" + s }, status: exitError, stderr: "there is more than one line"},
		"without end": {
			text: func(s string) string { return strings.Repeat(s, 1000) }, status: exitError,
			stdout: "REFUSED",
			stderr: "the server refuses it",
		},
		"two tokens": {args: []string{"a", "b"}, status: exitUsage, stderr: "accepts at most 1 arg(s), received 2"},
		"no topic": {
			args: []string{"--publish", "a.*"}, status: exitUsage,
			stderr: `--publish "a.*": a topic must not have wildcards: * and > are for subscriptions`,
		},
		"no pattern": {
			args: []string{"--subscribe", ""}, status: exitUsage,
			stderr: `--subscribe "": a topic must not be empty`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if tt.token == nil {
					tt.token = unchanged
				}
				text := signed(t, tt.token)
				if tt.text != nil {
					text = tt.text(text)
				}
				if tt.config == "" {
					tt.config = config
				}
				status, stdout, stderr := invoke(text, append([]string{"token", "inspect", "--config", tt.config}, tt.args...)...)
				at := func(d time.Duration) string { return time.Now().Add(d).Local().Format(time.RFC3339) }
				want := strings.NewReplacer(
					"TOKEN", "algorithm       HS256\nkey id          none\nuser            ada\nissuer          me\naudience        fanfare\n"+
						"issued          "+at(0)+", in 0s\nnot before      none\nexpires         "+at(time.Hour)+", in 1h\n"+
						"publish         news.eu\nsubscribe       news.*, news.*.>, room.1\nadmin           false\n",
					"-49h,", at(-49*time.Hour)+",", "-12m,", at(-12*time.Minute)+",", "2h,", at(2*time.Hour)+",",
				).Replace(tt.stdout)
				// Why is in TestTokenReasons.
				want = strings.Replace(want, "REFUSED", regexp.MustCompile(`(?m)^The server refuses it .*\n`).FindString(stdout), 1)
				if status != tt.status || stdout != want {
					t.Errorf("status %d, want %d (-want +got):\n%s", status, tt.status, cmp.Diff(want, stdout))
				}
				if want := "fanfare: " + tt.stderr + "\n"; tt.stderr != "" && !strings.HasPrefix(stderr, want) || tt.stderr == "" && stderr != "" {
					t.Errorf("stderr: %q, want %q", stderr, tt.stderr)
				}
				for _, secret := range append(strings.Split(strings.TrimSpace(text), "."), key[3:20], testSecret[:16]) {
					if secret != "" && strings.Contains(stdout+stderr, secret) {
						t.Errorf("it tells %q", secret)
					}
				}
				if args := append([]string{"token", "inspect", "--config", tt.config}, tt.args...); tt.text == nil && tt.args == nil {
					if again, other, _ := invoke("", append(args, text)...); again != status || other != stdout {
						t.Errorf("as an argument: status %d, %s", again, other)
					}
				}
			})
		})
	}
}

// TestTokenReasons: each reason has a sentence that says what to do.
func TestTokenReasons(t *testing.T) {
	config := writeConfig(t, tokensConfig)
	noKeys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"keys":[]}`) }))
	defer noKeys.Close()
	rsaKey := newPair(t, "RS256")
	jwks := writeConfig(t, "auth: {jwt: {algorithms: [RS256], jwks_url: '"+strings.Replace(noKeys.URL, "http://", "http://user:hidden@", 1)+"'}}")
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d) }

	tests := map[auth.Reason]struct {
		config string
		token  string
		want   string
	}{
		auth.ReasonMalformed:   {token: "a.b", want: `Take all of it, and without "Bearer".`},
		auth.ReasonUnknownKey:  {config: jwks, token: signedWith(t, "RS256", rsaKey.private, "k"), want: `Sign with one of them, and say which: its key id ("kid").`},
		auth.ReasonAlgorithm:   {token: signed(t, func(token *auth.Token) { token.Algorithm = "HS384" }), want: "auth.jwt.algorithms has HS256. Sign with one of these."},
		auth.ReasonSignature:   {token: signedWith(t, "HS256", []byte(strings.Repeat("x", 32)), ""), want: "Sign with the same secret, or "},
		auth.ReasonExpired:     {token: signed(t, func(token *auth.Token) { token.Expires = ago(time.Minute) }), want: "its time is up. Sign another one."},
		auth.ReasonNotYetValid: {token: signed(t, func(token *auth.Token) { token.NotBefore = ago(-time.Minute) }), want: "Wait, or set the clock that was wrong; auth.jwt.leeway (5s) "},
		auth.ReasonIssuer:      {token: signed(t, func(token *auth.Token) { token.Issuer = "you" }), want: `auth.jwt.issuer wants the issuer ("iss") "me". Sign one with that.`},
		auth.ReasonAudience:    {token: signed(t, func(token *auth.Token) { token.Audience = []string{"other"} }), want: `auth.jwt.audience wants the audience ("aud") to have "fanfare". Sign one with that.`},
		auth.ReasonClaims:      {token: signed(t, func(token *auth.Token) { token.Grant.Publish = []string{"a..b"} }), want: "nothing but topics and patterns. Sign one that has."},
	}
	source, err := os.ReadFile("../handlers/auth/auth.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(`Reason\w+ +Reason = "(\w+)"`).FindAllSubmatch(source, -1) {
		reason := auth.Reason(match[1])
		t.Run(string(reason), func(t *testing.T) {
			tt, known := tests[reason]
			if !known {
				t.Fatal("there is no test for it")
			}
			if tt.config == "" {
				tt.config = config
			}
			status, stdout, stderr := invoke(tt.token, "token", "inspect", "--config", tt.config)
			if status != exitError || stderr != "fanfare: the server refuses it\n" {
				t.Errorf("status %d, %q", status, stderr)
			}
			_, sentence, _ := strings.Cut(stdout, "The server refuses it ("+string(reason)+"): ")
			if !strings.Contains(sentence, tt.want) || strings.Count(sentence, "\n") != 1 || strings.Contains(stdout, "hidden") {
				t.Errorf("%s\nwant: %s", stdout, tt.want)
			}
			delete(tests, reason)
		})
	}
	for reason := range tests {
		t.Errorf("no reason has the name %s", reason)
	}
}

// signedWith is ada's token with another key.
func signedWith(t *testing.T, algorithm string, key []byte, id string) string {
	t.Helper()
	text, err := auth.Sign(auth.Token{Algorithm: algorithm, KeyID: id, User: "ada", Expires: time.Now().Add(time.Hour)}, key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// startProvider starts a server with a JWKS of one key, "k", and gives the private one.
func startProvider(t *testing.T) (provider *httptest.Server, private []byte) {
	t.Helper()
	keys := newPair(t, "RS256")
	block, _ := pem.Decode(keys.public)
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	public := parsed.(*rsa.PublicKey) //nolint:forcetypeassert // it is one
	encode := base64.RawURLEncoding.EncodeToString
	provider = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []map[string]string{
			{"kty": "RSA", "kid": "k", "n": encode(public.N.Bytes()), "e": encode(big.NewInt(int64(public.E)).Bytes())},
		}})
	}))
	t.Cleanup(func() {
		provider.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections() //nolint:forcetypeassert // it is one
	})
	return provider, keys.private
}

// TestTokenWithJWKS: what is minted with a key of a JWKS is taken, and when there is none, that is
// said.
func TestTokenWithJWKS(t *testing.T) {
	provider, private := startProvider(t)
	config := writeConfig(t, "auth: {jwt: {algorithms: [RS256], jwks_url: '"+provider.URL+"'}}")
	status, token, stderr := invoke("", "token", "mint", "--user", "ada", "--algorithm", "RS256", "--key-id", "k",
		"--key-file", writeFile(t, private), "--config", config)
	if status != exitOK {
		t.Fatal(stderr)
	}
	if status, stdout, stderr := invoke(token, "token", "inspect", "--config", config); status != exitOK {
		t.Errorf("%s%s", stdout, stderr)
	}
	provider.Close()
	if status, stdout, stderr := invoke(token, "token", "inspect", "--config", config); status != exitError ||
		!strings.Contains(stdout, "(unknown_key)") || !strings.Contains(stderr, "jwks_failed") {
		t.Errorf("status %d, %s%s", status, stdout, stderr)
	}
}

func TestInCommon(t *testing.T) {
	tests := map[string]struct {
		a, b    models.Pattern
		tokens  int
		overlap bool
	}{
		"the same":           {"a.b", "a.b", 2, true},
		"another":            {"a.b", "a.c", 1, false},
		"nothing":            {"a.b", "b.b", 0, false},
		"longer":             {"a.b", "a.b.c", 2, false},
		"a token":            {"a.*", "a.b", 2, true},
		"two tokens":         {"a.*", "*.b", 2, true},
		"tokens, and longer": {"a.*", "*.b.c", 2, false},
		"a tail":             {"a.>", "a.b.c", 2, true},
		"not its root":       {"a.>", "a", 1, false},
		"tails":              {"a.b.>", "a.>", 2, true},
		"everything":         {">", "a.b", 1, true},
	}
	for name, tt := range tests {
		for _, p := range [][2]models.Pattern{{tt.a, tt.b}, {tt.b, tt.a}} {
			if tokens, overlap := inCommon(p[0], p[1]); tokens != tt.tokens || overlap != tt.overlap {
				t.Errorf("%s: %v: %d, %v", name, p, tokens, overlap)
			}
		}
	}
}

func TestDistance(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "in 0s", 59*time.Minute + 59*time.Second: "in 59m", -12 * time.Minute: "12m ago", -time.Second: "1s ago",
		23 * time.Hour: "in 23h", 24 * time.Hour: "in 1d", -1 << 63: "106751d ago",
	} {
		if got := distance(d); got != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
	}
}
