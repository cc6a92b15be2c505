package handlers

import (
	"net/http"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"
)

// metrics serves GET /metrics.
//
//	@Summary		Metrics for Prometheus
//	@ID			getMetrics
//	@Description	What the server has and what it has done since its start, in Prometheus' text format; the Go runtime and the process as well.
//	@Tags			operations
//	@Produce		plain
//	@Success		200	{string}	string			"the metrics"
//	@Failure		401	{object}	models.Problem	"unauthorized"
//	@Failure		403	{object}	models.Problem	"forbidden"
//	@Failure		429	{object}	models.Problem	"rate_limited"
//	@Security		Bearer
//	@x-responses	{"200":{"content":{"text/plain":{"example":"fanfare_clients{transport=\"websocket\"} 2\n"}}}}
//	@Router			/metrics [get]
func (a *api) metrics() fiber.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collector{a},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	formats := expfmt.DefaultOpenMetricsAcceptedFormats()
	return func(c *fiber.Ctx) error {
		families, err := registry.Gather()
		if err != nil {
			return err
		}
		accept := http.Header{fiber.HeaderAccept: {utils.CopyString(c.Get(fiber.HeaderAccept))}}
		format := expfmt.NegotiateAccept(accept, formats...)
		encoder := expfmt.NewEncoder(c, format)
		for _, family := range families {
			if err := encoder.Encode(family); err != nil {
				return err
			}
		}
		if closer, ok := encoder.(expfmt.Closer); ok { // OpenMetrics has an end
			if err := closer.Close(); err != nil {
				return err
			}
		}
		c.Set(fiber.HeaderContentType, string(format))
		return nil
	}
}
