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
		Last uint64 `json:"last_seq"`
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
		var s Stream
		if c.ask("STREAM.INFO."+stream, &s) {
			if isSo(s) {
				return s
			}
			last = s
		}
	}
	c.t.Fatalf("the stream %s does not come to that: %+v", stream, last)
	return Stream{}
}

// AwaitConsumers waits until so many consumers of a stream have somebody to deliver to. Others, of who is gone
// without a word, may stay for a while.
func (c *Cluster) AwaitConsumers(stream string, want int) {
	c.t.Helper()
	got := -1
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		var list struct {
			Total     int `json:"total"`
			Consumers []struct {
				Bound bool `json:"push_bound"`
			} `json:"consumers"`
		}
		if !c.ask("CONSUMER.LIST."+stream, &list) || list.Total != len(list.Consumers) {
			continue
		}
		got = 0
		for _, consumer := range list.Consumers {
			if consumer.Bound {
				got++
			}
		}
		if got == want {
			return
		}
	}
	c.t.Fatalf("the stream %s has %d consumers, want %d", stream, got, want)
}

// ask asks whichever server answers.
func (c *Cluster) ask(question string, answer any) bool {
	conn, err := nats.Connect("", nats.Timeout(time.Second), func(o *nats.Options) error {
		o.Servers = slices.Clone(c.URLs())
		return nil
	})
	if err != nil {
		return false
	}
	defer conn.Close()
	reply, err := conn.Request("$JS.API."+question, nil, time.Second)
	return err == nil && json.Unmarshal(reply.Data, answer) == nil
}
