package handlers_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fanfare/broker/enginetest"
	"fanfare/models"
)

// startTwo runs two servers over one log.
func startTwo(t *testing.T) (a, b *server, engineOfB *enginetest.Node) {
	t.Helper()
	cluster, err := enginetest.NewCluster(t.Context(), enginetest.Generous())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Close(); err != nil {
			t.Error(err)
		}
	})
	engines := []*enginetest.Node{cluster.Node("a"), cluster.Node("b")}
	a = start(t, func(s *setup) { s.engine = engines[0] })
	b = start(t, func(s *setup) { s.engine = engines[1] })
	engines[0].Settle()
	return a, b, engines[1]
}

// What is asked of one node is answered for all.
func TestCluster(t *testing.T) {
	a, b, _ := startTwo(t)
	here, there := a.dial(t), b.dial(t)
	here.subscribe(t, "room")
	there.subscribe(t, "room")
	var clients models.ClientPage
	a.getInto(t, "/clients", &clients)
	var nodes []string
	for _, c := range clients.Clients {
		nodes = append(nodes, c.Node)
	}
	if diff := cmp.Diff([]string{"a", "b"}, nodes); diff != "" || clients.Clients[1].ID != there.id || clients.Unreachable != nil {
		t.Errorf("%+v (-want +got):\n%s", clients, diff)
	}
	if got := a.get(t, "/clients/"+there.id).body; !strings.HasPrefix(got, `{"id":"`+there.id+`","node":"b",`) {
		t.Error(got)
	}
	members := `"clients":[{"client_id":"` + here.id + `"},{"client_id":"` + there.id + `"}]}`
	if got := a.get(t, "/topics/room/clients").body; got != "{"+members+"\n" {
		t.Error(got)
	}
	if got := here.ask(t, `{"action":"presence","topic":"room"}`); got != `{"type":"presence","topic":"room",`+members {
		t.Error(got)
	}
	for _, path := range []string{"/topics", "/topics/room"} {
		if got := a.get(t, path).body; !strings.Contains(got, `{"name":"room","subscribers":2,"messages":0}`) {
			t.Error(got)
		}
	}

	watcher := a.dial(t)
	watcher.ask(t, `{"action":"subscribe","topic":"room","presence":true}`)
	members = strings.TrimSuffix(members, "]}") + `,{"client_id":"` + watcher.id + `"}]}`
	if got := watcher.next(t); got != `{"type":"presence","topic":"room",`+members {
		t.Error(got)
	}
	if got := a.do(t, "DELETE", "/clients/"+there.id, ""); got.status != 204 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if code := there.closeCode(t); code != int(models.CloseDisconnected) {
		t.Errorf("close code %d", code)
	}
	if got := watcher.next(t); got != `{"type":"leave","topic":"room","client_id":"`+there.id+`"}` {
		t.Error(got)
	}
	eventually(t, func() bool { return a.get(t, "/clients/"+there.id).status == 404 })
}

// Who does not answer is named.
func TestUnreachable(t *testing.T) {
	a, b, engine := startTwo(t)
	there := b.dial(t)
	there.subscribe(t, "room")
	here := a.dial(t)
	here.subscribe(t, "room")
	engine.Cut()
	unreachable := `"unreachable":["b"]}` + "\n"
	const away = "some nodes did not answer, and no other has it: b"
	var asking sync.WaitGroup
	for request, check := range map[string]func(answer) bool{
		"GET /clients":             func(a answer) bool { return a.status == 200 && strings.HasSuffix(a.body, unreachable) },
		"GET /topics":              func(a answer) bool { return a.status == 200 && strings.HasSuffix(a.body, unreachable) },
		"GET /topics/room":         func(a answer) bool { return a.status == 200 && strings.HasSuffix(a.body, unreachable) },
		"GET /topics/room/clients": func(a answer) bool { return a.status == 200 && strings.HasSuffix(a.body, unreachable) },
		"DELETE /clients?user=ada": func(a answer) bool { return a.status == 200 && a.body == `{"disconnected":0,`+unreachable },
		"GET /topics/other":        func(a answer) bool { return a.status == 503 && strings.Contains(a.body, away) },
		"GET /clients/" + there.id: func(a answer) bool { return a.status == 503 && strings.Contains(a.body, away) },
		"DELETE /clients/" + there.id: func(a answer) bool {
			return a.status == 503 && strings.Contains(a.body, away) && a.header.Get("Retry-After") == "1" &&
				strings.Contains(a.body, `"code":"engine_unavailable"`)
		},
	} {
		asking.Go(func() {
			method, path, _ := strings.Cut(request, " ")
			got, err := a.try(method, path, "")
			if err != nil || !check(got) {
				t.Errorf("%s: %d %s, %v", request, got.status, got.body, err)
			}
		})
	}
	want := `{"type":"presence","topic":"room","clients":[{"client_id":"` + here.id + `"}],"unreachable":["b"],"ref":1}`
	if got := here.ask(t, `{"action":"presence","topic":"room","ref":1}`); got != want {
		t.Error(got)
	}
	asking.Wait()
}
