package models

// HistoryFilter chooses a page of the log.
type HistoryFilter struct {
	Pattern Pattern
	// Start is where the page begins; the zero Start is the oldest message.
	Start Start
	// Limit bounds the messages, 1 to MaxPageLimit. A page that grows large ends before.
	Limit int
}

// HistoryPage is a page of the log, the oldest message first.
type HistoryPage struct {
	Messages []*Message `json:"messages"`
	// Recovered is there if since was asked for: whether nothing that matched after it is
	// missing. Of a poll it is there, and false, also if something was lost while it waited.
	Recovered *bool `json:"recovered,omitzero" example:"true"`
	// Next is the cursor to go on from, as since of the next page or of any transport.
	Next ID `json:"next" swaggertype:"string" example:"4kq9zt2m-1042"`
}
