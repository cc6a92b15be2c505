package transport

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"fanfare/models"
)

func TestSeal(t *testing.T) {
	for size, header := range map[int]string{
		0:       "8100",
		1:       "8101",
		125:     "817d",
		126:     "817e007e",
		127:     "817e007f",
		65535:   "817effff",
		65536:   "817f0000000000010000",
		1 << 20: "817f0000000000100000",
	} {
		t.Run(fmt.Sprint(size, " bytes"), func(t *testing.T) {
			payload := bytes.Repeat([]byte("a"), size)
			frame := seal(opText, append(make([]byte, maxHeader), payload...))
			if diff := cmp.Diff(header+hex.EncodeToString(payload), hex.EncodeToString(frame)); diff != "" {
				t.Fatalf("(-want +got):\n%.200s", diff)
			}
			conn, client := connect(t, patient(ModeAuto))
			read(conn)
			written := make(chan error, 1)
			go func() { written <- newWriter(conn).write(frame) }()
			kind, got, err := client.ReadMessage()
			if err != nil || kind != websocket.TextMessage || !bytes.Equal(got, payload) {
				t.Errorf("type %d, %d bytes, %v", kind, len(got), err)
			}
			if err := await(t, written); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFormat(t *testing.T) {
	conn, client := connect(t, patient(ModeAuto))
	read(conn)
	pinged := make(chan string, 2)
	client.SetPingHandler(func(payload string) error {
		pinged <- payload
		return nil
	})
	message := &models.Message{
		ID:    models.ID{Epoch: "epoch", Sequence: 7},
		Topic: "a.ü",
		Data:  []byte(`"` + strings.Repeat("x", 300) + `"`),
		Time:  models.Timestamp{Time: time.UnixMilli(1)},
	}
	format := conn.Format()
	frames := bytes.Join([][]byte{
		format.Event(models.NewPong([]byte(`"r"`))),
		format.Heartbeat(models.ID{}),
		format.Message(message),
		format.Heartbeat(message.ID),
		format.Close(models.CloseDisconnected),
	}, nil)
	if err := newWriter(conn).write(frames); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`{"type":"pong","ref":"r"}`,
		string(message.AppendFrame(nil)),
		`{"type":"position","id":"epoch-7"}`,
	} {
		kind, got, err := client.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" || kind != websocket.TextMessage {
			t.Errorf("type %d (-want +got):\n%s", kind, diff)
		}
	}
	_, _, err := client.ReadMessage()
	for range 2 {
		if got := await(t, pinged); got != "" {
			t.Errorf("the ping carries %q", got)
		}
	}
	want := &websocket.CloseError{Code: 4501, Text: "disconnected by an administrator"}
	if diff := cmp.Diff(error(want), err); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The format is how the broker knows which frames it can share.
func TestFormatIsComparable(t *testing.T) {
	one, _ := connect(t, patient(ModeAuto))
	read(one)
	other, _ := connect(t, patient(ModeAuto))
	read(other)
	if one.Format() != other.Format() {
		t.Error("two connections have two formats")
	}
}
