package app

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fanfare/transport"
	"go.yaml.in/yaml/v3"
)

func TestDefaultConfigIsValid(t *testing.T) {
	cfg, err := LoadConfig(ConfigSources{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(DefaultConfig(), cfg); diff != "" {
		t.Errorf("loading nothing (-default +loaded):\n%s", diff)
	}
}

// config.yaml and the code say the same: every key, at its default.
func TestConfigFileMatchesDefaults(t *testing.T) {
	cfg, err := LoadConfig(ConfigSources{File: "../config.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(DefaultConfig(), cfg); diff != "" {
		t.Errorf("config.yaml (-default +loaded):\n%s", diff)
	}

	data, err := os.ReadFile("../config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	keys, uncommented := readKeys(t, data)
	slices.Sort(keys)
	if diff := cmp.Diff(defaultValues().Keys(), keys); diff != "" {
		t.Errorf("keys (-code +config.yaml):\n%s", diff)
	}
	for _, key := range uncommented {
		t.Errorf("config.yaml: %s has no comment", key)
	}
}

// A changed value in the file must change what is loaded, or the comparison above proves nothing.
func TestEveryKeyIsLoaded(t *testing.T) {
	values := map[string]string{
		"server.address":                  "localhost:1",
		"server.allowed_origins":          "https://a.example,http://localhost:3000",
		"server.tls.cert_file":            "cert.pem",
		"server.tls.key_file":             "key.pem",
		"server.trusted_proxies":          "192.0.2.1,2001:db8::/32",
		"server.drain_delay":              "1s",
		"server.shutdown_timeout":         "15s",
		"server.header_timeout":           "2s",
		"server.read_timeout":             "3s",
		"server.write_timeout":            "16s",
		"server.idle_timeout":             "4s",
		"transport.mode":                  "goroutine",
		"transport.ping_interval":         "5s",
		"transport.pong_timeout":          "6s",
		"history.max_messages_per_topic":  "7",
		"history.max_age":                 "8s",
		"history.max_bytes":               "9MiB",
		"history.idempotency_window":      "17s",
		"engine":                          "nats",
		"nats.embedded":                   "true", // only one of the two
		"nats.urls":                       "",
		"nats.store_dir":                  "data",
		"nats.sync":                       "always",
		"nats.listen":                     "127.0.0.1:4222",
		"nats.password":                   "password",
		"nats.credentials_file":           "node.creds",
		"nats.tls.ca_file":                "ca.pem",
		"nats.tls.cert_file":              "client.pem",
		"nats.tls.key_file":               "client-key.pem",
		"nats.stream":                     "LOG",
		"nats.subject_prefix":             "log",
		"nats.replicas":                   "3",
		"nats.secret":                     strings.Repeat("s", 32),
		"nats.apply_limits":               "true",
		"limits.message_size":             "10KiB",
		"limits.outbox_size":              "111KiB",
		"limits.clients":                  "16",
		"limits.clients_per_address":      "19",
		"limits.publish_rate":             "0.5",
		"limits.publish_burst":            "20",
		"limits.request_rate":             "21",
		"limits.request_burst":            "22",
		"limits.subscriptions_per_client": "12",
		"limits.in_flight_size":           "13MiB",
		"limits.publish_wait":             "14s",
		"auth.jwt.algorithms":             "HS256,HS384",
		"auth.jwt.key":                    strings.Repeat("k", 48),
		"auth.jwt.key_file":               "", // only one of the three: TestConfigOfKeys
		"auth.jwt.jwks_url":               "",
		"auth.jwt.issuer":                 "issuer",
		"auth.jwt.audience":               "audience",
		"auth.jwt.leeway":                 "18s",
		"auth.api_keys":                   "[{name: n, hash: " + strings.Repeat("0a", 32) + ", subscribe: [a, b.>], publish: [c], admin: true}]",
		"auth.anonymous.subscribe":        "d,e.*",
		"auth.anonymous.publish":          "f",
		"tracing.endpoint":                "https://collector.example/spans",
		"tracing.headers":                 "Authorization=Bearer x,b=c",
		"tracing.sample_ratio":            "0.25",
		"tracing.service_name":            "shop",
		"log.level":                       "debug",
		"log.format":                      "json",
	}
	want := Config{
		Server: ServerConfig{
			Address:         "localhost:1",
			AllowedOrigins:  []string{"https://a.example", "http://localhost:3000"},
			TLS:             TLSConfig{CertFile: "cert.pem", KeyFile: "key.pem"},
			TrustedProxies:  []string{"192.0.2.1", "2001:db8::/32"},
			DrainDelay:      1 * time.Second,
			ShutdownTimeout: 15 * time.Second,
			HeaderTimeout:   2 * time.Second,
			ReadTimeout:     3 * time.Second,
			WriteTimeout:    16 * time.Second,
			IdleTimeout:     4 * time.Second,
		},
		Transport: TransportConfig{Mode: transport.ModeGoroutine, PingInterval: 5 * time.Second, PongTimeout: 6 * time.Second},
		History:   HistoryConfig{MaxMessagesPerTopic: 7, MaxAge: 8 * time.Second, MaxBytes: 9 * MiB, IdempotencyWindow: 17 * time.Second},
		Engine:    engineNATS,
		NATS: NATSConfig{
			Embedded: true, URLs: []string{}, StoreDir: "data", Sync: syncAlways, Listen: "127.0.0.1:4222", Password: "password", CredentialsFile: "node.creds",
			TLS:    NATSTLSConfig{CAFile: "ca.pem", CertFile: "client.pem", KeyFile: "client-key.pem"},
			Stream: "LOG", SubjectPrefix: "log", Replicas: 3, Secret: strings.Repeat("s", 32), ApplyLimits: true,
		},
		Limits: LimitsConfig{
			MessageSize:            10 * KiB,
			OutboxSize:             111 * KiB,
			Clients:                16,
			ClientsPerAddress:      19,
			PublishRate:            0.5,
			PublishBurst:           20,
			RequestRate:            21,
			RequestBurst:           22,
			SubscriptionsPerClient: 12,
			InFlightSize:           13 * MiB,
			PublishWait:            14 * time.Second,
		},
		Auth: AuthConfig{
			JWT: JWTConfig{
				Algorithms: []string{"HS256", "HS384"}, Key: strings.Repeat("k", 48), Issuer: "issuer", Audience: "audience", Leeway: 18 * time.Second,
			},
			APIKeys: []APIKeyConfig{{
				Name: "n", Hash: strings.Repeat("0a", 32), Subscribe: []string{"a", "b.>"}, Publish: []string{"c"}, Admin: true,
			}},
			Anonymous: AnonymousConfig{Subscribe: []string{"d", "e.*"}, Publish: []string{"f"}},
		},
		Tracing: TracingConfig{
			Endpoint: "https://collector.example/spans", Headers: []string{"Authorization=Bearer x", "b=c"}, SampleRatio: 0.25, ServiceName: "shop",
		},
		Log: LogConfig{Level: "debug", Format: "json"},
	}

	var document strings.Builder
	var environ []string
	for _, key := range defaultValues().Keys() {
		value, ok := values[key]
		if !ok {
			t.Fatalf("%s is not in this test", key)
		}
		document.WriteString("\"" + key + "\": \"" + value + "\"\n")
		environ = append(environ, envName(key)+"="+value)
	}

	for name, sources := range map[string]ConfigSources{
		"file":        {File: writeConfig(t, document.String())},
		"environment": {Environ: environ},
		"flags":       {Flags: values},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := LoadConfig(sources)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, cfg); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Nothing reaches a server from elsewhere that listens on loopback and has no proxy.
func TestConfigIsLocal(t *testing.T) {
	for name, c := range map[string]struct {
		address string
		proxies []string
		want    bool
	}{
		"loopback":          {"127.0.0.1:1", nil, true},
		"localhost":         {"localhost:1", nil, true},
		"loopback, a proxy": {"127.0.0.1:1", []string{"127.0.0.1"}, false},
		"every address":     {":1", nil, false},
		"another address":   {"192.0.2.1:1", nil, false},
	} {
		cfg := DefaultConfig()
		cfg.Server.Address, cfg.Server.TrustedProxies = c.address, c.proxies
		if got := cfg.isLocal(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A secret that stands in the wrong place is not repeated.
func TestConfigRepeatsNoSecret(t *testing.T) {
	for name, document := range map[string]string{ //nolint:gosec // nobody's
		"a level too high":    "auth: {jwt: s3cret}",
		"two levels":          "auth: s3cret",
		"a list":              "auth: {jwt: {algorithms: [HS256], key: [s3cret]}}",
		"a password in a URL": "auth: {jwt: {algorithms: [RS256], jwks_url: 'http://me:s3cret@example.com'}}",
		"a key that is short": "auth: {jwt: {algorithms: [HS256], key: s3cret}}",
		"keys as text":        "auth: {api_keys: 's3cret: ['}",
	} {
		if _, err := LoadConfig(ConfigSources{File: writeConfig(t, document)}); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestConfigPrecedence(t *testing.T) {
	file := writeConfig(t, `
server: {address: "127.0.0.1:1001", read_timeout: 11s, idle_timeout: 12s}
`)
	cfg, err := LoadConfig(ConfigSources{
		File: file,
		Environ: []string{
			"PATH=/bin",
			"FANFARE_SERVER_ADDRESS=127.0.0.1:1002",
			"FANFARE_SERVER_READ_TIMEOUT=22s",
		},
		Flags: map[string]string{"server.address": "127.0.0.1:1003"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := DefaultConfig()
	want.Server.Address = "127.0.0.1:1003"        // flag
	want.Server.ReadTimeout = 22 * time.Second    // environment
	want.Server.IdleTimeout = 12 * time.Second    // file
	want.Transport.PongTimeout = 10 * time.Second // default
	if diff := cmp.Diff(want, cfg); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A wrong value that a later source replaces is no mistake: it is not used.
func TestReplacedValueIsNotChecked(t *testing.T) {
	cfg, err := LoadConfig(ConfigSources{
		File:  writeConfig(t, "server: {address: '0.0.0.0:80'}"),
		Flags: map[string]string{"server.address": "127.0.0.1:8081"},
	})
	if err != nil || cfg.Server.Address != "127.0.0.1:8081" {
		t.Errorf("got %q, %v", cfg.Server.Address, err)
	}
}

func TestConfigFileInWorkingDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	if cfg, err := LoadConfig(ConfigSources{}); err != nil || cfg.Log.Level != "info" {
		t.Errorf("without a file: %q, %v", cfg.Log.Level, err)
	}
	if err := os.WriteFile("config.yaml", []byte("log: {level: warn}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if cfg, err := LoadConfig(ConfigSources{}); err != nil || cfg.Log.Level != "warn" {
		t.Errorf("with ./config.yaml: %q, %v", cfg.Log.Level, err)
	}
	other := writeConfig(t, "log: {level: error}")
	if cfg, err := LoadConfig(ConfigSources{File: other}); err != nil || cfg.Log.Level != "error" {
		t.Errorf("with another file: %q, %v", cfg.Log.Level, err)
	}
}

func TestConfigFileErrors(t *testing.T) {
	tests := map[string]struct {
		document string
		want     string
	}{
		"not YAML":             {document: "server: [", want: "did not find expected node content"},
		"tab":                  {document: "server:\n\taddress: x", want: "found character that cannot start any token"},
		"a list":               {document: "- server", want: "cannot unmarshal"},
		"plain text":           {document: "hello", want: "cannot unmarshal"},
		"the same key twice":   {document: "log: {level: info}\nlog: {level: warn}", want: `mapping key "log" already defined`},
		"unknown section":      {document: "serve: {address: x}", want: "serve.address: unknown key in "},
		"unknown key":          {document: "server: {host: x}", want: "server.host: unknown key in "},
		"unknown key, null":    {document: "server: {host: }", want: "server.host: unknown key in "},
		"unknown scalar":       {document: "port: 80", want: "port: unknown key in "},
		"unknown empty":        {document: "mqtt: {}", want: "mqtt: unknown key in "},
		"number as a key":      {document: "1: 2", want: "1: unknown key in "},
		"number below":         {document: "server: {1: 2}", want: "server.1: unknown key in "},
		"key in another case":  {document: "server: {Address: 'localhost:1'}", want: "server.Address: unknown key in "},
		"section is a scalar":  {document: "server: localhost:80", want: `server: "localhost:80": want keys below it, such as server.address`},
		"section in a section": {document: "server: {tls: true}", want: `server.tls: "true": want keys below it, such as server.tls.cert_file`},
		"unknown key below":    {document: "server: {tls: {cert: x}}", want: "server.tls.cert: unknown key in "},
		"section is a list":    {document: "log: [level]", want: `log: "[level]": want keys below it, such as log.format`},
		"key without a value":  {document: "server: {address: }", want: "server.address: want a value, or the key left out"},
		"key with keys":        {document: "server: {address: {host: x}}", want: "server.address.host: unknown key in "},
		"key with nothing":     {document: "server: {address: {}}", want: `server.address: "map[]": want a single value`},
		"key with a list":      {document: "server: {address: [a, b]}", want: `server.address: "[a b]": want a single value`},
		"list with keys":       {document: "server: {allowed_origins: [{a: b}]}", want: `server.allowed_origins: "map[a:b]": want a single value`},
		"list is a number":     {document: "server: {allowed_origins: 5}", want: `server.allowed_origins: "5": want a list`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := LoadConfig(ConfigSources{File: writeConfig(t, tt.document)})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s\ngot error: %v\nwant: %s", tt.document, err, tt.want)
			}
		})
	}

	t.Run("no such file", func(t *testing.T) {
		_, err := LoadConfig(ConfigSources{File: "nowhere.yaml"})
		if err == nil || !strings.Contains(err.Error(), "nowhere.yaml: no such file") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a directory", func(t *testing.T) {
		if _, err := LoadConfig(ConfigSources{File: t.TempDir()}); err == nil {
			t.Error("got no error")
		}
	})
}

func TestConfigFileWithNothingSet(t *testing.T) {
	for name, document := range map[string]string{
		"empty":                      "",
		"comments":                   "# nothing\n",
		"sections without keys":      "server:\n  # address: x\nlog:\n",
		"sections with an empty map": "server: {}",
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := LoadConfig(ConfigSources{File: writeConfig(t, document)})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(DefaultConfig(), cfg); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestConfigEnvironmentErrors(t *testing.T) {
	tests := map[string]struct {
		entry string
		want  string
	}{
		"unknown section":   {entry: "FANFARE_SERVE_ADDRESS=x", want: "FANFARE_SERVE_ADDRESS: unknown environment variable"},
		"unknown key":       {entry: "FANFARE_SERVER_HOST=x", want: "FANFARE_SERVER_HOST: unknown environment variable"},
		"section alone":     {entry: "FANFARE_SERVER=x", want: "FANFARE_SERVER: unknown environment variable"},
		"nothing":           {entry: "FANFARE_=x", want: "FANFARE_: unknown environment variable"},
		"lower case":        {entry: "FANFARE_server_address=x", want: "FANFARE_server_address: unknown environment variable"},
		"empty value":       {entry: "FANFARE_SERVER_ADDRESS=", want: `server.address: "": want HOST:PORT`},
		"value with equals": {entry: "FANFARE_LOG_LEVEL=a=b", want: `log.level: "a=b": want one of debug, info, warn, error`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := LoadConfig(ConfigSources{Environ: []string{tt.entry}})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s\ngot error: %v\nwant: %s", tt.entry, err, tt.want)
			}
		})
	}
}

func TestConfigLists(t *testing.T) {
	tests := map[string]struct {
		sources ConfigSources
		want    []string
	}{
		"YAML list": {
			sources: ConfigSources{File: writeConfig(t, "server: {allowed_origins: ['https://a.example', 'https://b.example']}")},
			want:    []string{"https://a.example", "https://b.example"},
		},
		"YAML text": {
			sources: ConfigSources{File: writeConfig(t, "server: {allowed_origins: 'https://a.example'}")},
			want:    []string{"https://a.example"},
		},
		"environment": {
			sources: ConfigSources{Environ: []string{"FANFARE_SERVER_ALLOWED_ORIGINS=https://a.example, https://b.example"}},
			want:    []string{"https://a.example", "https://b.example"},
		},
		"the environment replaces the file's": {
			sources: ConfigSources{
				File:    writeConfig(t, "server: {allowed_origins: ['https://a.example', 'https://b.example']}"),
				Environ: []string{"FANFARE_SERVER_ALLOWED_ORIGINS=https://c.example"},
			},
			want: []string{"https://c.example"},
		},
		"the environment empties the file's": {
			sources: ConfigSources{
				File:    writeConfig(t, "server: {allowed_origins: ['https://a.example']}"),
				Environ: []string{"FANFARE_SERVER_ALLOWED_ORIGINS="},
			},
			want: []string{},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			cfg, err := LoadConfig(tt.sources)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, cfg.Server.AllowedOrigins); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// One table for the values: what is accepted, and what each mistake is told.
func TestConfigValues(t *testing.T) {
	tests := map[string]struct {
		document string
		want     string // what the error contains; empty: accepted
	}{
		"address, other port":      {document: "server: {address: '127.0.0.1:80'}"},
		"address, port 0":          {document: "server: {address: '127.0.0.1:0'}"},
		"address, localhost":       {document: "server: {address: 'localhost:8080'}"},
		"address, 127.0.0.0/8":     {document: "server: {address: '127.255.255.254:8080'}"},
		"address, IPv6":            {document: "server: {address: '[::1]:8080'}"},
		"address, any":             {document: "server: {address: ':8080'}", want: `server.address: ":8080": want a loopback address`},
		"address, any IPv4":        {document: "server: {address: '0.0.0.0:8080'}", want: `"0.0.0.0:8080": want a loopback address`},
		"address, any IPv6":        {document: "server: {address: '[::]:8080'}", want: `"[::]:8080": want a loopback address`},
		"address, private":         {document: "server: {address: '192.168.1.5:8080'}", want: "want a loopback address"},
		"address, almost loopback": {document: "server: {address: '128.0.0.1:8080'}", want: "want a loopback address"},
		"address, short":           {document: "server: {address: '127.1:8080'}", want: "want a loopback address"},
		"address, number":          {document: "server: {address: '0:8080'}", want: "want a loopback address"},
		"address, octal":           {document: "server: {address: '0177.0.0.1:8080'}", want: "want a loopback address"},
		"address, zone":            {document: "server: {address: '[::1%eth0]:8080'}", want: "want a loopback address"},
		"address, name":            {document: "server: {address: 'example.com:8080'}", want: "want a loopback address"},
		"address, name below":      {document: "server: {address: 'localhost.example.com:8080'}", want: "want a loopback address"},
		"address, says what to do": {document: "server: {address: ':9000'}", want: "ssh -L 8080:127.0.0.1:9000 HOST"},
		"address, no port":         {document: "server: {address: 127.0.0.1}", want: `"127.0.0.1": want HOST:PORT, such as 127.0.0.1:8080`},
		"address, port alone":      {document: "server: {address: 8080}", want: `"8080": want HOST:PORT`},
		"address, bare IPv6":       {document: "server: {address: '::1'}", want: `"::1": want HOST:PORT`},
		"address, URL":             {document: "server: {address: 'http://localhost:80'}", want: "want HOST:PORT"},
		"address, port missing":    {document: "server: {address: 'localhost:'}", want: "want a port from 0 to 65535"},
		"address, port too large":  {document: "server: {address: 'localhost:65536'}", want: "want a port from 0 to 65535"},
		"address, port negative":   {document: "server: {address: 'localhost:-1'}", want: "want a port from 0 to 65535"},
		"address, port signed":     {document: "server: {address: 'localhost:+1'}", want: "want a port from 0 to 65535"},
		"address, port name":       {document: "server: {address: 'localhost:http'}", want: "want a port from 0 to 65535"},
		"origin, http and a port":  {document: "server: {allowed_origins: ['http://localhost:3000']}"},
		"origin, IPv6":             {document: "server: {allowed_origins: ['http://[::1]:3000']}"},
		"origin, the other's port": {document: "server: {allowed_origins: ['http://a.example:443', 'https://a.example:80']}"},
		"origin, wildcard":         {document: "server: {allowed_origins: ['*']}", want: `server.allowed_origins: "*": want scheme://host`},
		"origin, wildcard host":    {document: "server: {allowed_origins: ['https://*.example.com']}", want: `"https://*.example.com": want scheme://host`},
		"origin, no scheme":        {document: "server: {allowed_origins: ['example.com']}", want: "want scheme://host"},
		"origin, scheme alone":     {document: "server: {allowed_origins: ['https://']}", want: "want scheme://host"},
		"origin, port alone":       {document: "server: {allowed_origins: ['https://:80']}", want: "want scheme://host"},
		"origin, other scheme":     {document: "server: {allowed_origins: ['ftp://a.example']}", want: "want scheme://host"},
		"origin, null":             {document: "server: {allowed_origins: ['null']}", want: `"null": want scheme://host`},
		"origin, YAML null":        {document: "server: {allowed_origins: [null]}", want: "want scheme://host"},
		"origin, path":             {document: "server: {allowed_origins: ['https://a.example/x']}", want: "want scheme://host"},
		"origin, slash":            {document: "server: {allowed_origins: ['https://a.example/']}", want: "want scheme://host"},
		"origin, query":            {document: "server: {allowed_origins: ['https://a.example?x']}", want: "want scheme://host"},
		"origin, fragment":         {document: "server: {allowed_origins: ['https://a.example#x']}", want: "want scheme://host"},
		"origin, user":             {document: "server: {allowed_origins: ['https://u@a.example']}", want: "want scheme://host"},
		"origin, space":            {document: "server: {allowed_origins: ['https://a b']}", want: "want scheme://host"},
		"origin, port too large":   {document: "server: {allowed_origins: ['https://a.example:65536']}", want: "want scheme://host"},
		"origin, two in one":       {document: "server: {allowed_origins: ['https://a.example,https://b.example']}", want: "want scheme://host"},
		"origin, upper case":       {document: "server: {allowed_origins: ['HTTPS://A.Example']}", want: "as a browser sends it: https://a.example"},
		"origin, own port":         {document: "server: {allowed_origins: ['https://a.example:443']}", want: "as a browser sends it: https://a.example"},
		"origin, own port, http":   {document: "server: {allowed_origins: ['http://a.example:80']}", want: "as a browser sends it: http://a.example"},
		"origin, empty port":       {document: "server: {allowed_origins: ['http://a.example:']}", want: "as a browser sends it: http://a.example"},
		"origin, not ASCII":        {document: "server: {allowed_origins: ['https://bücher.example']}", want: "want the host in ASCII"},
		"TLS":                      {document: "server: {tls: {cert_file: c, key_file: k}}"},
		"TLS, none":                {document: "server: {tls: {cert_file: '', key_file: ''}}\ntransport: {mode: epoll}"},
		"TLS, empty":               {document: "server: {tls: }"},
		"TLS, no key":              {document: "server: {tls: {cert_file: c}}", want: `server.tls.key_file: "": want the key to server.tls.cert_file, or neither of the two`},
		"TLS, no certificate":      {document: "server: {tls: {key_file: k}}", want: `server.tls.cert_file: "": want the certificate to server.tls.key_file, or neither of the two`},
		"TLS, goroutine":           {document: "server: {tls: {cert_file: c, key_file: k}}\ntransport: {mode: goroutine}"},
		"TLS, epoll":               {document: "server: {tls: {cert_file: c, key_file: k}}\ntransport: {mode: epoll}", want: `transport.mode: "epoll": want auto or goroutine: epoll cannot be had with server.tls`},
		"duration, zero delay":     {document: "server: {drain_delay: 0}"},
		"duration, compound":       {document: "history: {max_age: 1h30m}"},
		"duration, negative delay": {document: "server: {drain_delay: -1s}", want: `server.drain_delay: "-1s": want 0s or more`},
		"duration, no unit":        {document: "server: {read_timeout: 30}", want: `server.read_timeout: "30": want a duration with its unit`},
		"duration, unknown unit":   {document: "history: {max_age: 1d}", want: `history.max_age: "1d": want a duration with its unit`},
		"duration, empty":          {document: "history: {max_age: ''}", want: `history.max_age: "": want a duration with its unit`},
		"duration, bool":           {document: "history: {max_age: true}", want: `history.max_age: "true": want a duration with its unit`},
		"shutdown_timeout, zero":   {document: "server: {shutdown_timeout: 0s}", want: `server.shutdown_timeout: "0s": want a duration above 0s`},
		"header_timeout, zero":     {document: "server: {header_timeout: 0s}", want: `server.header_timeout: "0s": want a duration above 0s`},
		"read_timeout, zero":       {document: "server: {read_timeout: 0s}", want: `server.read_timeout: "0s": want a duration above 0s`},
		"idle_timeout, negative":   {document: "server: {idle_timeout: -5s}", want: `server.idle_timeout: "-5s": want a duration above 0s`},
		"ping_interval, zero":      {document: "transport: {ping_interval: 0s}", want: `transport.ping_interval: "0s": want a duration above 0s`},
		"pong_timeout, zero":       {document: "transport: {pong_timeout: 0s}", want: `transport.pong_timeout: "0s": want a duration above 0s`},
		"max_age, zero":            {document: "history: {max_age: 0s}", want: `history.max_age: "0s": want a duration above 0s`},
		"window, zero":             {document: "history: {idempotency_window: 0s}", want: `history.idempotency_window: "0s": want a duration above 0s`},
		"publish_wait, too long":   {document: "limits: {publish_wait: 10s}", want: `limits.publish_wait: "10s": want less than server.shutdown_timeout (10s)`},
		"publish_wait, zero":       {document: "limits: {publish_wait: 0s}", want: `limits.publish_wait: "0s": want a duration above 0s`},
		"clients, as many as fit":  {document: "limits: {clients: 0}"},
		"clients, negative":        {document: "limits: {clients: -1}", want: `limits.clients: "-1": want 0 or more`},
		"per address, no limit":    {document: "limits: {clients_per_address: 0}"},
		"per address, negative":    {document: "limits: {clients_per_address: -1}", want: `limits.clients_per_address: "-1": want 0 or more`},
		"rate, small":              {document: "limits: {publish_rate: 0.001, request_rate: 0.5}"},
		"rate, large":              {document: "limits: {publish_rate: 1e6, publish_burst: 1000000}"},
		"rate, negative":           {document: "limits: {publish_rate: -1}", want: `limits.publish_rate: "-1": want 0, or a number from 0.001 to 1000000`},
		"rate, too small":          {document: "limits: {request_rate: 0.0001}", want: `limits.request_rate: "0.0001": want 0, or a number`},
		"rate, too large":          {document: "limits: {request_rate: 1000001}", want: `limits.request_rate: "1.000001e+06": want 0, or a number`},
		"rate, not a number":       {document: "limits: {publish_rate: .nan}", want: `limits.publish_rate: "NaN": want 0, or a number`},
		"rate, infinite":           {document: "limits: {publish_rate: .inf}", want: `limits.publish_rate: "+Inf": want 0, or a number`},
		"rate, with a unit":        {document: "limits: {publish_rate: 5/s}", want: `limits.publish_rate: "5/s": want a number`},
		"burst without a rate":     {document: "limits: {request_burst: 5}", want: `limits.request_burst: "5": want 0 without limits.request_rate`},
		"burst, negative":          {document: "limits: {publish_rate: 1, publish_burst: -5}", want: `limits.publish_burst: "-5": want a number from 0`},
		"burst, too large":         {document: "limits: {publish_rate: 1, publish_burst: 1000001}", want: `limits.publish_burst: "1000001": want a number from 0`},
		"burst, fraction":          {document: "limits: {publish_rate: 1, publish_burst: 1.5}", want: `limits.publish_burst: "1.5": want a whole number`},
		"proxies":                  {document: "server: {trusted_proxies: [192.0.2.1, 10.0.0.0/8, '::1', '2001:db8::/32']}"},
		"proxies, everybody":       {document: "server: {trusted_proxies: [0.0.0.0/0]}"},
		"proxies, a name":          {document: "server: {trusted_proxies: [10.0.0.1, proxy.example]}", want: `server.trusted_proxies: "proxy.example": want an address or a network`},
		"proxies, a port":          {document: "server: {trusted_proxies: ['10.0.0.1:80']}", want: `server.trusted_proxies: "10.0.0.1:80": want an address or a network`},
		"proxies, too many bits":   {document: "server: {trusted_proxies: [10.0.0.0/33]}", want: `"10.0.0.0/33": want an address or a network`},
		"proxies, short":           {document: "server: {trusted_proxies: [10/8]}", want: `"10/8": want an address or a network`},
		"proxies, zone":            {document: "server: {trusted_proxies: ['fe80::1%eth0']}", want: `"fe80::1%eth0": want an address or a network`},
		"proxies, IPv4 as IPv6":    {document: "server: {trusted_proxies: ['::ffff:10.0.0.0/104']}", want: `"::ffff:10.0.0.0/104": want an address or a network`},
		"proxies, empty":           {document: "server: {trusted_proxies: ['']}", want: `"": want an address or a network`},
		"number, text":             {document: "history: {max_messages_per_topic: '5'}"},
		"number, zero":             {document: "history: {max_messages_per_topic: 0}", want: `history.max_messages_per_topic: "0": want 1 or more`},
		"number, negative":         {document: "limits: {subscriptions_per_client: -1}", want: `limits.subscriptions_per_client: "-1": want 1 or more`},
		"number, fraction":         {document: "history: {max_messages_per_topic: 1.5}", want: `"1.5": want a whole number`},
		"number, bool":             {document: "history: {max_messages_per_topic: true}", want: `"true": want a whole number`},
		"number, words":            {document: "history: {max_messages_per_topic: many}", want: `"many": want a whole number`},
		"number, too large":        {document: "history: {max_messages_per_topic: 99999999999999999999}", want: "want a whole number"},
		"size, plain number":       {document: "limits: {message_size: 65536}"},
		"size, powers of 1000":     {document: "limits: {message_size: 1MB}"},
		"size, zero":               {document: "limits: {message_size: 0}", want: `limits.message_size: "0B": want a size above 0`},
		"size, history zero":       {document: "history: {max_bytes: 0}", want: `history.max_bytes: "0B": want more than limits.message_size (1MiB) and 64KiB`},
		"size, history small":      {document: "history: {max_bytes: 1MiB}", want: `history.max_bytes: "1MiB": want more than limits.message_size (1MiB) and 64KiB`},
		"size, negative":           {document: "limits: {message_size: -1MiB}", want: `limits.message_size: "-1MiB": want a size`},
		"size, unknown unit":       {document: "limits: {message_size: 1XB}", want: `limits.message_size: "1XB": want a size, such as 64KiB`},
		"size, empty":              {document: "limits: {message_size: ''}", want: `limits.message_size: "": want a size, such as 64KiB`},
		"size, too large":          {document: "history: {max_bytes: 8EiB}", want: `history.max_bytes: "8EiB": want a size`},
		"outbox, just enough":      {document: "limits: {message_size: 1MiB, outbox_size: 1114113}"},
		"outbox, one too few":      {document: "limits: {message_size: 1MiB, outbox_size: 1088KiB}", want: `limits.outbox_size: "1088KiB": want more than limits.message_size (1MiB) and 64KiB`},
		"message above the outbox": {document: "limits: {message_size: 4MiB}", want: `limits.outbox_size: "4MiB": want more than limits.message_size (4MiB) and 64KiB`},
		"in flight, just enough":   {document: "limits: {message_size: 1MiB, in_flight_size: 1025KiB}"},
		"in flight, one too few":   {document: "limits: {message_size: 1MiB, in_flight_size: 1049599}", want: `limits.in_flight_size: "1049599B": want at least limits.message_size (1MiB) and 1KiB`},
		"tracing":                  {document: "tracing: {endpoint: 'http://localhost:4318', headers: [a=b], sample_ratio: 0.5}"},
		"endpoint, no URL":         {document: "tracing: {endpoint: 'localhost:4318'}", want: `tracing.endpoint: "": want a URL, such as http://localhost:4318`},
		"endpoint, gRPC":           {document: "tracing: {endpoint: 'grpc://localhost:4317'}", want: `tracing.endpoint: "": want a URL, such as http://localhost:4318`},
		"tracing header":           {document: "tracing: {headers: [secret]}", want: `tracing.headers: "": want a list of name=value`},
		"tracing header, no name":  {document: "tracing: {headers: ['X Token=secret']}", want: `tracing.headers: "": want a list of name=value`},
		"tracing header, 2 lines":  {document: `tracing: {headers: ["a=secret\nb: c"]}`, want: `tracing.headers: "": want a list of name=value`},
		"sample ratio":             {document: "tracing: {sample_ratio: 1.5}", want: `tracing.sample_ratio: "1.5": want a number from 0 to 1`},
		"no service name":          {document: "tracing: {service_name: ''}", want: `tracing.service_name: "": want a name`},
		"level, debug":             {document: "log: {level: debug}"},
		"level, upper case":        {document: "log: {level: INFO}", want: `log.level: "INFO": want one of debug, info, warn, error`},
		"level, unknown":           {document: "log: {level: trace}", want: `log.level: "trace": want one of debug, info, warn, error`},
		"format, unknown":          {document: "log: {format: xml}", want: `log.format: "xml": want one of text, json`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := LoadConfig(ConfigSources{File: writeConfig(t, tt.document)})
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("%s\ngot error: %v", tt.document, err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("%s\ngot error: %v\nwant: %s", tt.document, err, tt.want)
			}
		})
	}
}

func TestAllMistakesAreReportedTogether(t *testing.T) {
	file := writeConfig(t, `
server: {address: example.com, read_timeout: soon, host: x}
history: {max_messages_per_topic: 0}
limits: {outbox_size: 1KiB}
`)
	_, err := LoadConfig(ConfigSources{
		File:    file,
		Environ: []string{"FANFARE_LOG_LEVEL=loud", "FANFARE_LIMIT=5"},
		Flags:   map[string]string{"server.address": "10.0.0.1:1"},
	})
	if err == nil {
		t.Fatal("got no error")
	}
	want := []string{
		"the configuration is wrong:",
		"server.host: unknown key in " + file,
		"FANFARE_LIMIT: unknown environment variable: ",
		`server.read_timeout: "soon": want `,
		`server.address: "10.0.0.1:1": want a loopback address`,
		`history.max_messages_per_topic: "0": want 1 or more`,
		`limits.outbox_size: "1KiB": want more than `,
		`log.level: "loud": want one of `,
	}
	text, _, _ := strings.Cut(err.Error(), "\n\n") // what follows says what to do
	lines := strings.Split(text, "\n")
	if len(lines) != len(want) {
		t.Fatalf("got %d lines, want %d:\n%v", len(lines), len(want), err)
	}
	for i := range want {
		if !strings.HasPrefix(lines[i], want[i]) {
			t.Errorf("line %d: %s\nwant: %s", i, lines[i], want[i])
		}
	}
}

func writeConfig(t *testing.T, document string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(name, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// readKeys returns the keys of a YAML document of sections, and those without a comment above.
func readKeys(t *testing.T, data []byte) (keys, uncommented []string) {
	t.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		t.Fatal(err)
	}
	var walk func(section string, node *yaml.Node)
	walk = func(section string, node *yaml.Node) {
		// The contents of a mapping are key, value, key, value.
		last := 0
		for pair := range slices.Chunk(node.Content, 2) {
			key := section + pair[0].Value
			if pair[1].Kind == yaml.MappingNode {
				walk(key+".", pair[1])
				continue
			}
			keys = append(keys, key)
			// One comment may be for the keys that follow it without a blank line.
			if pair[0].HeadComment == "" && pair[0].Line != last+1 {
				uncommented = append(uncommented, key)
			}
			last = pair[0].Line
		}
	}
	walk("", document.Content[0])
	return keys, uncommented
}
