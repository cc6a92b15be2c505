package models

// Member is a client that is subscribed to a topic itself, not by a wildcard.
type Member struct {
	ClientID string `json:"client_id" format:"uuid" example:"019ab5c2-7d1e-7c3b-9a51-2f4f6f1c9a10"`
	User     string `json:"user,omitzero" example:"ada"`
}

// MemberPage is a page of a topic's members, in the order of their client ids.
type MemberPage struct {
	Clients []Member `json:"clients"`
	// Next is where the next page begins, for the parameter after; absent on the last.
	Next string `json:"next,omitzero" example:"019ab5c2-7d1e-7c3b-9a51-2f4f6f1c9a10"`
	// Unreachable names the nodes of the cluster that did not answer: what is theirs is
	// missing. Absent if all did.
	Unreachable []string `json:"unreachable,omitzero" example:"fanfare-2-k4m9"`
}
