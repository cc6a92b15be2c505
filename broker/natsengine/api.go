package natsengine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"fanfare/models"
)

// The error codes of JetStream that make a difference.
const (
	errCodeNoMessage       = 10037
	errCodeNoStream        = 10059
	errCodeStreamInUse     = 10058
	errCodeWrongLastForOne = 10071
	errCodeDuplicateBusy   = 10158
	errCodeTooLarge        = 10054
)

// apiError is what JetStream's API answers in place of a result.
type apiError struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string {
	return fmt.Sprintf("JetStream says: %s (%d)", e.Description, e.ErrCode)
}

// isCode tells whether JetStream said that.
func isCode(err error, code int) bool {
	api, ok := errors.AsType[*apiError](err)
	return ok && api.ErrCode == code
}

// unavailable is what a caller may know of a log that is away, and err what the log may. Errors that are
// for callers stay what they are.
func (e *Engine) unavailable(what string, err error) error {
	if _, known := errors.AsType[*models.Error](err); known || err == nil {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	e.trouble.note(what, err)
	return errAway()
}

func errAway() error {
	return &models.Error{Code: models.CodeEngineUnavailable, Message: "the log is away; it is being waited for", RetryAfter: time.Second}
}

// api asks JetStream's API, whose answers come from the leader: of the stream, or of all streams.
func api[T any](ctx context.Context, e *Engine, subject string, question any) (answer T, err error) {
	m := &nats.Msg{Subject: "$JS.API." + subject}
	if question != nil {
		if m.Data, err = json.Marshal(question); err != nil {
			return answer, err
		}
	}
	reply, err := e.request(ctx, e.conn, m, e.options.PublishWait)
	if err != nil {
		return answer, err
	}
	var refusal struct {
		Error *apiError `json:"error"`
	}
	if err := json.Unmarshal(reply.Data, &refusal); err != nil {
		return answer, err
	}
	if refusal.Error != nil {
		return answer, refusal.Error
	}
	return answer, json.Unmarshal(reply.Data, &answer)
}

// state is the stream at one moment, as its leader knows it.
type state struct {
	epoch string
	// begin is the sequence that the epoch begins behind: a stream can have several in its life. raised is where
	// it was when a topic came to have more messages than before: what is lost up to there shows no more.
	begin, raised uint64
	// maxPerTopic is how many messages a topic may have, 0 or less for no bound; window is for how long
	// messages are known again.
	maxPerTopic int64
	window      time.Duration
	// first and last are the sequences of the first and the last message; last stays when that is
	// removed. messages counts those that are left.
	first, last, messages uint64
	// topics counts the subjects, bytes is what the messages take, and oldest when the first of them was stored.
	topics, bytes int64
	oldest        time.Time
	// maxBytes and maxAge are the bounds, 0 or less for none.
	maxBytes int64
	maxAge   time.Duration
	// subjects counts the messages of each that was asked for.
	subjects map[string]uint64
}

// removals counts what was removed.
func (s state) removals() uint64 { return s.last - s.messages }

func (s state) id(sequence uint64) models.ID { return models.ID{Epoch: s.epoch, Sequence: sequence} }

// streamInfo is the part of JetStream's answer that matters.
type streamInfo struct {
	Config streamConfig `json:"config"`
	State  struct {
		Messages uint64            `json:"messages"`
		First    uint64            `json:"first_seq"`
		Last     uint64            `json:"last_seq"`
		Topics   int64             `json:"num_subjects"`
		Bytes    int64             `json:"bytes"`
		Oldest   time.Time         `json:"first_ts"`
		Subjects map[string]uint64 `json:"subjects"`
	} `json:"state"`
	Cluster clusterInfo `json:"cluster"`
	// Total counts the subjects of all pages.
	Total int `json:"total"`
}

// clusterInfo is who answers.
type clusterInfo struct {
	Leader   string        `json:"leader"`
	Replicas []replicaInfo `json:"replicas"`
}

// replicaInfo is another server that has the stream. Active is how long ago it was heard of, 0 if it never was.
type replicaInfo struct {
	Active time.Duration `json:"active"`
}

// maxUnheard is how long a leader may not have heard of others and is still certain to lead: these wait for
// four seconds before they choose another.
const maxUnheard = 3 * time.Second

// errNoLeader says that the state of a stream is not that of its leader: any server answers for a stream that
// it believes to have none, and one that was cut off, or was stopped and has just gone on, believes to lead.
var errNoLeader = errors.New("the server that answers does not lead the stream")

// check fails if the answer may be older than what others have answered before. A server alone always leads.
func (c clusterInfo) check() error {
	heard := 1
	for _, r := range c.Replicas {
		if r.Active > 0 && r.Active <= maxUnheard {
			heard++
		}
	}
	if len(c.Replicas) > 0 && (c.Leader == "" || 2*heard <= len(c.Replicas)+1) {
		return errNoLeader
	}
	return nil
}

// state asks for the stream's state, which has everything that was answered before the call, and for the
// subjects that match a filter, if it is not empty. A stream of another life has another epoch.
func (e *Engine) state(ctx context.Context, filter string) (state, error) {
	s := state{}
	for offset := 0; ; {
		info, err := api[streamInfo](ctx, e, "STREAM.INFO."+e.options.Stream, map[string]any{"subjects_filter": filter, "offset": offset})
		if err == nil {
			err = info.Cluster.check()
		}
		if err != nil {
			return state{}, err
		}
		s.epoch, s.first, s.last, s.messages = info.Config.Metadata[metadataEpoch], info.State.First, info.State.Last, info.State.Messages
		if s.epoch == "" {
			return state{}, errors.New("the stream has no epoch: it is not one of Fanfare's")
		}
		s.begin, _ = strconv.ParseUint(info.Config.Metadata[metadataBegin], 10, 64) // 0 without one
		s.raised, _ = strconv.ParseUint(info.Config.Metadata[metadataRaised], 10, 64)
		s.maxPerTopic, s.window = info.Config.MaxPerTopic, info.Config.Window
		s.topics, s.bytes, s.oldest = info.State.Topics, info.State.Bytes, info.State.Oldest
		s.maxBytes, s.maxAge = info.Config.MaxBytes, info.Config.MaxAge
		if s.subjects == nil {
			s.subjects = info.State.Subjects
		} else {
			maps.Copy(s.subjects, info.State.Subjects)
		}
		offset += len(info.State.Subjects)
		if len(info.State.Subjects) == 0 || offset >= info.Total {
			e.epoch.Store(&s.epoch)
			e.saw(s)
			return s, nil
		}
	}
}

// leaderMessage asks the leader for one message: sequences of what was answered before the call are there.
// Found is false if there is none.
func (e *Engine) leaderMessage(ctx context.Context, question map[string]any) (s stored, found bool, err error) {
	answer, err := api[struct {
		Message struct {
			Subject  string    `json:"subject"`
			Sequence uint64    `json:"seq"`
			Header   []byte    `json:"hdrs"`
			Data     []byte    `json:"data"`
			Time     time.Time `json:"time"`
		} `json:"message"`
	}](ctx, e, "STREAM.MSG.GET."+e.options.Stream, question)
	if isCode(err, errCodeNoMessage) {
		return stored{}, false, nil
	}
	if err != nil {
		return stored{}, false, err
	}
	m := answer.Message
	s = stored{subject: m.Subject, sequence: m.Sequence, payload: m.Data, time: m.Time}
	if len(m.Header) > 0 {
		if s.header, err = nats.DecodeHeadersMsg(m.Header); err != nil {
			return stored{}, false, err
		}
	}
	return s, true, nil
}

// lastOf gives the sequence of the newest message of a filter, 0 without one. Nothing that was answered
// before the call is beyond it.
func (e *Engine) lastOf(ctx context.Context, filter string) (uint64, error) {
	s, _, err := e.leaderMessage(ctx, map[string]any{"last_by_subj": filter})
	return s.sequence, err
}

// bunch is what a replica has of a filter from a sequence on: the first messages, and how many come
// after them. A replica may be behind the leader.
type bunch struct {
	messages []stored
	pending  uint64
}

// last is the sequence of the last message, 0 without one.
func (b bunch) last() uint64 {
	if len(b.messages) == 0 {
		return 0
	}
	return b.messages[len(b.messages)-1].sequence
}

// direct asks any replica for the first messages of a filter from a sequence on, at most count, and bytes
// or one message.
func (e *Engine) direct(ctx context.Context, filter string, from uint64, count, bytes int) (bunch, error) {
	if !e.link.Load().isUp() {
		return bunch{}, nats.ErrDisconnected
	}
	ctx, cancel := context.WithTimeout(ctx, e.options.PublishWait)
	defer cancel()
	question, err := json.Marshal(map[string]any{"next_by_subj": filter, "seq": from, "batch": count, "max_bytes": bytes})
	if err != nil {
		return bunch{}, err
	}
	answers, err := e.openInbox(count + 1)
	if err != nil {
		return bunch{}, err
	}
	defer answers.close()
	if err := e.conn.PublishRequest("$JS.API.DIRECT.GET."+e.options.Stream, answers.subject, question); err != nil {
		return bunch{}, err
	}
	var b bunch
	for {
		m, err := answers.next(ctx, e.options.PublishWait)
		if err != nil {
			return bunch{}, err
		}
		if isStored(m) {
			s, err := directMessage(m)
			if err != nil {
				return bunch{}, err
			}
			b.messages = append(b.messages, s)
			continue
		}
		switch status := m.Header.Get("Status"); status {
		case "204": // the end
			b.pending, err = strconv.ParseUint(m.Header.Get(headerPending), 10, 64)
			return b, err
		case "404": // nothing
			return b, nil
		default:
			return bunch{}, fmt.Errorf("JetStream says: %s %s", status, m.Header.Get("Description"))
		}
	}
}

// The headers in which a replica says where a message stands.
const (
	headerSubject  = "Nats-Subject"
	headerSequence = "Nats-Sequence"
	headerTime     = "Nats-Time-Stamp"
	headerPending  = "Nats-Num-Pending"
)

// isStored tells a message from a status. Whoever published it may have given it any header, that of a
// status included; but a status has none of these.
func isStored(m *nats.Msg) bool {
	return len(m.Header[headerSubject]) > 0 && len(m.Header[headerSequence]) > 0 && len(m.Header[headerTime]) > 0
}

// directMessage reads what a replica has sent. Where it stands is in headers that the server has put behind
// those of the message, which may have some of the same names.
func directMessage(m *nats.Msg) (s stored, err error) {
	last := func(name string) string { return m.Header[name][len(m.Header[name])-1] }
	s = stored{subject: last(headerSubject), header: m.Header, payload: m.Data}
	if s.sequence, err = strconv.ParseUint(last(headerSequence), 10, 64); err != nil {
		return stored{}, err
	}
	s.time, err = time.Parse(time.RFC3339Nano, last(headerTime))
	return s, err
}
