package models_test

import (
	"testing"

	"fanfare/models"
)

func TestNetwork(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1:51034":              "192.0.2.1/32",
		"192.0.2.1":                    "192.0.2.1/32",
		"[::ffff:192.0.2.1]:80":        "192.0.2.1/32",
		"[2001:db8:1:2:3:4:5:6]:51034": "2001:db8:1:2::/64",
		"2001:db8:1:2::9":              "2001:db8:1:2::/64",
		"[fe80::1%eth0]:80":            "fe80::/64",
		"[::1]:80":                     "::/64",
		"":                             "invalid Prefix",
		"localhost:80":                 "invalid Prefix",
		"192.0.2.1:":                   "invalid Prefix",
	} {
		if got := models.Network(address).String(); got != want {
			t.Errorf("%q is of %s, want %s", address, got, want)
		}
	}
}
