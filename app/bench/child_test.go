package bench

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestChild: what a child answers is what the load gets.
func TestChild(t *testing.T) {
	ordersIn, orders := io.Pipe()
	answers, answersOut := io.Pipe()
	attended := make(chan error)
	go func() {
		attended <- attend(ordersIn, answersOut, "127.0.0.1:1 127.0.0.1:2", func(order string) (string, error) {
			switch order {
			case "nothing":
				return "", nil
			case "fail":
				return "", errors.New("it is broken")
			default:
				return order + "\nand more\n", nil
			}
		})
		_ = answersOut.Close()
	}()
	c := &child{orders: orders, answers: bufio.NewScanner(answers)}
	if addresses, err := c.answer(); err != nil || addresses != "127.0.0.1:1 127.0.0.1:2\n" {
		t.Errorf("addresses %q, %v", addresses, err)
	}
	type answer struct{ Text, Error string }
	want := map[string]answer{
		"say 1":   {Text: "say 1\nand more\n"},
		"nothing": {},
		"fail":    {Error: "fail: it is broken"},
		"say 2":   {Text: "say 2\nand more\n"},
	}
	for _, order := range []string{"say 1", "nothing", "fail", "nothing", "say 2"} {
		text, err := c.order(order)
		got := answer{Text: text}
		if err != nil {
			got.Error = err.Error()
		}
		if diff := cmp.Diff(want[order], got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", order, diff)
		}
	}
	_ = orders.Close()
	if err := <-attended; err != nil {
		t.Errorf("attend ended with %v", err)
	}
	if _, err := c.answer(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("after its end it answers with %v", err)
	}
}

// TestAttend: a server's child has figures, and says so if an order makes no sense.
func TestAttend(t *testing.T) {
	var answers bytes.Buffer
	if err := Attend(strings.NewReader("figures\ncollect\nsing\n"), &answers, "127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(answers.String(), "\n\n")
	if len(parts) != 5 || parts[0] != "127.0.0.1:1" || parts[3] != `failed: unknown order "sing"` {
		t.Fatalf("got %q", parts)
	}
	for _, part := range parts[1:3] {
		if f := parseFigures(part); !(f.goroutines > 0) {
			t.Errorf("no goroutines: %q", part)
		}
	}
}
