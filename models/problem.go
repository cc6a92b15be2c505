package models

// Problem is the body of every HTTP error: RFC 9457, application/problem+json.
type Problem struct {
	// Type is always about:blank: the code says more.
	Type   string `json:"type" example:"about:blank"`
	Title  string `json:"title" example:"Bad Request"`
	Status int    `json:"status" example:"400"`
	Detail string `json:"detail" example:"a topic must not be empty"`
	Code   Code   `json:"code" example:"invalid_topic"`
	// RequestID finds the request in the server's log.
	RequestID string `json:"request_id,omitzero" example:"dlisdyti-5"`
}
