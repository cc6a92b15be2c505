package handlers

import (
	"runtime"
	"runtime/debug"
	"strconv"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"

	"fanfare/broker"
	"fanfare/models"
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
		newStatsCollector(a.PubSub),
		buildInfo(),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	format := expfmt.NewFormat(expfmt.TypeTextPlain)
	return func(c *fiber.Ctx) error {
		families, err := registry.Gather()
		if err != nil {
			return err
		}
		encoder := expfmt.NewEncoder(c, format)
		for _, family := range families {
			if err := encoder.Encode(family); err != nil {
				return err
			}
		}
		c.Set(fiber.HeaderContentType, string(format))
		return nil
	}
}

// buildInfo is 1, and its labels name the build.
func buildInfo() prometheus.Collector {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "fanfare_build_info",
		Help:        "Which build this is. Always 1.",
		ConstLabels: prometheus.Labels{"version": buildVersion(), "goversion": runtime.Version()},
	})
	info.Set(1)
	return info
}

func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(unknown)"
}

// statsCollector reads a PubSub's Stats when it is asked: nothing is done for it in between.
type statsCollector struct {
	pubsub *broker.PubSub

	clients, closes, dropped, published, delivered, queued, subscriptions, topics *prometheus.Desc
}

func newStatsCollector(pubsub *broker.PubSub) *statsCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("fanfare_"+name, help, labels, nil)
	}
	return &statsCollector{
		pubsub:        pubsub,
		clients:       desc("clients", "Clients that are connected.", "transport"),
		closes:        desc("client_closes_total", "Clients that have left, by the close code that counts.", "code", "reason"),
		dropped:       desc("messages_dropped_total", "Messages that an overflow policy dropped, for each client.", "policy"),
		published:     desc("messages_published_total", "Messages that were published through this server."),
		delivered:     desc("messages_delivered_total", "Messages written to a connection, for each client."),
		queued:        desc("outbox_bytes", "What waits in the outboxes of all clients."),
		subscriptions: desc("subscriptions", "Subscriptions of all clients."),
		topics:        desc("subscribed_topics", "Topics that somebody is subscribed to, wildcards aside."),
	}
}

// Describe implements prometheus.Collector.
func (c *statsCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.clients, c.closes, c.dropped, c.published, c.delivered, c.queued, c.subscriptions, c.topics,
	} {
		descs <- d
	}
}

// Collect implements prometheus.Collector.
func (c *statsCollector) Collect(metrics chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(d, kind, value, labels...)
	}
	stats := c.pubsub.Stats()
	// What has not happened yet is 0, or the first time would be seen by no rate.
	for _, transport := range []models.Transport{
		models.TransportWebSocket, models.TransportSSE, models.TransportNDJSON, models.TransportPoll,
	} {
		stats.Clients[transport] += 0
	}
	for _, code := range []models.CloseCode{models.CloseSlowConsumer, models.ClosePingTimeout, models.CloseInternal} {
		stats.Closes[code] += 0
	}
	for transport, n := range stats.Clients {
		send(c.clients, prometheus.GaugeValue, float64(n), string(transport))
	}
	for code, n := range stats.Closes {
		send(c.closes, prometheus.CounterValue, float64(n), strconv.Itoa(int(code)), code.String())
	}
	for policy, n := range stats.Dropped {
		send(c.dropped, prometheus.CounterValue, float64(n), string(policy))
	}
	send(c.published, prometheus.CounterValue, float64(stats.Published))
	send(c.delivered, prometheus.CounterValue, float64(stats.Delivered))
	send(c.queued, prometheus.GaugeValue, float64(stats.QueuedBytes))
	send(c.subscriptions, prometheus.GaugeValue, float64(stats.Subscriptions))
	send(c.topics, prometheus.GaugeValue, float64(stats.Topics))
}
