package broker

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"fanfare/models"
)

const (
	// maxUnsent bounds the changes that wait to be sent to one node. With more they are lost,
	// and it has to ask again.
	maxUnsent = 10_000
	// maxNotice is when a notice has enough changes in it, in bytes: one more fits.
	maxNotice = 48 << 10
	// maxSilence is after how long without a question a node is not told anything any more. It
	// asks every renewal.
	maxSilence = time.Minute
)

// watch is what a node asks to be told of the presence on another. A session of it begins with
// Begin; in it, patterns come and go, and the changes are numbered from 1. The later session has
// the greater number.
type watch struct {
	Session uint64           `json:"session"`
	Begin   bool             `json:"begin,omitzero"`
	Add     []models.Pattern `json:"add,omitzero"`
	Drop    []models.Pattern `json:"drop,omitzero"`
}

// sight answers a watch.
type sight struct {
	// Unknown tells that there is no such session: who asks has to begin a new one.
	Unknown bool `json:"unknown,omitzero"`
	// Number is that of the newest change. It is in Members, which has the members by pattern,
	// in the order of Add, and by topic.
	Number  uint64   `json:"number"`
	Members [][]room `json:"members,omitzero"`
}

// room is a topic with the members of one node.
type room struct {
	Topic   models.Topic    `json:"topic"`
	Clients []models.Member `json:"clients"`
}

// news is a notice: changes that follow each other, of which the first has a number.
type news[C any] struct {
	Session uint64 `json:"session"`
	First   uint64 `json:"first"`
	Changes []C    `json:"changes"`
}

// audience is the other nodes that watch this one. Its methods need presence.mu.
type audience struct {
	// Set by newAudience, never changed. wake has room for one signal that there is something to
	// send.
	wake chan struct{}

	spectators map[string]*spectator
	patterns   *patternMap[map[*spectator]struct{}]
	// changes counts the changes.
	changes uint64
}

// spectator is one of them.
type spectator struct {
	session  uint64
	patterns map[models.Pattern]struct{}
	// number is that of the last change that the node wants to hear of, unsent has the newest of
	// them.
	number uint64
	unsent []models.PresenceChange
	// told is the last of all changes that the node wants to hear of.
	told    uint64
	renewed time.Time
}

func newAudience() *audience {
	return &audience{
		wake:       make(chan struct{}, 1),
		spectators: make(map[string]*spectator),
		patterns:   newPatternMap[map[*spectator]struct{}](),
	}
}

// tell has the nodes that want to hear of a change be told, each once. Without a cluster there is
// nobody.
func (a *audience) tell(change models.PresenceChange) {
	if a == nil || len(a.spectators) == 0 {
		return
	}
	a.changes++
	told := false
	a.patterns.match(change.Topic, func(set map[*spectator]struct{}) {
		for s := range set {
			if s.told == a.changes {
				continue
			}
			s.told, told = a.changes, true
			if s.number++; len(s.unsent) == maxUnsent {
				s.unsent = nil
			}
			s.unsent = append(s.unsent, change)
		}
	})
	if told {
		select {
		case a.wake <- struct{}{}:
		default:
		}
	}
}

// admit makes a node one that is told what it asks for, from here on. It gives nil if the question
// is of a session that is not the node's.
func (a *audience) admit(node string, w watch) *spectator {
	s := a.spectators[node]
	switch {
	case w.Begin && (s == nil || s.session < w.Session):
		a.forget(node)
		s = &spectator{session: w.Session, patterns: make(map[models.Pattern]struct{})}
		a.spectators[node] = s
	case w.Begin || s == nil || s.session != w.Session:
		return nil
	}
	s.renewed = time.Now()
	for _, p := range w.Drop {
		a.drop(s, p)
	}
	for _, p := range w.Add {
		set, found := a.patterns.get(p)
		if !found {
			set = make(map[*spectator]struct{})
			a.patterns.set(p, set)
		}
		set[s] = struct{}{}
		s.patterns[p] = struct{}{}
	}
	if len(s.patterns) == 0 {
		delete(a.spectators, node)
	}
	return s
}

func (a *audience) drop(s *spectator, p models.Pattern) {
	delete(s.patterns, p)
	set, _ := a.patterns.get(p)
	if delete(set, s); len(set) == 0 {
		a.patterns.delete(p)
	}
}

// forget ends what admit has begun.
func (a *audience) forget(node string) {
	if s := a.spectators[node]; s != nil {
		delete(a.spectators, node)
		for p := range s.patterns {
			a.drop(s, p)
		}
	}
}

// take gives what is to be sent, by node. Who has not asked for long is forgotten.
func (a *audience) take() map[string]news[models.PresenceChange] {
	unsent := make(map[string]news[models.PresenceChange])
	for node, s := range a.spectators {
		if len(s.unsent) == 0 {
			continue
		}
		if time.Since(s.renewed) > maxSilence {
			a.forget(node)
			continue
		}
		first := s.number - uint64(len(s.unsent)) + 1
		unsent[node] = news[models.PresenceChange]{Session: s.session, First: first, Changes: s.unsent}
		s.unsent = nil
	}
	return unsent
}

// show answers a watch: the node is told of every change after those that are in the answer.
func (p *presence) show(node string, w watch) sight {
	p.mu.Lock()
	s := p.audience.admit(node, w)
	if s == nil {
		p.mu.Unlock()
		return sight{Unknown: true}
	}
	answer, members := sight{Number: s.number}, p.members.Copy()
	p.mu.Unlock()
	for _, pattern := range w.Add {
		rooms := []room{}
		roster{members}.eachTopic(pattern, func(topic models.Topic) bool {
			of := pageOfMembers(members, topic, models.Page{Limit: members.Len()})
			rooms = append(rooms, room{topic, of.Entries})
			return true
		})
		answer.Members = append(answer.Members, rooms)
	}
	return answer
}

// leaveNode forgets a node that has left.
func (p *presence) leaveNode(node string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.audience.forget(node)
}

func (p *presence) takeNews() map[string]news[models.PresenceChange] {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.audience.take()
}

// notices makes notices of news: as few as their size allows.
func notices(of news[models.PresenceChange]) (all [][]byte) {
	notice, size := news[jsontext.Value]{Session: of.Session, First: of.First}, 0
	for i, change := range of.Changes {
		text := encode(change)
		notice.Changes = append(notice.Changes, text)
		if size += len(text); size >= maxNotice || i == len(of.Changes)-1 {
			all = append(all, encode(notice))
			notice.First += uint64(len(notice.Changes))
			notice.Changes, size = nil, 0
		}
	}
	return all
}
