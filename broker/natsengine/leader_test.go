package natsengine_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"fanfare/broker/enginetest"
	"fanfare/broker/natsengine/natstest"
	"fanfare/models"
)

// TestReplicaWithoutALeader: a replica that is behind, and answers for a stream that has no leader, is not believed:
// nothing is lost, and no other log begins.
func TestReplicaWithoutALeader(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes 45 s")
	}
	cluster := natstest.Start(t, 5)
	engine := start(t, clustered(t, cluster, "S", enginetest.Generous()))
	epoch := publish(t, engine, models.Draft{Topic: "a", Data: []byte("1")}).ID.Epoch
	var replicas struct {
		Cluster struct {
			Leader   string
			Replicas []struct{ Name string }
		}
	}
	conn := connect(t, cluster.Server(0).URL(), nats.MaxReconnects(-1))
	if err := json.Unmarshal([]byte(request(t, conn, "$JS.API.STREAM.INFO.S", nil)), &replicas); err != nil {
		t.Fatal(err)
	}
	of := replicas.Cluster
	leader, fresh, behind := cluster.Named(of.Leader), cluster.Named(of.Replicas[0].Name), cluster.Named(of.Replicas[1].Name)
	time.Sleep(11 * time.Second) // before that no replica answers without a leader
	behind.Pause()
	big := fmt.Appendf(nil, "%q", make([]byte, 200<<10))
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); {
		_, _ = engine.Publish(t.Context(), models.Draft{Topic: "a", Data: big})
	}
	leader.Kill()
	fresh.Kill()
	behind.Resume()
	time.Sleep(20 * time.Second)
	leader.Start()
	fresh.Start()
	var id models.ID
	for end := time.Now().Add(time.Minute); id.Epoch == "" && time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		receipt, err := engine.Publish(t.Context(), models.Draft{Topic: "a", Data: []byte("1")})
		if err == nil {
			id = receipt.ID
		}
	}
	if id.Epoch != epoch {
		t.Errorf("the log has the epoch %q in place of %q", id.Epoch, epoch)
	}
}
