package fanfare_test

import (
	"context"
	"log/slog"

	"fanfare/app"
)

// serve runs a server for an example.
func serve() (url string, stop func()) {
	config := app.DefaultConfig()
	config.Server.Address = "127.0.0.1:0"
	ctx, cancel := context.WithCancel(context.Background())
	server, err := app.New(ctx, config, slog.New(slog.DiscardHandler))
	if err != nil {
		panic(err)
	}
	stopped := make(chan error)
	go func() { stopped <- server.Run(ctx) }()
	return "http://" + server.Address(), func() {
		cancel()
		if err := <-stopped; err != nil {
			panic(err)
		}
	}
}
