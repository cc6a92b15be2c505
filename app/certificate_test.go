package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// WriteCertificate makes a certificate that signs itself, and its key.
func WriteCertificate(t *testing.T, files TLSConfig, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: "fanfare"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames:     []string{"localhost"},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		files.CertFile: {Type: "CERTIFICATE", Bytes: certificate},
		files.KeyFile:  {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// certificateFiles are two that are not written yet.
func certificateFiles(t *testing.T) TLSConfig {
	t.Helper()
	dir := t.TempDir()
	return TLSConfig{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
}

// TestCertificateMistakes: what does not load is no start, and says why without showing a key.
func TestCertificateMistakes(t *testing.T) {
	tests := map[string]struct {
		spoil func(t *testing.T, files *TLSConfig)
		want  string
	}{
		"all is well":    {spoil: func(*testing.T, *TLSConfig) {}},
		"no certificate": {spoil: func(_ *testing.T, f *TLSConfig) { f.CertFile += "x" }, want: "cert.pemx: no such file"},
		"no key":         {spoil: func(_ *testing.T, f *TLSConfig) { f.KeyFile += "x" }, want: "key.pemx: no such file"},
		"a directory":    {spoil: func(_ *testing.T, f *TLSConfig) { f.KeyFile = filepath.Dir(f.KeyFile) }, want: "is a directory"},
		"switched": {
			spoil: func(_ *testing.T, f *TLSConfig) { f.CertFile, f.KeyFile = f.KeyFile, f.CertFile },
			want:  "PEM inputs may have been switched",
		},
		"another's key": {
			spoil: func(t *testing.T, f *TLSConfig) {
				other := certificateFiles(t)
				WriteCertificate(t, other, 2)
				f.KeyFile = other.KeyFile
			},
			want: "private key does not match public key",
		},
		"half a key": {
			spoil: func(t *testing.T, f *TLSConfig) {
				if err := os.Truncate(f.KeyFile, 150); err != nil {
					t.Fatal(err)
				}
			},
			want: "failed to find any PEM data in key input",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			files := certificateFiles(t)
			WriteCertificate(t, files, 1)
			key, err := os.ReadFile(files.KeyFile)
			if err != nil {
				t.Fatal(err)
			}
			tt.spoil(t, &files)
			_, err = loadCertificate(files, slog.New(slog.DiscardHandler))
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("got error: %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got error: %v\nwant: %s", err, tt.want)
			case err != nil && strings.Contains(err.Error(), string(key[30:60])):
				t.Errorf("it shows the key: %v", err)
			}
		})
	}
}

// TestCertificateReload: handshakes look at the files now and then, take what is new if it
// loads, and say once that it does not.
func TestCertificateReload(t *testing.T) {
	const rest = certificateRest
	type step struct {
		after  time.Duration
		write  int64  // the serial number of a new certificate
		spoil  bool   // the key
		serial int64  // which is shown then
		log    string // what has been logged, in short
	}
	tests := map[string][]step{
		"nothing new":              {{after: rest, serial: 1}, {after: rest, serial: 1}},
		"the same again":           {{after: rest, write: 1, serial: 1, log: "+"}}, // another key
		"not before it is time":    {{after: rest - 1, write: 2, serial: 1}, {after: 1, serial: 2, log: "+"}},
		"one after the other":      {{after: rest, write: 2, serial: 2, log: "+"}, {after: rest, write: 3, serial: 3, log: "++"}},
		"rests after each look":    {{after: rest, serial: 1}, {after: rest - 1, write: 2, serial: 1}, {after: 1, serial: 2, log: "+"}},
		"broken":                   {{after: rest, spoil: true, serial: 1, log: "-"}, {after: rest, serial: 1, log: "-"}, {after: rest, serial: 1, log: "-"}},
		"broken, then right":       {{after: rest, spoil: true, serial: 1, log: "-"}, {after: rest, write: 2, serial: 2, log: "-+"}},
		"broken again":             {{after: rest, spoil: true, serial: 1, log: "-"}, {after: rest, write: 2, serial: 2, log: "-+"}, {after: rest, spoil: true, serial: 2, log: "-+-"}},
		"broken before it is time": {{after: 1, spoil: true, serial: 1}, {after: 1, write: 2, serial: 1}, {after: rest, serial: 2, log: "+"}},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			files := certificateFiles(t)
			WriteCertificate(t, files, 1)
			synctest.Test(t, func(t *testing.T) {
				var log strings.Builder
				c, err := loadCertificate(files, slog.New(slog.NewTextHandler(&log, nil)))
				if err != nil {
					t.Fatal(err)
				}
				for i, s := range steps {
					time.Sleep(s.after)
					if s.write != 0 {
						WriteCertificate(t, files, s.write)
					}
					if s.spoil {
						if err := os.WriteFile(files.KeyFile, []byte("broken"), 0o600); err != nil {
							t.Fatal(err)
						}
					}
					shown, err := c.get(nil)
					if err != nil || shown.Leaf.SerialNumber.Int64() != s.serial {
						t.Errorf("step %d: %v is shown, %v", i, shown.Leaf.SerialNumber, err)
					}
					if got := inShort(log.String()); got != s.log {
						t.Errorf("step %d: the log has %q, want %q:\n%s", i, got, s.log, log.String())
					}
				}
			})
		})
	}
}

// inShort has a + for each certificate that was replaced, and a - for each that was not.
func inShort(log string) (short string) {
	for line := range strings.Lines(log) {
		switch {
		case strings.Contains(line, "level=INFO msg=certificate_replaced"):
			short += "+"
		case strings.Contains(line, "level=WARN msg=certificate_not_replaced"):
			short += "-"
		default:
			short += "?"
		}
	}
	return short
}

// TestCloseNowWaitsForNobody: a peer that does not read cannot hold it up.
func TestCloseNowWaitsForNobody(t *testing.T) {
	files := certificateFiles(t)
	WriteCertificate(t, files, 1)
	synctest.Test(t, func(t *testing.T) {
		c, err := loadCertificate(files, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		one, other := net.Pipe()
		defer func() { _ = other.Close() }()
		config := c.config()
		config.SessionTicketsDisabled = true // they would have to be read
		server := tls.Server(one, config)
		client := tls.Client(other, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}) //nolint:gosec // a pipe
		shaken := make(chan error, 1)
		go func() { shaken <- server.HandshakeContext(t.Context()) }()
		if err := client.HandshakeContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-shaken; err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		closeNow(server)
		if waited := time.Since(begin); waited > 0 {
			t.Errorf("it waited for %v", waited)
		}
	})
}

// TestCertificateReloadAtOnce: who is told that the files have changed does not wait until it is time to look.
func TestCertificateReloadAtOnce(t *testing.T) {
	files := certificateFiles(t)
	WriteCertificate(t, files, 1)
	c, err := loadCertificate(files, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	WriteCertificate(t, files, 2)
	for _, want := range []int64{1, 2} {
		shown, err := c.get(nil)
		if err != nil || shown.Leaf.SerialNumber.Int64() != want {
			t.Errorf("it shows %v, want %d: %v", shown.Leaf.SerialNumber, want, err)
		}
		c.reload()
	}
}
