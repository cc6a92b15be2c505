package fanfare

import (
	"strconv"
	"strings"
)

// position is a place in the log, an id taken apart: the epoch names one life of the log, in which the
// sequence rises. The zero position is before all.
type position struct {
	epoch    string
	sequence uint64
}

// parsePosition never fails: ids are the server's. One that has another form is a log of its own.
func parsePosition(id string) position {
	epoch, digits, _ := strings.Cut(id, "-")
	sequence, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return position{epoch: id}
	}
	return position{epoch: epoch, sequence: sequence}
}

// above tells whether p is behind q in the log. Another log is a newer one.
func (p position) above(q position) bool {
	return p.epoch != q.epoch || p.sequence > q.sequence
}

func (p position) isZero() bool { return p == position{} }

// String is the id.
func (p position) String() string {
	if p.isZero() {
		return ""
	}
	return p.epoch + "-" + strconv.FormatUint(p.sequence, 10)
}
