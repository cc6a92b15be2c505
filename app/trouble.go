package app

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"fanfare/app/remote"
)

// trouble tells people of a server that cannot be reached, once, until it can be. Its methods may run concurrently.
type trouble struct {
	w io.Writer

	mu   sync.Mutex
	told bool
}

func newTrouble(w io.Writer) *trouble { return &trouble{w: w} }

// tell says what is wrong, and for how long it is tried again; 0 is for ever.
func (t *trouble) tell(err error, patience time.Duration) {
	t.mu.Lock()
	told := t.told
	t.told = true
	t.mu.Unlock()
	if told {
		return
	}
	if u, ok := errors.AsType[*remote.Unreachable](err); ok {
		err = fmt.Errorf("cannot reach %s: %s", u.Server, u.Reason())
	}
	if patience > 0 {
		t.say("%v. Trying again, for %v", err, patience.Round(100*time.Millisecond))
		return
	}
	t.say("%v. Trying again", err)
}

// over tells that there is none, and whether there was any.
func (t *trouble) over() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	told := t.told
	t.told = false
	return told
}

func (t *trouble) say(format string, args ...any) {
	_, _ = fmt.Fprintf(t.w, "fanfare: %s\n", plain(fmt.Sprintf(format, args...)))
}

// unprefixed takes the name of the package from an error of the SDK: run puts the program's there.
func unprefixed(err error) error {
	text, found := strings.CutPrefix(err.Error(), "fanfare: ")
	if !found {
		return err
	}
	return &renamedError{text, err}
}

// renamedError is another error with another text.
type renamedError struct {
	text string
	err  error
}

func (e *renamedError) Error() string { return e.text }

func (e *renamedError) Unwrap() error { return e.err }
