package app

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestConfigCheck(t *testing.T) {
	const hash = "71c480df93d6ae2f1efad1447c66c9525e316218cf51fc8d9ed832f2daf18b73"
	const other = "81c480df93d6ae2f1efad1447c66c9525e316218cf51fc8d9ed832f2daf18b73"
	secretFile := writeFile(t, []byte(testSecret))
	const exposed = "warning: server.address can be reached by others, without TLS: tokens and messages can be read on the way, unless there is" +
		" a proxy with TLS in front and nobody gets past it\n"

	tests := map[string]struct {
		document string // of the file, none if it is empty
		environ  []string
		status   int
		stdout   string // FILE is the file's name
		stderr   string
	}{
		"nothing set": {
			stdout: "file            none\naddress         127.0.0.1:8080\nTLS             off\nENGINEauthentication  off: whoever reaches the server may do everything\n",
		},
		"an empty file": {
			document: "server:",
			stdout:   "file            FILE\naddress         127.0.0.1:8080\nTLS             off\nENGINEauthentication  off: whoever reaches the server may do everything\n",
		},
		"the environment": {
			environ: []string{"FANFARE_SERVER_ADDRESS=localhost:1", "FANFARE_AUTH_ANONYMOUS_SUBSCRIBE=public.>"},
			stdout: "file            none\naddress         localhost:1\nTLS             off\nENGINEauthentication  on\ntokens          none\nAPI keys        none\n" +
				"strangers       subscribe to public.>; publish to nothing\n",
		},
		"everything": {
			document: "server: {address: '0.0.0.0:80'}\nauth:\n  jwt: {algorithms: [HS256, HS512], key: " + testSecret + ", issuer: me, audience: fanfare}\n" +
				"  api_keys: [{name: reports, hash: " + hash + "}, {name: \"a\u202e\", hash: " + other + "}]\n" +
				"  anonymous: {publish: [a, '>'], subscribe: ['>']}",
			stdout: "file            FILE\naddress         0.0.0.0:80\nTLS             off\nENGINEauthentication  on\n" +
				"tokens          of HS256, HS512; key in auth.jwt.key; issuer me; audience fanfare\n" +
				`"API keys        reports, a\u202e"` + "\nstrangers       subscribe to >; publish to a, >\n\n" +
				"warning: auth.anonymous.publish has >: whoever reaches the server may publish to every topic\n" +
				"warning: auth.anonymous.subscribe has >: whoever reaches the server may read every topic\n" + exposed,
		},
		"a file with the key": {
			document: "auth: {jwt: {algorithms: [HS256], key_file: " + secretFile + "}}",
			stdout: "file            FILE\naddress         127.0.0.1:8080\nTLS             off\nENGINEauthentication  on\ntokens          of HS256; key in " + secretFile +
				"; issuer any; audience any\nAPI keys        none\nstrangers       subscribe to nothing; publish to nothing\n",
		},
		"JWKS": { //nolint:gosec // an example
			document: "auth: {jwt: {algorithms: [ES256], jwks_url: 'https://me:hidden@example.com/keys'}}",
			stdout: "file            FILE\naddress         127.0.0.1:8080\nTLS             off\nENGINEauthentication  on\n" +
				"tokens          of ES256; keys from https://me:xxxxx@example.com/keys; issuer any; audience any\nAPI keys        none\n" +
				"strangers       subscribe to nothing; publish to nothing\n\n" +
				"warning: auth.jwt.audience is not set: tokens that were made for other services are taken, if their keys are in the same place\n",
		},
		"an embedded log": {
			environ: []string{"FANFARE_ENGINE=nats", "FANFARE_NATS_EMBEDDED=true", "FANFARE_HISTORY_MAX_MESSAGES_PER_TOPIC=1"},
			stdout: "file            none\naddress         127.0.0.1:8080\nTLS             off\nengine          nats, embedded: the log is in fanfare-data\n" +
				"authentication  off: whoever reaches the server may do everything\n",
		},
		"a cluster": {
			environ: []string{"FANFARE_ENGINE=nats", "FANFARE_NATS_URLS=nats://me:hidden@a:1,nats://b:1", "FANFARE_HISTORY_MAX_MESSAGES_PER_TOPIC=999"},
			stdout: "file            none\naddress         127.0.0.1:8080\nTLS             off\nengine          nats: the log is the stream FANFARE on a cluster, nats.urls has 2\n" +
				"authentication  off: whoever reaches the server may do everything\n\n" +
				"warning: nats.secret is not set: every other NATS client can pretend to be a node\n" +
				"warning: history.max_messages_per_topic is below 1000: messages wait in the log for the nodes, and one that is behind by more of a topic" +
				" has lost some\n",
		},
		"a cluster with a secret": {
			environ: []string{"FANFARE_ENGINE=nats", "FANFARE_NATS_URLS=nats://a:1", "FANFARE_NATS_SECRET=" + testSecret},
			stdout: "file            none\naddress         127.0.0.1:8080\nTLS             off\nengine          nats: the log is the stream FANFARE on a cluster, nats.urls has 1\n" +
				"authentication  off: whoever reaches the server may do everything\n",
		},
		"variables of other commands": {
			environ: []string{"FANFARE_URL=http://localhost", "FANFARE_TOKEN=hidden"},
			stdout:  "file            none\naddress         127.0.0.1:8080\nTLS             off\nENGINEauthentication  off: whoever reaches the server may do everything\n",
		},
		"mistakes": {
			document: "server: {address: '0.0.0.0:80', host: x}\nauth: {jwt: {algorithms: [HS256], key_file: nowhere}, anonymous: {publish: [a..b]}}",
			status:   exitError,
			stderr: "fanfare: the configuration is wrong:\nserver.host: unknown key in FILE\nauth.jwt.key_file: open nowhere: no such file or directory\n" +
				"auth.anonymous.publish: \"a..b\": want topics or patterns, such as news.>\n",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir()) // where there is no config.yaml
			var file string
			args := []string{"config", "check"}
			if tt.document != "" {
				file = writeConfig(t, tt.document)
				args = append(args, "--config", file)
			}
			var stdout, stderr strings.Builder
			c := command{environ: tt.environ, stdout: &stdout, stderr: &stderr}
			if status := c.run(args); status != tt.status {
				t.Errorf("status %d, want %d", status, tt.status)
			}
			if diff := cmp.Diff(strings.NewReplacer("FILE", file, "ENGINE", "engine          memory: the log ends with the process\n").Replace(tt.stdout), stdout.String()); diff != "" {
				t.Errorf("stdout (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(strings.ReplaceAll(tt.stderr, "FILE", file), stderr.String()); diff != "" {
				t.Errorf("stderr (-want +got):\n%s", diff)
			}
			if strings.Contains(stdout.String()+stderr.String(), testSecret[:16]) || strings.Contains(stdout.String(), "hidden") {
				t.Errorf("it tells a secret")
			}
		})
	}
}
