package app

import (
	"regexp"
	"strings"
	"testing"

	"fanfare/handlers/auth"
)

func TestKeyHash(t *testing.T) {
	const key = "abcdefghijklmnopqrstuvwxyz"
	const hash = "71c480df93d6ae2f1efad1447c66c9525e316218cf51fc8d9ed832f2daf18b73\n"
	tests := map[string]struct {
		stdin  string
		args   []string
		status int
		stdout string
		stderr string
	}{
		"a line":         {stdin: key + "\n", stdout: hash},
		"no end of line": {stdin: key, stdout: hash},
		"Windows":        {stdin: key + "\r\n", stdout: hash},
		"nothing":        {status: exitError, stderr: "the key is empty\n"},
		"an empty line":  {stdin: "\n", status: exitError, stderr: "the key is empty\n"},
		"short":          {stdin: key[:19], status: exitError, stderr: "the key has 19 characters: want 20 or more, since a short one can be guessed from its hash\n"},
		"two lines":      {stdin: key + "\n" + key + "\n", status: exitError, stderr: "there is more than one line\n"},
		"a passphrase":   {stdin: "abcdefghij klmnopqrst\n", status: exitError, stderr: "a key is sent in a header: want ASCII without spaces and control characters\n"},
		"without end":    {stdin: strings.Repeat(key, 10000), status: exitError, stderr: "the key has 65536 characters: want 8192 at most\n"},
		"an argument": {
			args: []string{"x"}, status: exitUsage,
			stderr: "unknown command \"x\" for \"fanfare key hash\"\nRun 'fanfare key hash --help' for usage.\n",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			status, stdout, stderr := invoke(tt.stdin, append([]string{"key", "hash"}, tt.args...)...)
			if tt.stderr != "" {
				tt.stderr = "fanfare: " + tt.stderr
			}
			if status != tt.status || stdout != tt.stdout || stderr != tt.stderr {
				t.Errorf("status %d, %q, %q", status, stdout, stderr)
			}
		})
	}
}

// TestKeyHashGenerate: standard output has the key, and the lines that the server then knows it by
// have not.
func TestKeyHashGenerate(t *testing.T) {
	status, stdout, stderr := invoke("", "key", "hash", "--generate")
	key := strings.TrimSuffix(stdout, "\n")
	if status != exitOK || !regexp.MustCompile(`^ff_[A-Z2-7]{26}$`).MatchString(key) || strings.Contains(stderr, key[3:]) {
		t.Fatalf("status %d, %q, %s", status, stdout, stderr)
	}
	if _, hash, _ := invoke(stdout, "key", "hash"); !strings.Contains(stderr, "hash: "+hash) {
		t.Errorf("%s\nwant the hash %s", stderr, hash)
	}
	_, lines, _ := strings.Cut(stderr, "Its hash, for the server's config.yaml:\n")
	cfg, err := LoadConfig(ConfigSources{File: writeConfig(t, lines)})
	if err != nil {
		t.Fatal(err)
	}
	server, err := newAuthenticator(t.Context(), cfg.Auth, nil)
	if err != nil {
		t.Fatal(err)
	}
	if by, err := server.Authenticate(key); err != nil || by.User != "NAME" {
		t.Errorf("%+v, %v", by, err)
	}
	if auth.CheckKey(key) != nil {
		t.Errorf("%s is not fit for a key", key)
	}
}
