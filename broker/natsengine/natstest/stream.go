package natstest

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
)

// Stream is what the servers say of a stream.
type Stream struct {
	Config struct {
		Metadata map[string]string `json:"metadata"`
	} `json:"config"`
	State struct {
		Last      uint64 `json:"last_seq"`
		Consumers int    `json:"consumer_count"`
	} `json:"state"`
	Cluster struct {
		Leader   string `json:"leader"`
		Replicas []struct {
			Name    string `json:"name"`
			Current bool   `json:"current"`
		} `json:"replicas"`
	} `json:"cluster"`
}

// Leader gives the server that leads a stream, and waits for it.
func (c *Cluster) Leader(stream string) *Server {
	c.t.Helper()
	return c.Named(c.Await(stream, func(s Stream) bool { return s.Cluster.Leader != "" }).Cluster.Leader)
}

// Follower gives one that has the stream and does not lead it.
func (c *Cluster) Follower(stream string) *Server {
	c.t.Helper()
	s := c.Await(stream, func(s Stream) bool { return s.Cluster.Leader != "" && len(s.Cluster.Replicas) > 0 })
	return c.Named(s.Cluster.Replicas[0].Name)
}

// AwaitCurrent waits until all servers that have a stream have all of it.
func (c *Cluster) AwaitCurrent(stream string) {
	c.t.Helper()
	c.Await(stream, func(s Stream) bool {
		for _, r := range s.Cluster.Replicas {
			if !r.Current {
				return false
			}
		}
		return s.Cluster.Leader != "" && len(s.Cluster.Replicas) == len(c.servers)-1
	})
}

// Await asks the servers about a stream until something is so.
func (c *Cluster) Await(stream string, isSo func(Stream) bool) Stream {
	c.t.Helper()
	var last Stream
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if s, found := c.ask(stream); found {
			if isSo(s) {
				return s
			}
			last = s
		}
	}
	c.t.Fatalf("the stream %s does not come to that: %+v", stream, last)
	return Stream{}
}

// ask asks whichever server answers.
func (c *Cluster) ask(stream string) (s Stream, found bool) {
	conn, err := nats.Connect("", nats.Timeout(time.Second), func(o *nats.Options) error {
		o.Servers = slices.Clone(c.URLs())
		return nil
	})
	if err != nil {
		return s, false
	}
	defer conn.Close()
	reply, err := conn.Request("$JS.API.STREAM.INFO."+stream, nil, time.Second)
	if err != nil || json.Unmarshal(reply.Data, &s) != nil {
		return s, false
	}
	return s, true
}
