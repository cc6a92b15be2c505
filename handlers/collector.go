package handlers

import (
	"context"
	"regexp"
	"runtime"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"fanfare/broker"
	"fanfare/models"
)

// collector makes metrics of what was counted, when it is asked: nothing is done for it in
// between. No label has a value that users choose.
type collector struct{ *api }

// Describe implements prometheus.Collector. What there is, Collect says.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(metrics chan<- prometheus.Metric) {
	to, stats := metricsTo{metrics}, c.PubSub.Stats()
	c.server(to, stats)
	clients(to, stats)
	messages(to, stats)
	if stats.Log != nil {
		log(to, *stats.Log)
	}
	c.requests(to, stats)
}

// server tells what the server is, and how it is.
func (c collector) server(to metricsTo, stats broker.Stats) {
	to.gauge("build_info", "Which build this is. Always 1.", 1, "version", c.Version, "goversion", runtime.Version())
	to.gauge("engine_info", "Which engine keeps the log. Always 1.", 1, "engine", c.Engine)
	to.gauge("engine_up", "Whether the log takes messages: 0 while it is away, and at the end of a shutdown.", oneIf(stats.Ready))
	to.gauge("ready", "Whether the server wants traffic, as /readyz says: 0 also while it drains.", oneIf(c.Ready(context.Background()) == nil))
	to.gauge("cluster_nodes", "Nodes that share the log and live, as far as this one knows: itself at least.", float64(stats.Nodes))
}

// clients tells who is there, and who has left.
func clients(to metricsTo, stats broker.Stats) {
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
		to.gauge("clients", "Clients that are connected.", float64(n), "transport", string(transport))
	}
	to.gauge("clients_max", "How many clients may be connected, 0 for no limit.", float64(stats.MaxClients))
	for code, n := range stats.Closes {
		to.counter("client_closes_total", "Clients that have left, by the close code that counts.", n,
			"code", strconv.Itoa(int(code)), "reason", code.String())
	}
	to.gauge("subscriptions", "Subscriptions of all clients.", float64(stats.Subscriptions))
	to.gauge("subscribed_topics", "Topics that somebody is subscribed to, wildcards aside.", float64(stats.Topics))
	to.gauge("replays", "Replays under way.", float64(stats.Replays))
	for recovered, n := range map[bool]uint64{true: stats.Recovered, false: stats.Unrecovered} {
		to.counter("recoveries_total", "Subscribes with a cursor, by what they were told: false is that messages were lost.", n,
			"recovered", strconv.FormatBool(recovered))
	}
	to.counter("gaps_total", "Gap notices: a replay, or what is live, was overtaken by the removal of messages.", stats.Gaps)
}

// messages tells what came in, and what went out.
func messages(to metricsTo, stats broker.Stats) {
	to.counter("messages_published_total", "Messages that were published through this server.", stats.Published)
	to.counter("published_bytes_total", "Data of the messages that were published through this server.", stats.PublishedBytes)
	to.histogram("publish_duration_seconds", "How long a publish took that got a receipt, from admission to its place in the log.",
		stats.PublishDuration)
	to.histogram("fanout_duration_seconds", "How long a message took, from when this server had it in its place until it was offered to the"+
		" connections of all its subscribers here. What waits in the outbox of a slow client is not counted, nor are replays.",
		stats.FanOutDuration)
	to.gauge("deliveries_pending", "Deliveries that are still to be put into outboxes, one for each matching subscription.", float64(stats.Pending))
	to.counter("messages_delivered_total", "Messages written to a connection, for each client.", stats.Delivered)
	to.counter("sent_bytes_total", "What was written to the connections of clients: frames and heartbeats, before TLS.", stats.WrittenBytes)
	for policy, n := range stats.Dropped {
		to.counter("messages_dropped_total", "Messages that an overflow policy dropped, for each client.", n, "policy", string(policy))
	}
	to.gauge("outbox_bytes", "What waits in the outboxes of all clients.", float64(stats.QueuedBytes))
	to.gauge("outbox_max_bytes", "What may wait in the outbox of one client.", float64(stats.MaxOutbox))
}

// log tells what is retained, and why what is not is gone.
func log(to metricsTo, stats broker.LogStats) {
	to.gauge("log_messages", "Messages that are retained. With NATS this and what follows is that of all nodes, a few notes of theirs included.",
		float64(stats.Messages))
	to.gauge("log_topics", "Topics with a retained message.", float64(stats.Topics))
	to.gauge("log_bytes", "What the log takes of log_max_bytes.", float64(stats.Bytes))
	to.gauge("log_max_bytes", "How large the log may become.", float64(stats.MaxBytes))
	to.gauge("log_max_age_seconds", "How long messages are retained at most.", stats.MaxAge.Seconds())
	if !stats.Oldest.IsZero() {
		to.gauge("log_oldest_timestamp_seconds", "When the oldest retained message was published. Absent without one.",
			float64(stats.Oldest.UnixMilli())/1000)
	}
	for cause, n := range stats.Evictions {
		to.counter("log_evictions_total", "Messages that were removed from the log, by cause. NATS does not say why, and counts from when the"+
			" stream was made.", n, "cause", string(cause))
	}
}

// requests tells what was asked for, and what became of it.
func (c collector) requests(to metricsTo, stats broker.Stats) {
	for code, n := range c.counters.refusals {
		count := n.Load()
		if code == models.CodeUnauthorized {
			count += stats.Closes[models.CloseUnauthorized] // of these the broker tells the client
		}
		to.counter("refusals_total", "Problems and error frames, by their code; each of a batch, too.", count, "code", string(code))
	}
	for action, n := range c.counters.frames {
		to.counter("frames_received_total", "Frames from WebSockets, by action; unknown is whatever could not be read.", n.Load(),
			"action", string(action))
	}
	for labels, n := range c.counters.answered() {
		to.counter("http_requests_total", "HTTP requests that were answered. The route is none if there is no such, or the request was"+
			" refused before its route was looked for, or could not be read.", n,
			"method", labels.method, "route", labels.route, "status", strconv.Itoa(labels.status))
	}
}

// answerLabels is how an answer is shown.
type answerLabels struct {
	method, route string
	status        int
}

// answered gives what was answered so far. Routes are spelt as in the OpenAPI files.
func (c *counters) answered() map[answerLabels]uint64 {
	parameter := regexp.MustCompile(`:(\w+)`)
	all := make(map[answerLabels]uint64)
	for a, n := range *c.answers.Load() {
		labels := answerLabels{method: "none", route: "none", status: a.status}
		if a.route != nil {
			labels.method = a.route.Method
		}
		if a.routed {
			labels.route = parameter.ReplaceAllString(a.route.Path, "{$1}")
		}
		all[labels] += n.Load()
	}
	return all
}

func oneIf(condition bool) float64 {
	if condition {
		return 1
	}
	return 0
}

// metricsTo is where metrics go. Labels are pairs of name and value.
type metricsTo struct{ metrics chan<- prometheus.Metric }

func (to metricsTo) gauge(name, help string, value float64, labels ...string) {
	desc, values := describe(name, help, labels)
	to.metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, values...)
}

func (to metricsTo) counter(name, help string, value uint64, labels ...string) {
	desc, values := describe(name, help, labels)
	to.metrics <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value), values...)
}

func (to metricsTo) histogram(name, help string, h broker.Histogram) {
	buckets, count := make(map[float64]uint64), uint64(0)
	for i, bound := range h.Bounds {
		count += h.Counts[i]
		buckets[bound.Seconds()] = count
	}
	desc, _ := describe(name, help, nil)
	to.metrics <- prometheus.MustNewConstHistogram(desc, h.Count(), h.Sum.Seconds(), buckets)
}

func describe(name, help string, labels []string) (desc *prometheus.Desc, values []string) {
	var names []string
	for i := 0; i < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, labels[i+1])
	}
	return prometheus.NewDesc("fanfare_"+name, help, names, nil), values
}
