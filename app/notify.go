package app

import (
	"net"
	"os"
)

// notify tells systemd how the service is: sd_notify(3). Without systemd it does nothing.
func notify(state string) error {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return nil
	}
	// A name that begins with @ is an abstract one to Go, too.
	conn, err := net.Dial("unixgram", socket) //nolint:gosec // from whoever started us
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // it has been written
	_, err = conn.Write([]byte(state))
	return err
}
